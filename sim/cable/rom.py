"""
The chip's ROM loader: PyPI's esp32-mock-bootloader, with its flash in a file.

    python -m sim.cable.rom --chip esp32s3 --flash chip.bin      # says its TCP port, serves until it is ended

So what esptool writes is what the interpreter then finds, and what the tag wrote is what esptool reads.
"""

import argparse
import mmap
import signal
import socket
import threading
from typing import Any

from sim.cable.orphan import end_with_parent


def main() -> None:
    parser = argparse.ArgumentParser("python -m sim.cable.rom")
    parser.add_argument("--chip", required=True)
    parser.add_argument("--flash", required=True)
    parser.add_argument("--mac", required=True, help="12 hex digits")
    arguments = parser.parse_args()
    end_with_parent(signal.SIGKILL)
    from esp32_mock_bootloader import registers, server

    # The mock's chips of one kind share an address; ours are told apart by it.
    a, b, c, d, e, f = bytes.fromhex(arguments.mac)
    registers.mac_bytes_for_chip = lambda chip: (a, b, c, d, e, f)
    # It gives an esptool on a busy machine 50 ms to acknowledge what it reads.
    server._CLIENT_RECV_TIMEOUT = 5.0
    with open(arguments.flash, "r+b") as file:
        flash: Any = mmap.mmap(file.fileno(), 0)
    server.get_flash_image().data = flash
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        # The mock ends a session by itself when the other side closes, and never stops us.
        server.handle_client(
            server.BootloaderConnection(sock=connection), threading.Event(), arguments.chip, None
        )


if __name__ == "__main__":
    main()
