"""A serial line as a PTY under a link's name: what the sky and the modem stand behind."""

import asyncio
import os
import pathlib
import tty
from collections.abc import Callable

from sim.common import SimError

CHUNK = 48  # bytes per write, so that a reader with a small buffer sees a wire and not a burst


class LineError(SimError):
    """A link that cannot be made."""


class PtyLine:
    """
    open() makes the PTY and the link, close() removes them. received: called with what the other side wrote.

    There is no flow control: what a slow reader does not take is dropped and counted.
    """

    def __init__(self, link: str | pathlib.Path, received: Callable[[bytes], None]) -> None:
        self.link = pathlib.Path(link)
        self.dropped = 0  # bytes
        self._received = received
        self._master = self._slave = -1

    @property
    def is_open(self) -> bool:
        return self._master >= 0

    def open(self) -> None:
        """Make the PTY, raw, and the link. LineError when the link cannot be made."""
        if self.link.exists() and not self.link.is_symlink():
            raise LineError(f"{self.link} exists and is no link. Give --pty another name, or remove it")
        self._master, self._slave = os.openpty()
        # The slave stays open here: else each tag that comes and goes would hang the line up.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        try:
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(os.ttyname(self._slave))
        except OSError as error:
            self._end()
            raise LineError(f"cannot make the link {self.link}: {error.strerror}")
        asyncio.get_running_loop().add_reader(self._master, self._listen)

    def close(self) -> None:
        """Remove the PTY, and the link if it is still ours. Safe at any time."""
        if not self.is_open:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        if self.link.is_symlink() and os.readlink(self.link) == os.ttyname(self._slave):
            self.link.unlink()
        self._end()

    def write(self, data: bytes) -> int:
        """Write what the reader takes now; return how many bytes, and count the rest as dropped."""
        try:
            written = os.write(self._master, data)
        except BlockingIOError:
            written = 0
        self.dropped += len(data) - written
        return written

    def _end(self) -> None:
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def _listen(self) -> None:
        try:
            self._received(os.read(self._master, 4096))
        except BlockingIOError:
            pass
