"""The modem's UART, written at the pace of the wire. What it is written to is a PTY, or stands in for one."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from sim.modem.timings import wire_ms
from sim.pty_line import CHUNK


class Line(Protocol):
    """What a PtyLine is to the modem."""

    dropped: int  # bytes that nobody took

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, data: bytes) -> int:
        """Write what the reader takes now; return how many bytes."""


class Port:
    """
    Bytes to the host. sent: called with (bytes, raw) when an answer begins; tap: with its bytes just before that, and
    what it returns is sent instead.

    There is no flow control (AT+IFC=0,0): what a slow reader does not take is dropped and counted.
    """

    def __init__(self, line: Line, speed: Callable[[], float], sent: Callable[[bytes, bool], None]) -> None:
        self.tap: Callable[[bytes], bytes] = lambda data: data
        self._line = line
        self._speed = speed
        self._sent = sent
        self._outbox: deque[tuple[bytes, bool]] = deque()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def dropped(self) -> int:
        return self._line.dropped

    async def start(self) -> None:
        """Open the line. LineError when that is impossible."""
        self._line.open()
        self._task = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Close the line."""
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
                data = self.tap(data)
                self._sent(data, raw)
                for start in range(0, len(data), CHUNK):
                    chunk = data[start : start + CHUNK]
                    self._line.write(chunk)
                    at += wire_ms(len(chunk)) / 1000 / self._speed()
                    await asyncio.sleep(max(0, at - loop.time()))
            self._filled.clear()
