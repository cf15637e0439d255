"""
Power: the supply, PWRKEY, the boot with its URCs, restarts, the way down, sleep by DTR. Sheet 2.

States: off, booting, on, stopping, psm, dead. A pulse toggles: to a running modem it is the order to switch off.
"""

import asyncio
from collections.abc import Callable

from sim.modem import timings
from sim.modem.core import Core, Reply
from sim.modem.line import AtError, info

_GARBAGE = b"\xff"  # sheet 2.5: a garbage byte before RDY
_NEVER = -1e9


class Power:
    """forget: called at each end of a life, with True when the supply went. booted: starts SIM and radio."""

    def __init__(self, core: Core, forget: Callable[[bool], None], booted: Callable[[], None]) -> None:
        self.state = "off"
        self.supplied = True
        self.dtr_high = False
        self.tx_high = False  # the host's TX; only a wire that is told of matters
        self.starts = 0  # boots that were begun, for whatever reason
        self._core = core
        self._forget, self._booted = forget, booted
        self._off_ms = _NEVER
        self._way: asyncio.Task[None] | None = None  # up or down: outlives the life it ends
        core.reset = lambda: self.restart(_GARBAGE)

    # What the owner does

    def supply(self, on: bool) -> None:
        """
        Switch VBAT. Off is at once: nothing is said, no peer is told, a dead modem is cured, unless a line that stays
        high goes on feeding it.
        """
        if on == self.supplied:
            return
        self._core.mark("supply on" if on else "supply off")
        self.supplied = on
        if not on:
            self._end("off")
            self._forget(True)
            self._off_ms = _NEVER
            if self._core.port is not None:
                self._core.port.cut()
            if self.tx_high or self.dtr_high:
                self._core.mark("fed by its lines")
            else:
                self._core.faults.clear("dead")

    def pulse(self, ms: float) -> None:
        """Judge a low pulse of PWRKEY, at its end."""
        self._core.mark(f"pwrkey {ms:.0f} ms")
        if not self.supplied or self.state == "dead":
            return
        if self.state == "psm":
            self.wake()
        elif self.state in ("on", "booting"):
            if ms >= timings.PWRKEY_RESET.ms:
                self.restart(b"")
            elif ms >= timings.PWRKEY_OFF.ms:
                self.down()
        elif self.state == "off" and ms >= timings.PWRKEY_ON.ms and self._rested():
            self._begin(b"")

    def _rested(self) -> bool:
        return self._core.now_ms - self._off_ms >= timings.OFF_PAUSE.ms

    def dtr(self, high: bool) -> None:
        """Set DTR. High with CSCLK=1 is sleep, low wakes (sheet 3.8)."""
        self._core.mark("dtr high" if high else "dtr low")
        self.dtr_high = high
        if high:
            self.doze()
        elif self.state == "on" and not self._core.listening:
            self._core.spawn(self._wake_by_dtr())

    def doze(self) -> None:
        """Sleep if CSCLK and DTR say so: the UART is dead, the network goes on."""
        if self.state == "on" and self.dtr_high and self._core.memory.get("csclk", 0):
            self._core.listening = False
            self._core.lose_input()

    async def _wake_by_dtr(self) -> None:
        await self._core.wait(timings.WAKE)
        if not self.dtr_high:
            self._core.listening = True

    # What the modem does

    def restart(self, first: bytes, ok: bool = False) -> None:
        """Start anew by itself. first: bytes before the boot URCs; ok: an OK after the reset (CFUN=1,1)."""
        self._core.mark("restart")
        self._begin(first, ok)

    def down(self) -> None:
        """Switch off in order: one URC, then the UART is dead."""
        self._core.write(info("NORMAL POWER DOWN"))
        self._end("stopping")
        self._way = asyncio.get_running_loop().create_task(self._stop())

    def sleep_deep(self) -> None:
        """Enter PSM: all but a timer and PWRKEY is off."""
        self._end("psm")

    def wake(self) -> None:
        """Leave PSM: a start, with the network still knowing us."""
        self._begin(b"")

    def dead(self) -> None:
        """Hang until the supply is cut."""
        if self.state not in ("off", "dead"):
            self._end("dead")

    async def ended(self) -> None:
        """Stop for good."""
        self._end("off")
        await self._core.tasks_ended()

    def _end(self, state: str) -> None:
        if self._way is not None:
            self._way.cancel()
            self._way = None
        self.state = state
        self._core.end_life()
        self._forget(False)
        self._core.memory.restart()

    def _begin(self, first: bytes, ok: bool = False) -> None:
        self._end("booting")
        self.starts += 1
        self._way = asyncio.get_running_loop().create_task(self._boot(first, ok))

    async def _stop(self) -> None:
        await self._core.wait(timings.SHUTDOWN)
        self.state = "off"
        self._off_ms = self._core.now_ms

    async def _boot(self, first: bytes, ok: bool) -> None:
        core = self._core
        await core.wait(timings.BOOT)
        self.state = "on"
        core.listening = True
        fixed_rate = core.memory.get("ipr", 0) != 0
        if fixed_rate:
            core.write(first)
            if ok:
                core.urc("OK")
            core.urc("RDY")
            core.urc(f"+CFUN: {core.memory.get('cfun', 1)}")
        core.spawn(core.serve())
        self._booted()
        self.doze()

    # Commands

    def cpowd(self, mode: int) -> Reply:
        """AT+CPOWD: 1 says so and goes, 0 cuts at once and says nothing. No OK (sheet 2.5)."""
        if mode:
            self.down()
            return Reply(final=b"")
        self._core.mark("cpowd 0")
        self._end("off")
        self._off_ms = self._core.now_ms
        return Reply(final=b"")

    def creboot(self) -> Reply:
        return Reply(then=lambda: self.restart(_GARBAGE))

    def csclk(self, mode: int) -> Reply:
        """AT+CSCLK: sleep is allowed by 1; with DTR high it begins behind the OK."""
        if mode > 1:
            raise AtError(4)
        self._core.memory.set("csclk", mode, "auto_save")
        return Reply(then=self.doze)
