"""
The GNSS inside the modem: CGNSPWR, CGNSINF, SGNSCMD, fed by a recording or by no sky at all. Sheet 8.

It shares the radio with LTE: while a PDP context is up or coming up, or a cell is searched for, it does not fix;
while it is on, no data pass and no cell is found.
"""

import datetime
import itertools
import pathlib
from collections.abc import Callable, Iterator

from sim import nmea_play
from sim.common import SimError
from sim.modem import timings
from sim.modem.core import Core, Reply, lines
from sim.modem.line import NOT_ALLOWED, AtError
from sim.modem.nmea import Place, place_of

_HPA_PER_HDOP_M = 8.0
_NEVER = -1e12
_COARSE = "3.5,3.6,1.0,,3,,11864.6,143.4"  # sheet 8.1 trap 2
_UNKNOWN = "1,,,0.000000,0.000000,-18.000,,,1,,0.1,0.1,0.1,,,,9999000.0,6144.0"


class Gnss:
    """
    The receiver. recording: NMEA (a path or bytes), "walk" = a made-up walk, None = no sky.

    lte_busy: asked whether LTE uses the radio. changed: called when the receiver goes on or off.
    """

    def __init__(self, core: Core, recording: str | pathlib.Path | bytes | None) -> None:
        self.on = False
        self.lte_busy: Callable[[], bool] = lambda: False
        self.changed: Callable[[], None] = lambda: None
        self._core = core
        self._epochs = _source(recording)
        self._next_ms = 0.0
        self._place: Place | None = None
        self._free_since_ms: float | None = None  # alone on the radio since
        self._needed = timings.TTFF_COLD
        self._fixed_ms = _NEVER  # when the last fix was
        self._old: Place | None = None

    def restart(self, supply: bool = False) -> None:
        self.on = False
        self._free_since_ms = None
        self._place = None
        if supply:
            self._fixed_ms, self._old = _NEVER, None

    def look(self) -> None:
        """Something on the radio has changed: the search begins anew whenever it was disturbed."""
        if not self.on or self.lte_busy():
            self._free_since_ms = None
            self._place = None
        elif self._free_since_ms is None:
            hot = self._core.now_ms - self._fixed_ms < timings.HOT_UNTIL.ms
            self._needed = timings.TTFF_HOT if hot else timings.TTFF_COLD
            self._free_since_ms = self._core.now_ms

    def _fix(self) -> tuple[Place, float] | None:
        """Return where we are and for how many ms there has been a fix; None while searching."""
        if self._epochs is None or self._free_since_ms is None:
            return None
        now_ms = self._core.now_ms
        age_ms = now_ms - self._free_since_ms - self._needed.ms
        if age_ms < 0:
            return None
        if self._place is None:
            self._next_ms = max(self._next_ms, now_ms - 1000)
        for _ in range(100):  # at most so much of the recording at once
            if self._next_ms > now_ms:
                break
            epoch = next(self._epochs)
            self._next_ms += epoch.gap_s * 1000
            self._place = place_of(epoch.data)
        else:
            self._next_ms = now_ms
        if self._place is None:
            return None
        self._fixed_ms, self._old = now_ms, self._place
        return self._place, age_ms

    # Commands

    def power(self, on: int) -> None:
        if bool(on) == self.on:
            return
        self.on = bool(on)
        self.look()
        self.changed()

    def forget(self) -> None:
        """AT+CGNSCOLD: the next search is a cold one, and it begins (sheet 8)."""
        self._fixed_ms, self._old = _NEVER, None
        self.again()

    def again(self) -> None:
        """AT+CGNSWARM, AT+CGNSHOT."""
        self.on = True
        self._free_since_ms = self._place = None
        self.look()
        self.changed()

    def inf(self) -> Reply:
        """AT+CGNSINF: 18 fields; without a fix there are numbers too, and they are wrong (sheet 8.1 trap 1)."""
        if not self.on or self._core.faults.has("gnss_run_zero"):
            return lines("+CGNSINF: 0" + "," * 17)
        fix = self._fix()
        if fix is None:
            if self._old is None:
                return lines(f"+CGNSINF: {_UNKNOWN}")
            old = f"1,,,{self._old.lat:.1f}00000,{self._old.lon:.1f}00000,-37.592"
            return lines(f"+CGNSINF: {old},,,1,,0.1,0.1,0.1,,,,155976.0,6000.0")
        place, age_ms = fix
        utc = datetime.datetime.now(datetime.UTC)
        where = f"{utc:%Y%m%d%H%M%S}.000,{place.lat:.6f},{place.lon:.6f},{place.altitude_m:.3f}"
        if age_ms < timings.COARSE_FIX.ms:
            return lines(f"+CGNSINF: 1,1,{where},,,1,,{_COARSE}")
        move = f"{place.speed_kmh:.2f},{'' if place.course is None else f'{place.course:.2f}'}"
        quality = f"{place.hdop:.1f},{place.pdop:.1f},{place.vdop:.1f},,{place.satellites},"
        hpa_m = place.hdop * _HPA_PER_HDOP_M
        return lines(f"+CGNSINF: 1,1,{where},{move},1,,{quality},{hpa_m:.1f},{hpa_m * 1.4:.1f}")

    def sgnscmd(self, mode: int, _a: int | None, _b: int | None, _c: int | None) -> Reply:
        """AT+SGNSCMD: 0 stops, 1 is one shot with a URC at its end; 2 (periodic) is not emulated."""
        if mode == 0:
            self.power(0)
            return Reply()
        if self.on or mode == 2:
            raise AtError(NOT_ALLOWED)
        self.power(1)
        return Reply(then=lambda: self._core.spawn(self._shot()))

    async def _shot(self) -> None:
        end_ms = self._core.now_ms + self._core.memory.get("sgns_timeout", timings.SGNS_TIMEOUT.ms)
        while self.on and self._core.now_ms < end_ms:
            await self._core.wait(200)
            if fix := self._fix():
                place, now = fix[0], datetime.datetime.now(datetime.UTC)
                self.power(0)
                where = f"{now:%H:%M:%S},{place.lat:.5f},{place.lon:.5f},{place.hdop * _HPA_PER_HDOP_M:.2f}"
                height = f"{place.altitude_m:.2f},{place.altitude_m:.2f}"
                stamp = f"{int(now.timestamp() * 1000):#x}"
                self._core.urc(f"+SGNSCMD: 1,{where},{height},0.00,0.00,{stamp},311")
                return
        if self.on:
            self.power(0)
            self._core.urc("+SGNSERR: 10")


def _source(recording: str | pathlib.Path | bytes | None) -> Iterator[nmea_play.Epoch] | None:
    if recording is None:
        return None
    if recording == "walk":
        return nmea_play.walk()
    played = nmea_play.load(recording)
    if not any(place_of(epoch.data) for epoch in played):
        raise SimError("there is no fix in the recording. Give another one, or none")
    return itertools.cycle(played)
