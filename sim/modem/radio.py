"""
The network: coverage, registration, RRC and the one radio that LTE and GNSS share. Sheet 3, 8.3.

A cell is found only by a modem that looks for it: CNMP, CMNB, the band and the APN of context 1 must fit, and the GNSS
must be off. Otherwise CEREG says 2 for ever.
"""

import asyncio
import dataclasses
from collections.abc import Callable

from sim.modem import timings
from sim.modem.core import Core
from sim.modem.line import RF_OFF, AtError
from sim.modem.timings import DOWNLINK, RRC_CONNECT, RRC_IDLE, UPLINK

IDLE, HOME, SEARCHING, DENIED, ROAMING = 0, 1, 2, 3, 5
_LTE, _AUTO = (38,), (2, 51)
_NO_TIMERS = ("00000000", "00000000")


@dataclasses.dataclass(frozen=True)
class Coverage:
    """One serving cell and its network. The SINR is 2 * rssnr - 20 dB; apns: those that are accepted."""

    plmn: str = "001-01"
    operator: str = "Test Network"
    tac: int = 0x07D0
    cell: int = 12024586
    pci: int = 211
    band: int = 20
    earfcn: int = 6300
    rsrq_db: int = -11
    rsrp_dbm: int = -89
    rssi_dbm: int = -63
    rssnr: int = 15
    neighbours: tuple[tuple[int, int, int, int, int, int], ...] = ((6300, 87, -98, -74, -16, 3),)
    roaming: bool = False
    apns: tuple[str, ...] = ("", "obereg")
    zone_quarters: int = 8
    dst: int = 0
    psm: bool = True
    edrx: bool = True


class Radio:
    """
    Registration and the way to the network. flow is set while data can pass.

    gnss_on, busy_elsewhere: asked for the state of the other user of the radio.
    """

    def __init__(self, core: Core, coverage: Coverage | None) -> None:
        self.stat = IDLE
        self.flow = asyncio.Event()
        self.registered_ms = 0.0
        self.sim_ready: Callable[[], bool] = lambda: False
        self.gnss_on: Callable[[], bool] = lambda: False
        self.registered: Callable[[], None] = lambda: None
        self.lost: Callable[[], None] = lambda: None  # the PDP context goes with the registration
        self.shared: Callable[[], None] = lambda: None  # LTE began or ended something: the GNSS looks
        self._core = core
        self._coverage = coverage
        self._search: asyncio.Task[None] | None = None
        self.psm_timers: Callable[[], tuple[str, str]] = lambda: _NO_TIMERS  # (TAU, active) as asked for
        self.from_psm = False  # the network still knows us
        self._apn = ""  # of context 1 when the radio was switched on
        self._known = False  # registered before in this life of the supply
        self._active_ms = -1e9

    @property
    def cell(self) -> Coverage | None:
        """The cell in reach, found or not."""
        return None if self._core.faults.has("no_coverage") else self._coverage

    @property
    def attached(self) -> bool:
        return self.stat in (HOME, ROAMING)

    @property
    def cfun(self) -> int:
        return int(self._core.memory.get("cfun", 1))

    def check(self) -> None:
        """AtError when the radio is switched off (CFUN)."""
        if self.cfun != 1:
            raise AtError(RF_OFF)

    def restart(self, supply: bool = False) -> None:
        self._search = None
        self.stat = IDLE
        self._active_ms = -1e9
        if supply:
            self._known = self.from_psm = False
        self.reflow()

    def set_coverage(self, coverage: Coverage | None) -> None:
        """Come into another cell's reach, or into none's."""
        self._coverage = coverage
        self.look()

    def start(self) -> None:
        """Take over the stored APN (a change needs CFUN=0 and 1, sheet 3 trap 3) and look for a cell."""
        self._apn = self._core.memory.get("apn1", "")
        self.look()

    def look(self) -> None:
        """Something has changed (coverage, SIM, settings, denial): lose the cell or search anew."""
        if self._search is not None:
            self._search.cancel()
            self._search = None
        wanted = self.cfun == 1 and self.sim_ready() and self._core.memory.get("attach", 1)
        if not wanted:
            self._set(IDLE)
            self.lost()
        elif not (self.attached and self._fits()):
            # A cell out of reach keeps the PDP context: data starve until it comes back.
            self._set(SEARCHING)
            self._search = self._core.spawn(self._find())

    def _fits(self) -> bool:
        """Say whether the settings can find the cell that is there."""
        memory, cell = self._core.memory, self.cell
        return (
            cell is not None
            and memory.get("cnmp", 2) in _LTE + _AUTO
            and memory.get("cmnb", 3) == 1
            and cell.band in memory.get("bands_cat_m", ALL_BANDS)
            and self._apn in cell.apns
            and not self._core.faults.has("denied")
        )

    async def _find(self) -> None:
        if self.cell is None or not (self._fits() or self._core.faults.has("denied")):
            return  # searching, until something changes
        if self._core.faults.has("denied"):
            await self._core.wait(timings.REGISTER_DENIED)
            self._set(DENIED)
            self.lost()
            return
        await self._core.wait(self._search_time())
        while self.gnss_on():
            await self._core.wait(self._search_time())
        self._known, self.from_psm = True, False
        self.registered_ms = self._active_ms = self._core.now_ms
        self._set(ROAMING if self.cell and self.cell.roaming else HOME)
        self.registered()

    def _search_time(self) -> timings.Figure:
        if self.from_psm:
            return timings.REGISTER_PSM
        if self._known:
            return timings.REGISTER_WARM
        return timings.REGISTER_AUTO if self._core.memory.get("cnmp", 2) in _AUTO else timings.REGISTER_COLD

    def _set(self, stat: int) -> None:
        if stat != self.stat:
            self.stat = stat
            self.announce()
        self.reflow()
        self.shared()

    def announce(self) -> None:
        """Say the registration where CREG, CGREG, CEREG ask for it."""
        for name in ("creg", "cgreg", "cereg"):
            mode = self._core.memory.get(name, 0)
            if mode:
                self._core.urc(f"+{name.upper()}: {self.described(name)}")

    def described(self, name: str) -> str:
        """Return what stands behind `+CEREG: <n>,`: with 2 the cell, with 4 it and the timers (no rac, LP 7.1.1)."""
        mode, cell = self._core.memory.get(name, 0), self.cell
        if mode < 2 or not self.attached or cell is None:
            return f"{self.stat}"
        if mode == 4:
            tau, active = self.psm_timers() if cell.psm else _NO_TIMERS
            return f'{self.stat},"{cell.tac:04X}","{cell.cell:X}",7,,,"{active}","{tau}"'
        return f'{self.stat},"{cell.tac:04X}","00","{cell.cell:X}",7'

    # Data

    def reflow(self) -> None:
        """Work out anew whether data can pass: not without a cell, and not beside the GNSS."""
        if self.attached and self.cell is not None and not self.gnss_on():
            self.flow.set()
        else:
            self.flow.clear()

    @property
    def idle_ms(self) -> float:
        """Time since the last traffic."""
        return self._core.now_ms - self._active_ms

    async def uplink(self) -> None:
        """Wait as long as bytes to the network do."""
        await self.flow.wait()
        if self.idle_ms > RRC_IDLE.ms:
            await self._core.wait(RRC_CONNECT)
        self._active_ms = self._core.now_ms
        await self._core.wait(UPLINK)

    async def downlink(self, edrx_cycle_ms: float) -> None:
        """Wait as long as bytes from the network do: an idle modem with eDRX hears only once in a cycle."""
        await self.flow.wait()
        if self.idle_ms > RRC_IDLE.ms:
            if edrx_cycle_ms:
                await self._core.wait(edrx_cycle_ms - self._core.now_ms % edrx_cycle_ms)
            await self._core.wait(RRC_CONNECT)
        self._active_ms = self._core.now_ms
        await self._core.wait(DOWNLINK)


ALL_BANDS = (1, 2, 3, 4, 5, 8, 12, 13, 14, 18, 19, 20, 25, 26, 27, 28, 66, 85)
