"""
The modem's clock: 1980 at every start, set by CCLK or, with CLTS, by the network. Sheet 3.5.

It runs with the clock outside, whatever the speed of the emulator is.
"""

import datetime
import re

from sim.modem import timings
from sim.modem.core import Core, Reply, lines
from sim.modem.line import AtError
from sim.modem.memory import AUTO_SAVE
from sim.modem.outside import Outside

_COLD = datetime.datetime(1980, 1, 6, tzinfo=datetime.UTC)
_CCLK = re.compile(r"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-]\d\d)$")


class Clock:
    """UTC and a zone in quarter hours; only the zone is stored."""

    def __init__(self, core: Core, outside: Outside) -> None:
        self._core = core
        self._outside = outside
        self._set_at_s = outside.monotonic_s()
        self._utc = _COLD

    def restart(self) -> None:
        self._set(_COLD)

    def _set(self, utc: datetime.datetime) -> None:
        self._utc, self._set_at_s = utc, self._outside.monotonic_s()

    @property
    def utc(self) -> datetime.datetime:
        """What the modem takes for now; certificates are checked against it."""
        return self._utc + datetime.timedelta(seconds=self._outside.monotonic_s() - self._set_at_s)

    async def network(self, zone: int, dst: int) -> None:
        """Take the network's time and say so, if CLTS is in force."""
        if not self._core.memory.get("clts", 0):
            return
        await self._core.wait(timings.NETWORK_TIME)
        now = self._outside.utc()
        self._set(now)
        self._core.memory.set("zone", zone, AUTO_SAVE)
        self._core.urc(f"DST: {dst}")
        # The missing quote is the real form, and so is saying it twice.
        for _ in range(2):
            self._core.urc(f'*PSUTTZ: {now:%y/%m/%d,%H:%M:%S}","{zone:+03d}",{dst}')

    # Commands

    def read(self) -> Reply:
        zone = self._core.memory.get("zone", 0)
        local = self.utc + datetime.timedelta(minutes=15 * zone)
        return lines(f'+CCLK: "{local:%y/%m/%d,%H:%M:%S}{zone:+03d}"')

    def write(self, text: str) -> Reply:
        match = _CCLK.match(text)
        if match is None:
            raise AtError(765)
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        zone = int(match[7])
        century = 1900 if year >= 80 else 2000
        try:
            local = datetime.datetime(century + year, month, day, hour, minute, second, tzinfo=datetime.UTC)
        except ValueError:
            raise AtError(765)
        if not -48 <= zone <= 56:
            raise AtError(765)
        self._set(local - datetime.timedelta(minutes=15 * zone))
        self._core.memory.set("zone", zone, AUTO_SAVE)
        return Reply()
