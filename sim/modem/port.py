"""The modem's UART: a PTY under a link's name, written at the pace of the wire."""

import asyncio
import pathlib
from collections import deque
from collections.abc import Callable

from sim.modem.timings import wire_ms
from sim.pty_line import CHUNK, PtyLine


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
        self._line = PtyLine(link, received)
        self._speed = speed
        self._sent = sent
        self._outbox: deque[tuple[bytes, bool]] = deque()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def link(self) -> pathlib.Path:
        return self._line.link

    @property
    def dropped(self) -> int:
        return self._line.dropped

    async def start(self) -> None:
        """Make the PTY and the link. LineError when the link cannot be made."""
        self._line.open()
        self._task = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Remove the PTY and the link."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._line.close()

    def write(self, data: bytes, raw: bool = False) -> None:
        """Send, behind what is still on its way. raw: payload, for the recorder."""
        self._outbox.append((data, raw))
        self._filled.set()

    def cut(self) -> None:
        """Lose what is on its way."""
        self._outbox.clear()

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            at = loop.time()
            while self._outbox:
                data, raw = self._outbox.popleft()
                self._sent(data, raw)
                for start in range(0, len(data), CHUNK):
                    chunk = data[start : start + CHUNK]
                    self._line.write(chunk)
                    at += wire_ms(len(chunk)) / 1000 / self._speed()
                    await asyncio.sleep(max(0, at - loop.time()))
            self._filled.clear()
