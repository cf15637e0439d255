"""
From the text of a sentence to the eight bytes of a binary64, once on an interpreter with 32-bit floats.

The ESP32's floats are single precision and those of MicroPython's Unix port are not, so no test there can see
a float that slipped in. The one packaged interpreter like the ESP32 in this is the micro:bit's MicroPython
1.9.2 (Debian: firmware-microbit-micropython, qemu-system-arm): enough for two functions, not for the tag.
"""

import ast
import inspect
import os
import pty
import select
import shutil
import subprocess
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor
import nmea
import pytest

QEMU = shutil.which("qemu-system-arm")
FIRMWARE = Path("/usr/share/firmware-microbit-micropython/firmware.hex")
DEADLINE_S = 20
# The emulated UART has no flow control and drops what comes faster.
CHUNK_BYTES, PAUSE_S = 16, 0.003

pytestmark = pytest.mark.skipif(
    QEMU is None or not FIRMWARE.exists(),
    reason="needs qemu-system-arm and firmware-microbit-micropython (apt-get install both)",
)

POSITIONS = [
    (b"11131.00034", b"E"),
    (b"15107.407402", b"E"),  # 151.1234567, which a 32-bit float makes 151.1234589
    (b"15107.407402", b"W"),
    (b"4404.14066", b"N"),
    (b"4629.8922698", b"N"),
    (b"00734.0836864", b"E"),
    (b"4527.458", b"S"),
    (b"9000", b"S"),
    (b"18000.000000000", b"W"),
    (b"00000.00000", b"E"),
    (b"0000.000003", b"S"),
    (b"17959.999997", b"E"),
]


class Board:
    """The raw REPL of the emulated board, on a PTY."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.unread = b""

    def read_until(self, end: bytes) -> bytes:
        deadline = time.monotonic() + DEADLINE_S
        while end not in self.unread:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {end!r} in {DEADLINE_S} s, only {self.unread!r}"
            self.unread += os.read(self.master, 4096)
        before, _, self.unread = self.unread.partition(end)
        return before

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK_BYTES):
            os.write(self.master, data[at : at + CHUNK_BYTES])
            time.sleep(PAUSE_S)

    def run(self, code: str) -> list[str]:
        """Run `code`; return the lines it printed. AssertionError with the board's traceback if it raised."""
        self.write(code.encode() + b"\x04")
        self.read_until(b"OK")
        out, error = self.read_until(b"\x04"), self.read_until(b"\x04")
        self.read_until(b">")
        assert not error, error.decode()
        return out.decode().split()


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    assert QEMU is not None
    master, slave = pty.openpty()
    tty.setraw(slave)
    command = [QEMU, "-M", "microbit", "-nographic", "-monitor", "none", "-serial", "stdio"]
    qemu = subprocess.Popen(
        [*command, "-device", f"loader,file={FIRMWARE}"], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL
    )
    os.close(slave)
    try:
        board = Board(master)
        board.read_until(b">>> ")
        board.write(b"\x01")
        board.read_until(b"raw REPL; CTRL-B to exit")
        board.read_until(b">")
        board.run("NMEAError = ValueError\nFloat64 = lambda raw: raw\n" + source(nmea.degrees_e7))
        board.run(source(cbor.float64))
        yield board
    finally:
        qemu.kill()
        qemu.wait()
        os.close(master)


def source(function: Callable[..., object]) -> str:
    """Return the function's code without docstring and comments: the board has 9 KB of heap."""
    tree = ast.parse(inspect.getsource(function))
    del tree.body[0].body[0]  # type: ignore[attr-defined]
    return ast.unparse(tree) + "\n"


def test_its_floats_are_single_precision(board: Board) -> None:
    """Else the other test proves nothing."""
    product, step = board.run("print(int(151.1234567 * 10000000), 16777216.0 + 1.0 == 16777216.0)")
    assert int(product) != 1511234567
    assert step == "True"
    assert int(151.1234567 * 10000000) == 1511234567


def test_degrees_and_their_eight_bytes_are_those_of_the_host(board: Board) -> None:
    for text, hemisphere in POSITIONS:
        call = f"e7 = degrees_e7({text!r}, {hemisphere!r})\nprint(e7, *float64(e7, 10000000))"
        e7, *raw = board.run(call)
        assert int(e7) == nmea.degrees_e7(text, hemisphere), text
        assert bytes(map(int, raw)) == cbor.float64(int(e7), 10000000).raw, text


def test_rubbish_is_refused_there_too(board: Board) -> None:
    for text in (b"4460.0", b"9000.001", b"-404.1", b"44o4.1"):
        with pytest.raises(nmea.NMEAError) as refused:
            nmea.degrees_e7(text, b"N")
        call = f"try:\n    degrees_e7({text!r}, b'N')\nexcept NMEAError as e:\n    print(e)"
        assert board.run(call) == str(refused.value).split()
