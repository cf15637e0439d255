"""PSM and eDRX: what was asked, what the network grants, and the modem that goes to sleep over it. Sheet 3.6, 3.7."""

import asyncio
from collections.abc import Callable

from sim.modem import timings
from sim.modem.core import Core, Reply, lines
from sim.modem.line import AtError
from sim.modem.memory import AUTO_SAVE
from sim.modem.power import Power
from sim.modem.radio import Radio

_TAU_UNITS_S = {0: 600, 1: 3600, 2: 36000, 3: 2, 4: 30, 5: 60, 6: 320 * 3600}
_ACTIVE_UNITS_S = {0: 2, 1: 60, 2: 360}
_CYCLES_S: tuple[float, ...] = (
    5.12,
    10.24,
    20.48,
    40.96,
    61.44,
    81.92,
    102.4,
    122.88,
    143.36,
    163.84,
    327.68,
)
_CYCLES_S += (655.36, 1310.72, 2621.44, 5242.88, 10485.76)
_OFF = ("00000000", "00000000")
_POLL_MS = 200


def tau_s(bits: str) -> int:
    """Seconds of a T3412 extended byte as CPSMS writes it."""
    return _TAU_UNITS_S.get(int(bits[:3], 2), 0) * int(bits[3:], 2)


def active_s(bits: str) -> int:
    """Seconds of a T3324 byte as CPSMS writes it."""
    return _ACTIVE_UNITS_S.get(int(bits[:3], 2), 0) * int(bits[3:], 2)


class Saving:
    """has_pin: asked, because a SIM with a PIN keeps a modem from PSM (LP 3.4)."""

    def __init__(self, core: Core, radio: Radio, power: Power, has_pin: Callable[[], bool]) -> None:
        self._core, self._radio, self._power, self._has_pin = core, radio, power, has_pin
        self._granted = _OFF
        self._slept = False
        self._timer: asyncio.Task[None] | None = None
        radio.psm_timers = lambda: self._granted

    def restart(self, supply: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if supply:
            self._granted, self._slept = _OFF, False

    def registered(self) -> None:
        """The modem is in the network: it asks for PSM and watches for the moment."""
        memory = self._core.memory
        if memory.get("cpsms", 0):
            self._granted = memory.get("psm_timers", _OFF)
        if self._slept:
            self._slept = False
            if memory.get("cpsmstatus", 0):
                self._core.urc('+CPSMSTATUS: "EXIT PSM"')
        self._core.spawn(self._watch())

    async def _watch(self) -> None:
        while self._radio.attached:
            await self._core.wait(_POLL_MS)
            tau, active = (tau_s(self._granted[0]), active_s(self._granted[1]))
            threshold = self._core.memory.get("psm_threshold_s", timings.PSM_THRESHOLD_S)
            cell = self._radio.cell
            if self._has_pin() or cell is None or not cell.psm or tau - active < threshold:
                continue
            if self._radio.idle_ms >= timings.RRC_IDLE.ms + active * 1000:
                if self._core.memory.get("cpsmstatus", 0):
                    self._core.urc('+CPSMSTATUS: "ENTER PSM"')
                self._slept = self._radio.from_psm = True
                self._power.sleep_deep()
                self._timer = asyncio.get_running_loop().create_task(self._sleep(tau * 1000))
                return

    async def _sleep(self, ms: float) -> None:
        await self._core.wait(ms)
        self._timer = None
        self._power.wake()

    @property
    def edrx_cycle_ms(self) -> float:
        """The cycle in which an idle modem can be reached, 0 = at any time."""
        bits, cell = self._core.memory.get("edrx_bits"), self._radio.cell
        return _CYCLES_S[int(bits, 2)] * 1000 if bits and cell and cell.edrx else 0.0

    # Commands

    def cpsms(self, mode: int, _1: None, _2: None, tau: str | None, active: str | None) -> None:
        """AT+CPSMS: the network is asked only when the mode goes from 0 to 1 (LP 3.4)."""
        memory = self._core.memory
        for bits in (tau, active):
            if bits is not None and (len(bits) != 8 or set(bits) - {"0", "1"}):
                raise AtError(765)
        before = memory.get("psm_timers", _OFF)
        asked = (tau or before[0], active or before[1])
        memory.set("psm_timers", asked, AUTO_SAVE)
        if not mode:
            self._granted = _OFF
        elif not memory.get("cpsms", 0):
            self._granted = asked
        memory.set("cpsms", mode, AUTO_SAVE)

    def cpsms_read(self) -> Reply:
        tau, active = self._core.memory.get("psm_timers", _OFF)
        return lines(f'+CPSMS: {self._core.memory.get("cpsms", 0)},,,"{tau}","{active}"')

    def cpsmrdp(self) -> Reply:
        asked = self._core.memory.get("psm_timers", _OFF)
        cell = self._radio.cell
        granted = self._granted if cell and cell.psm and self._radio.attached else _OFF
        mode = int(self._core.memory.get("cpsms", 0))
        network = f"{active_s(granted[1])},{tau_s(granted[0])},{timings.PSM_TAU_DEFAULT.ms // 1000:.0f}"
        return lines(f"+CPSMRDP: {mode},{active_s(asked[1])},{tau_s(asked[0])},{network}")

    def cpsmcfg(self, threshold_s: int, mask: int | None) -> None:
        self._core.memory.set("psm_threshold_s", threshold_s, AUTO_SAVE)
        self._core.memory.set("psm_mask", mask or 0, AUTO_SAVE)

    def cedrxs(self, mode: int, kind: int | None, bits: str | None) -> Reply:
        memory = self._core.memory
        if mode == 0:
            memory.set("edrx_bits", None, AUTO_SAVE)
            return Reply()
        if kind is None or bits is None or len(bits) != 4 or set(bits) - {"0", "1"}:
            raise AtError(765)
        memory.set("edrx_asked", (kind, bits), AUTO_SAVE)
        memory.set("edrx_bits", bits if kind == 4 else None, AUTO_SAVE)
        return Reply(then=lambda: self._core.urc(self._edrx("+CEDRXP")) if mode == 2 else None)

    def _edrx(self, name: str) -> str:
        bits = self._core.memory.get("edrx_bits")
        granted = bits and self.edrx_cycle_ms and self._radio.attached
        return f'{name}: 4,"{bits}","{bits}","0000"' if granted else f"{name}: 0"

    def cedrxs_read(self) -> Reply:
        asked = self._core.memory.get("edrx_asked")
        if asked is None:
            raise AtError(None)
        return lines(f'+CEDRXS: {asked[0]},"{asked[1]}"')

    def cedrxrdp(self) -> Reply:
        return lines(self._edrx("+CEDRXRDP"))
