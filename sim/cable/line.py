"""One end of a PTY in the event loop, with a queue: what the other side does not take now waits."""

import asyncio
import os
import tty
from collections.abc import Callable


class Line:
    """received: called with what the other side wrote. `path` is the other end's device, `slave` its descriptor."""

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        os.set_blocking(self.master, False)
        self._queue = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.master, self._listen)

    def write(self, data: bytes) -> None:
        """Send `data` behind what still waits."""
        if self.master < 0:
            return
        self._queue += data
        self._flush()

    def close(self) -> None:
        """Pull it: whoever has the other end open reads an end, and cannot open it again."""
        if self.master < 0:
            return
        self._loop.remove_reader(self.master)
        self._loop.remove_writer(self.master)
        os.close(self.master)
        os.close(self.slave)
        self.master = -1

    def _flush(self) -> None:
        try:
            while self._queue:
                del self._queue[: os.write(self.master, self._queue[:4096])]
        except BlockingIOError:
            self._loop.add_writer(self.master, self._flush)
            return
        self._loop.remove_writer(self.master)

    def _listen(self) -> None:
        try:
            data = os.read(self.master, 4096)
        except (BlockingIOError, OSError):
            return
        self._received(data)
