"""
The modem as its owner sees it: a link, the wires PWRKEY, VBAT and DTR, what is in the air and what goes wrong.

It follows the AT fact sheet. Where the sheet is silent it is as unhelpful as the sheet allows:

- A line that does not begin with AT is dropped without an answer; a command it does not know is a plain ERROR under any
  CMEE. Input waits while a command is at work; COPS=? loses it.
- From the factory IPR is 0 (no RDY), CNMP 2 and CMNB 3: no cell is found before CMNB is 1, and in automatic mode it
  takes minutes. An APN of context 1 counts from the next CFUN=1 or start.
- The clock is 1980 after every start. CFUN=7 is stored and ended by CFUN=6 and CFUN=1,1 only, not by a power cycle.
  The OK of CFUN=1,1 does not come at an automatic rate.
- A context outlives a loss of coverage without a word, and its data starve; CNACT while it comes up is refused.
- PWRKEY pulses within 2 s of the end are not seen, nor is anything sent while it goes down; a pulse while it boots
  switches it off.
- CASEND: too few bytes in time are forgotten with an error, and the payload has no escape. +CADATAIND comes again only
  after a +CARECV: 0. A peer's orderly end is told when all is read, a reset at once, and what was unread is gone.
- A cid whose peer is gone stays taken until CACLOSE. A CAOPEN without network fails after 75 s. Without SSLVERSION, or
  with a CACERT that was never converted, it fails with 27. The name is compared with CAOPEN's host, never with the SNI.
- A modem that is reset, cut off, asleep or without its context tells no peer.
- In sleep (CSCLK and DTR) URCs are lost, only RI tells. GNSS and LTE starve each other when both want the radio.
"""

import asyncio
import pathlib
from collections.abc import Callable, Iterable

from sim.modem import commands
from sim.modem.clock import Clock
from sim.modem.core import Core
from sim.modem.faults import VOLTAGE, Fault, load
from sim.modem.files import Files
from sim.modem.gnss import Gnss
from sim.modem.network import Network
from sim.modem.outside import Outside
from sim.modem.pdp import Pdp
from sim.modem.port import Line, Port
from sim.modem.power import Power
from sim.modem.radio import SEARCHING, Coverage, Radio
from sim.modem.recorder import Recorder
from sim.modem.saving import Saving
from sim.modem.simcard import Card, Slot
from sim.modem.sockets import Sockets
from sim.modem.timings import PWRKEY_RESET
from sim.modem.tls import CUSTOMER, Tls
from sim.pty_line import PtyLine


class Modem:
    """
    A modem that is started with start() and ended with stop(); it boots when PWRKEY is pressed.

    link: path of the symlink to make, or the line itself, whose owner says to received() what the host wrote.
    coverage: the cell in reach, None = none. card: the SIM, None = no SIM. speed: > 1 shortens every wait. faults: a
    file, or a list of Fault. gnss: a recording (path or bytes), "walk" = made up, None = no sky. supply_mv: what CBC
    says. on_ring: called when RI pulses. outside: whom its sockets reach.
    """

    def __init__(
        self,
        link: str | pathlib.Path | Line,
        *,
        coverage: Coverage | None = Coverage(),  # noqa: B008 - frozen
        card: Card | None = Card(),  # noqa: B008 - a tuple
        speed: float = 1.0,
        faults: str | pathlib.Path | Iterable[Fault] | None = None,
        gnss: str | pathlib.Path | bytes | None = None,
        supply_mv: int = 3000,
        on_ring: Callable[[], None] | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.recorder = Recorder()
        core = self._core = Core(speed, self.recorder)
        self.received = core.received
        line = PtyLine(link, core.received) if isinstance(link, str | pathlib.Path) else link
        core.port = self._port = Port(line, lambda: core.speed, core.sent)
        if on_ring:
            core.ring = on_ring
        self.faults = core.faults
        self.faults.changed = self._faults_changed
        self._planned = load(faults) if isinstance(faults, str | pathlib.Path) else list(faults or ())
        self._plans: list[asyncio.TimerHandle] = []
        self._air = (False, False)
        self._pressed_ms: float | None = None
        self._held: asyncio.TimerHandle | None = None

        parts = self._parts = commands.Parts()
        parts.supply_mv = supply_mv
        parts.slot = Slot(core, card)
        parts.radio = Radio(core, coverage)
        parts.files = Files(core)
        outside = outside or Outside()
        parts.clock = Clock(core, outside)
        parts.gnss = Gnss(core, gnss)
        parts.pdp = Pdp(core, parts.radio)
        parts.tls = Tls(core, parts.files, parts.clock, outside)
        parts.sockets = Sockets(core, parts.radio, parts.pdp, parts.tls, outside)
        parts.power = Power(core, self._forget, parts.slot.start)
        parts.network = Network(core, parts.radio, parts.slot, parts.power)
        parts.saving = Saving(core, parts.radio, parts.power, self._has_pin)
        self._join()
        core.checks = {"rf": parts.radio.check, "sim": parts.slot.check, "files": parts.files.check}
        core.table = commands.table(core, parts)

    def _join(self) -> None:
        """Let the parts hear of each other."""
        parts = self._parts
        radio, gnss, pdp = parts.radio, parts.gnss, parts.pdp
        parts.slot.changed = radio.start
        radio.sim_ready = lambda: parts.slot.state == "ready"
        radio.gnss_on = lambda: gnss.on
        radio.registered = self._registered
        radio.lost = pdp.drop
        radio.shared = gnss.look
        gnss.lte_busy = lambda: pdp.any_active or radio.stat == SEARCHING
        gnss.changed = radio.reflow
        pdp.dropped = parts.sockets.dropped
        parts.sockets.edrx_cycle_ms = lambda: parts.saving.edrx_cycle_ms

    def _registered(self) -> None:
        cell = self._parts.radio.cell
        if cell is not None:
            self._core.spawn(self._parts.clock.network(cell.zone_quarters, cell.dst))
        self._parts.saving.registered()

    def _has_pin(self) -> bool:
        card = self._parts.slot.card
        return bool(card and card.pin)

    def _forget(self, supply: bool) -> None:
        """A life has ended. supply: because VBAT went."""
        parts = self._parts
        parts.sockets.restart()
        parts.pdp.restart()
        parts.slot.restart()
        parts.gnss.restart(supply)
        parts.radio.restart(supply)
        parts.saving.restart(supply)
        parts.tls.restart()
        parts.files.restart()
        parts.clock.restart()

    # Life

    async def start(self) -> None:
        """Open its line: a PTY and its link. SimError when that is impossible. The modem is off, its supply on."""
        await self._port.start()
        loop = asyncio.get_running_loop()
        _ = self._core.now_ms
        for fault in self._planned:
            delay_s = (fault.at_ms or 0) / 1000 / self._core.speed
            if delay_s:
                self._plans.append(loop.call_later(delay_s, self.fault, fault))
            else:
                self.fault(fault)

    async def stop(self) -> None:
        """End it, close what it has open, remove the PTY."""
        for timer in (*self._plans, *filter(None, (self._held,))):
            timer.cancel()
        await self._parts.power.ended()
        self._parts.sockets.closed()
        await self._port.stop()

    # Wires

    def pwrkey(self, ms: float) -> None:
        """Press PWRKEY for `ms` of the modem's time."""
        asyncio.get_running_loop().call_later(ms / 1000 / self._core.speed, self._parts.power.pulse, ms)

    def pwrkey_level(self, low: bool) -> None:
        """Follow PWRKEY as a wire: low = pressed. Held for 12 s it resets a running modem at once."""
        if low and self._pressed_ms is None:
            self._pressed_ms = self._core.now_ms
            delay_s = PWRKEY_RESET.ms / 1000 / self._core.speed
            self._held = asyncio.get_running_loop().call_later(delay_s, self._held_long)
        elif not low and self._pressed_ms is not None:
            ms, self._pressed_ms = self._core.now_ms - self._pressed_ms, None
            if self._held is not None:
                self._held.cancel()
            self._parts.power.pulse(ms)

    def _held_long(self) -> None:
        self._pressed_ms = None
        self._parts.power.pulse(PWRKEY_RESET.ms)

    def supply(self, on: bool) -> None:
        """Switch VBAT."""
        self._parts.power.supply(on)

    def dtr(self, high: bool) -> None:
        """Set DTR: high lets the modem sleep when CSCLK=1, low wakes it."""
        self._parts.power.dtr(high)

    def tx(self, high: bool) -> None:
        """Follow the tag's TX: high feeds the modem through its protection while the supply is off."""
        self._parts.power.tx_high = high

    # The world

    def tap(self, spoil: Callable[[bytes], bytes]) -> None:
        """Let `spoil` see each answer or URC as it begins on the line; what it returns is sent instead."""
        self._port.tap = spoil

    @property
    def state(self) -> str:
        """off, booting, on, stopping, psm or dead; asleep when CSCLK and DTR say so."""
        state = self._parts.power.state
        return "asleep" if state == "on" and not self._core.listening else state

    @property
    def now_ms(self) -> float:
        """The modem's time since start()."""
        return self._core.now_ms

    @property
    def speed(self) -> float:
        """How much faster than the real one it is. Set it at run time: waits that have begun keep their pace."""
        return self._core.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._core.set_speed(speed)

    @property
    def starts(self) -> int:
        """How often it began to boot, whatever the reason."""
        return self._parts.power.starts

    @property
    def clock(self) -> Clock:
        return self._parts.clock

    @property
    def counters(self) -> dict[str, int]:
        """What was lost: bytes either way, URCs in sleep, lines that were no commands."""
        core = self._core
        return {
            "lost_from_host": core.lost_bytes,
            "lost_to_host": self._port.dropped,
            "lost_urcs": core.lost_urcs,
            "ignored_lines": core.ignored_lines,
        }

    def store(self, name: str, data: bytes) -> None:
        """Put a file into the customer's folder, as CFSWFILE does."""
        self._parts.files.content[CUSTOMER, name] = data

    def set_coverage(self, coverage: Coverage | None) -> None:
        """Come into the reach of another cell, or of none."""
        self._parts.radio.set_coverage(coverage)

    def set_card(self, card: Card | None) -> None:
        """Put a card in (seen at the next start only) or take it out (seen at once)."""
        self._parts.slot.card = card
        if card is None:
            self._parts.slot.removed()

    def fault(self, fault: Fault) -> None:
        """Let something go wrong, now."""
        if not fault.event:
            self.faults.add(fault)
        elif self.state == "on":
            self.faults.acted[fault.kind] += 1
            if fault.kind == "reset":
                self._core.reset()
            elif fault.kind == "urc":
                self._core.urc(str(fault.options.get("text", VOLTAGE)))
            elif fault.kind == "pdp_drop":
                self._parts.pdp.drop()
            elif fault.kind == "sim_restart":
                self._parts.network.sim_restart()

    def _faults_changed(self) -> None:
        if self.faults.has("dead"):
            self._parts.power.dead()
        if self.faults.has("sim_absent"):
            self._parts.slot.removed()
        air = (self.faults.has("no_coverage"), self.faults.has("denied"))
        if air != self._air:
            self._air = air
            self._parts.radio.look()
