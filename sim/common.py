"""What the simulator's parts share: the root of their errors, addresses, lines from stdin."""

import asyncio
import errno
import pathlib
import sys
import threading
from collections.abc import AsyncIterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build"


class SimError(Exception):
    """Root of the parts' errors. The command line shows the text as one line and exits with 2."""


def parse_address(text: str) -> tuple[str, int]:
    """Split "HOST:PORT"; SimError when it is something else."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise SimError(f"not an address: {text!r}. Say HOST:PORT, for example 127.0.0.1:1883")
    return host.strip("[]"), int(port)


def listen_problem(host: str, port: int, error: OSError) -> str:
    """Say why nothing can listen at an address and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is in use. Stop what listens there, or choose another port"
    return f"cannot listen at {host}:{port}: {error.strerror or error}"


async def stdin_lines() -> AsyncIterator[str]:
    """Yield stdin's lines, stripped, until it ends. Works for a terminal, a pipe and a file."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        try:
            for line in sys.stdin:
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, "")
        except RuntimeError:
            return  # the loop has ended

    # A daemon thread: one of the default executor would keep Ctrl-C waiting for a last line.
    threading.Thread(target=read, daemon=True).start()
    while line := await queue.get():
        yield line.strip()
