"""A modem whose radio serves LTE or the sky, in memory: what shared_sky.py and a bearer see of it."""

import asyncio
from collections.abc import Callable

from at_line import ModemError

from tests.host.fakes import Now
from tests.host.loop_broker import FakeBearer, LoopBroker

# AT manual 8.2.2; the tag was built on 2026-09-21.
NO_FIX = "+CGNSINF: 1,0,19800106000029.000,,,,0.00,0.0,0,,,,,,0,,,"
FIX = "+CGNSINF: 1,1,20261001120000.000,50.450100,30.523400,150.0,0.0,0.0,1,,1.0,1.3,0.9,,8,,6.0,9.0"
FIX_UTC_S = 1_790_856_000


class RadioModem:
    """
    `log` holds (at_s, "lent" | a command of the receiver's); the sky shows itself `sky_s` after the receiver was
    switched on (None: never). `awake` False or a command in `refuses`: ModemError.
    """

    def __init__(self, now: Now) -> None:
        self.now = now
        self.radio = asyncio.Lock()
        self.log: list[tuple[float, str]] = []
        self.sky_s: float | None = 5.0
        self.awake = True
        self.refuses: set[str] = set()
        self.on_lent: Callable[[], None] = lambda: None
        self.receiver_s: float | None = None  # when it was switched on

    async def lend_radio(self) -> None:
        if not self.awake:
            raise ModemError("the modem is not awake")
        self.log.append((self.now.s, "lent"))
        self.on_lent()

    async def take_radio(self) -> None:
        try:
            await self.command("AT+CGNSPWR=0")
        except ModemError:
            pass  # the driver tries again before LTE goes on

    async def command(self, text: str) -> list[str]:
        assert self.radio.locked()
        await asyncio.sleep(0.01)
        self.log.append((self.now.s, text))
        if text in self.refuses:
            raise ModemError(text + ": ERROR")
        if text == "AT+CGNSPWR=1":
            self.receiver_s = self.now.s
        elif text == "AT+CGNSPWR=0":
            self.receiver_s = None
        elif text == "AT+CGNSINF" and self.receiver_s is not None:
            seen = self.sky_s is not None and self.now.s - self.receiver_s >= self.sky_s
            return [FIX if seen else NO_FIX]
        return []

    def windows(self, began_s: float) -> list[tuple[float, float]]:
        """From when to when the receiver was on, in s after `began_s`, to tenths; one that is still on has no end."""
        found = []
        for at_s, what in self.log:
            if what == "AT+CGNSPWR=1":
                found.append((round(at_s - began_s, 1), -1.0))
            elif what == "AT+CGNSPWR=0" and found:
                found[-1] = (found[-1][0], round(at_s - began_s, 1))
        return found


class RadioBearer(FakeBearer):
    """LTE over that modem: it attaches when the radio is free, and what is open ends when the radio is lent."""

    def __init__(self, broker: LoopBroker, modem: RadioModem) -> None:
        super().__init__(broker, "modem")
        self.attach_ms, self.open_ms = 240_000, 80_000
        self.attach_s = 1.0
        self._modem = modem
        self._up = False
        modem.on_lent = self._lose

    async def attach(self, deadline_ms: int) -> None:
        async with self._modem.radio:
            if not self._up:
                await super().attach(deadline_ms)
                self._up = True

    def _lose(self) -> None:
        self._up = False
        for stream in self.streams:
            stream.error = ModemError("the receiver has the radio")
            stream.arrive(b"")
