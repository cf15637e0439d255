"""The packet data contexts: CGDCONT, CNCFG, CNACT, and what the network does to them. Sheet 3.3."""

from collections.abc import Callable

from sim.modem import timings
from sim.modem.core import Core, Reply, lines
from sim.modem.line import FAILED, AtError
from sim.modem.memory import AUTO_SAVE
from sim.modem.radio import Radio

_DOWN, _UP, _BETWEEN = 0, 1, 2
_COUNT = 4
_UNSET = (0, "", "", "", 0)  # a context that was never configured: ip, apn, user, password, auth


class Pdp:
    """Contexts 0-3. dropped: called with the number of a context whose sockets die."""

    def __init__(self, core: Core, radio: Radio) -> None:
        self._core, self._radio = core, radio
        self._states = [_DOWN] * _COUNT
        self._again = [False] * _COUNT  # CNACT=n,2: tries by itself
        self.dropped: Callable[[int], None] = lambda index: None

    def restart(self) -> None:
        """Forget it all silently: the modem restarts."""
        self._states = [_DOWN] * _COUNT
        self._again = [False] * _COUNT

    def active(self, index: int) -> bool:
        return self._states[index] == _UP

    @property
    def any_active(self) -> bool:
        return any(state != _DOWN for state in self._states)

    def drop(self) -> None:
        """The network takes the contexts away: one URC each, nothing for the sockets."""
        for index, state in enumerate(self._states):
            if state == _UP:
                self._down(index)
                if self._again[index]:
                    self._core.spawn(self._raise(index, timings.PDP_RETRY.ms))

    def _down(self, index: int) -> None:
        self._states[index] = _DOWN
        self._core.urc(f"+APP PDP: {index},DEACTIVE")
        self.dropped(index)
        self._radio.shared()

    def _address(self, index: int) -> str:
        return f"10.0.0.{index + 2}" if self.active(index) else "0.0.0.0"

    def _config(self, index: int) -> tuple[int, str, str, str, int]:
        return self._core.memory.get(f"cncfg{index}", _UNSET)

    async def _raise(self, index: int, delay_ms: float = 0) -> None:
        await self._core.wait(delay_ms)
        while True:
            self._states[index] = _BETWEEN
            self._radio.shared()
            cell = self._radio.cell
            refused = (
                not self._radio.flow.is_set()
                or cell is None
                or self._config(index)[1] not in cell.apns
                or self._core.faults.take(("pdp_refused",)) is not None
            )
            await self._core.wait(timings.PDP_REFUSED if refused else timings.PDP_UP)
            if self._states[index] != _BETWEEN:
                return  # CNACT=n,0 came first
            if not refused:
                self._states[index] = _UP
                self._core.urc(f"+APP PDP: {index},ACTIVE")
                return
            self._down(index)
            if not self._again[index]:
                return
            await self._core.wait(timings.PDP_RETRY)

    # Commands

    def cncfg(
        self, index: int, ip: int, apn: str | None, user: str | None, password: str | None, auth: int | None
    ) -> None:
        value = (ip, apn or "", user or "", password or "", auth or 0)
        self._core.memory.set(f"cncfg{index}", value, AUTO_SAVE)

    def cncfg_read(self) -> Reply:
        said = []
        for index in range(_COUNT):
            ip, apn, user, password, auth = self._config(index)
            said.append(f'+CNCFG: {index},{ip},"{apn}","{user}","{password}",{auth}')
        return lines(*said)

    def cnact(self, index: int, action: int) -> Reply:
        """AT+CNACT: the OK means nothing, the URC behind it does (sheet 3.3 trap 1)."""
        if action:
            if self._states[index] != _DOWN:
                raise AtError(FAILED)
            self._again[index] = action == 2
            return Reply(then=lambda: self._core.spawn(self._raise(index)))
        self._again[index] = False
        if self._states[index] == _DOWN:
            raise AtError(FAILED)
        return Reply(then=lambda: self._down(index))

    def cnact_read(self) -> Reply:
        contexts = enumerate(self._states)
        return lines(*(f'+CNACT: {index},{state},"{self._address(index)}"' for index, state in contexts))

    def cgdcont(self, cid: int, kind: str, apn: str) -> None:
        self._core.memory.set(f"apn{cid}", apn, AUTO_SAVE)
        self._core.memory.set(f"pdp_type{cid}", kind, AUTO_SAVE)

    def cgdcont_read(self) -> Reply:
        memory = self._core.memory
        said = []
        for cid in range(1, 16):
            apn = memory.get(f"apn{cid}")
            if apn is not None or cid == 1:
                kind = memory.get(f"pdp_type{cid}", "IP")
                said.append(f'+CGDCONT: {cid},"{kind}","{apn or ""}","0.0.0.0",0,0,0')
        return lines(*said)

    def cgpaddr(self) -> Reply:
        # An address here does not mean that the app context is up (sheet 3.3 trap 6).
        return lines(f"+CGPADDR: 1,{'10.0.0.2' if self._radio.attached else '0.0.0.0'}")

    def cgnapn(self) -> Reply:
        cell = self._radio.cell
        sent = next((apn for apn in cell.apns if apn), "") if cell and self._radio.attached else ""
        return lines(f'+CGNAPN: 1,"{sent}"' if sent else '+CGNAPN: 0,""')

    def cgatt_read(self) -> Reply:
        return lines(f"+CGATT: {int(self._radio.attached)}")

    async def cgatt(self, attach: int) -> None:
        """AT+CGATT: attaching blocks until it is done, or to its limit."""
        if attach == self._core.memory.get("attach", 1) == int(self._radio.attached):
            return
        self._core.memory.set("attach", attach)
        self._radio.look()
        end_ms = self._core.now_ms + timings.CGATT_MAX.ms
        while attach and not self._radio.attached:
            if self._core.now_ms >= end_ms:
                raise AtError(31)
            await self._core.wait(100)
