"""The SIM: absent, PIN, PUK, ready; its numbers. Sheet 2.2, 2.3. A card is seen at a start only."""

from typing import NamedTuple

from sim.modem import timings
from sim.modem.core import Core, Reply, lines
from sim.modem.line import NO_SIM, SIM_BUSY, SIM_PIN, SIM_PUK, WRONG_PASSWORD, AtError

_REFUSED = {"absent": NO_SIM, "busy": SIM_BUSY, "pin": SIM_PIN, "puk": SIM_PUK, "down": 772}
_SAID = {"ready": "READY", "pin": "SIM PIN", "puk": "SIM PUK"}


class Card(NamedTuple):
    """A SIM card. pin: None = it asks for none. The PUK is its PIN twice: "12341234"."""

    iccid: str = "8900100000000000017F"
    imsi: str = "001010123456789"
    pin: str | None = None


class Slot:
    """What the modem knows of the card. card: what is in the slot now, set by the owner."""

    def __init__(self, core: Core, card: Card | None) -> None:
        self.card = card
        self.state = "down"  # down, busy, absent, pin, puk, ready
        self._core = core
        self._seen: Card | None = None
        self._tries = 3
        self.changed = lambda: None  # the radio looks again

    def restart(self) -> None:
        self.state = "down"

    def check(self) -> None:
        """AtError when commands that need the SIM are refused."""
        if self.state != "ready":
            raise AtError(_REFUSED[self.state])

    def start(self) -> None:
        """Look for the card, as at boot and after CFUN=1."""
        self.state = "busy"
        self._core.spawn(self._look())

    def stop(self) -> None:
        """Switch the card off (CFUN=0): the URC comes before the OK."""
        if self.state not in ("down", "absent"):
            self._core.urc("+CPIN: NOT READY")
        self.state = "down"

    def removed(self) -> None:
        """Notice that the card is gone. A card that comes is not noticed."""
        if self.state in ("ready", "pin", "puk", "busy"):
            self.state = "absent"
            self._core.urc("+CPIN: NOT READY")
            self.changed()

    async def _look(self) -> None:
        faults = self._core.faults
        await self._core.wait(timings.SIM_READY)
        self._seen = None if faults.has("sim_absent") else self.card
        if self._seen and self._seen.pin is None and faults.has("sim_pin"):
            self._seen = self._seen._replace(pin="1234")
        if self._seen is None:
            self.state = "absent"
            self._core.urc("+CPIN: NOT INSERTED")
        elif self._seen.pin is not None:
            self.state = "pin" if self._tries else "puk"
            self._core.urc(f"+CPIN: {_SAID[self.state]}")
        else:
            await self._ready()
        self.changed()

    async def _ready(self) -> None:
        self.state = "ready"
        self._core.urc("+CPIN: READY")
        self.changed()
        await self._core.wait(timings.SMS_READY)
        self._core.urc("SMS Ready")

    # Commands

    def cpin(self) -> Reply:
        if self.state not in _SAID:
            self.check()
        return lines(f"+CPIN: {_SAID[self.state]}")

    def enter(self, pin: str, new: str | None) -> Reply:
        """AT+CPIN="pin", or ="puk","new pin" when three were wrong."""
        if self._seen is None or self._seen.pin is None or self.state not in ("pin", "puk"):
            self.check()
            raise AtError(3)
        puk = self.state == "puk"
        if pin != (self._seen.pin * 2 if puk else self._seen.pin) or (puk and not new):
            self._tries = max(0, self._tries - 1)
            if not self._tries:
                self.state = "puk"
            raise AtError(SIM_PUK if self.state == "puk" and not puk else WRONG_PASSWORD)
        self._tries = 3
        return Reply(then=lambda: self._core.spawn(self._ready()))

    def ccid(self) -> Reply:
        if self._seen is None or self.state in ("down", "busy", "absent"):
            raise AtError(_REFUSED.get(self.state, NO_SIM))
        return lines(self._seen.iccid)

    def cimi(self) -> Reply:
        self.check()
        return lines(self._seen.imsi if self._seen else "")
