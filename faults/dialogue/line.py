"""The serial line between tag and modem, in memory: both ends of it."""

import asyncio

from tests.host.fakes import Uart


class Wire(Uart):
    """
    The tag's end: read(n), write(data), as its UART. `modem` is the other end.

    `hold(s)` keeps back what the modem says from now on, for so long; `cut()` ends that and loses it. `command` is the
    last line that the tag has said, `held_until_s` when a hold ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.modem = _ModemEnd(self)
        self.command = ""
        self.held_until_s = 0.0
        self._held = b""
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        if data[:2] == b"AT" and data[-1:] == b"\r":
            self.command = data[:-1].decode()
        self.modem.received(data)

    def hold(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        if until_s > self.held_until_s:
            self.held_until_s = until_s
            if self._timer:
                self._timer.cancel()
            self._timer = loop.call_at(until_s, self._release)

    def cut(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
            self._held = b""
            self.held_until_s = asyncio.get_running_loop().time()

    def from_modem(self, data: bytes) -> None:
        if self._timer:
            self._held += data
        else:
            self.arrive(data)

    def _release(self) -> None:
        self._timer = None
        held, self._held = self._held, b""
        self.from_modem(held)


class _ModemEnd:
    """What the modem takes for a PTY. There is room for all that it says."""

    dropped = 0

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.received = lambda data: None

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, data: bytes) -> int:
        self._wire.from_modem(data)
        return len(data)
