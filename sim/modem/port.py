"""The modem's UART: a PTY under a link's name, written at the pace of the wire."""

import asyncio
import os
import pathlib
import tty
from collections import deque
from collections.abc import Callable

from sim.common import SimError
from sim.modem.timings import wire_ms

_CHUNK = 48  # bytes per write, so that a reader with a small buffer sees a wire and not a burst


class PortError(SimError):
    """A link that cannot be made."""


class Port:
    """
    Bytes both ways. received: called with what the host wrote. sent: called with (bytes, raw) when an answer begins.

    There is no flow control (AT+IFC=0,0): what a slow reader does not take is dropped and counted.
    """

    def __init__(
        self,
        link: str | pathlib.Path,
        speed: Callable[[], float],
        received: Callable[[bytes], None],
        sent: Callable[[bytes, bool], None],
    ) -> None:
        self.link = pathlib.Path(link)
        self.dropped = 0
        self._speed = speed
        self._received, self._sent = received, sent
        self._outbox: deque[tuple[bytes, bool]] = deque()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._master = self._slave = -1

    async def start(self) -> None:
        """Make the PTY and the link. PortError when the link cannot be made."""
        if self.link.exists() and not self.link.is_symlink():
            raise PortError(f"{self.link} exists and is no link. Give --pty another name, or remove it")
        self._master, self._slave = os.openpty()
        # The slave stays open here: else each tag that comes and goes would hang the line up.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        try:
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(os.ttyname(self._slave))
        except OSError as error:
            self._close()
            raise PortError(f"cannot make the link {self.link}: {error.strerror}")
        asyncio.get_running_loop().add_reader(self._master, self._listen)
        self._task = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Remove the PTY and the link."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        asyncio.get_running_loop().remove_reader(self._master)
        if self.link.is_symlink() and os.readlink(self.link) == os.ttyname(self._slave):
            self.link.unlink()
        self._close()

    def _close(self) -> None:
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def write(self, data: bytes, raw: bool = False) -> None:
        """Send, behind what is still on its way. raw: payload, for the recorder."""
        self._outbox.append((data, raw))
        self._filled.set()

    def cut(self) -> None:
        """Lose what is on its way."""
        self._outbox.clear()

    def _listen(self) -> None:
        try:
            self._received(os.read(self._master, 4096))
        except BlockingIOError:
            pass

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            at = loop.time()
            while self._outbox:
                data, raw = self._outbox.popleft()
                self._sent(data, raw)
                for start in range(0, len(data), _CHUNK):
                    chunk = data[start : start + _CHUNK]
                    try:
                        written = os.write(self._master, chunk)
                    except BlockingIOError:
                        written = 0
                    self.dropped += len(chunk) - written
                    at += wire_ms(len(chunk)) / 1000 / self._speed()
                    await asyncio.sleep(max(0, at - loop.time()))
            self._filled.clear()
