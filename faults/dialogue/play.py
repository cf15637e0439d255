"""
One run: a dialogue between tag and modem in which some answers go wrong, and what must come of it all the same.

    outcome = play("cold", {17: "late-10"}, folder)       # Outcome; the same for the same arguments
"""

import asyncio
import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from at_line import ModemError
from mqtt import MQTTError

from faults.dialogue.far import Far, Witness
from faults.dialogue.kinds import CORRUPTING, KINDS
from faults.dialogue.line import Wire
from faults.dialogue.tag import Worn
from faults.dialogue.tap import Answer, Tap
from faults.world.net import Broker
from faults.world.office import Office, new_file
from sim.modem import Coverage, Fault, Modem
from tests.host.fakes import Now, end, run

DIALOGUES = ("cold", "live", "recovery", "ladder")
# From the end of the fault (of the last one, and of the press) until the alert is stored, and the tag knows.
LIMIT_S = 180
# What the driver can do without: from the fault, or the press, so long at most, whether the fault has ended or not.
WITHOUT_S = {"cadataind-lost": 30}
# How long a late one is waited for, to say how late it was.
_AT_LAST_S = 900
_LOOK_S = 0.25
_IDLE_S = 15
_CALM_S = 3
_FREE_S = 30


@dataclass
class Outcome:
    """`violations` are texts. `took_s`: from the press, or the fault's end, to the ack; `again_s`: of another."""

    violations: list[str] = field(default_factory=list)
    took_s: float = 0.0
    again_s: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    acted: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


class World:
    """As faults/world expects one: `now`, `dice`, `judge`, `attacker`, `broker`, `office`."""

    def __init__(self, dialogue: str, plan: Mapping[int, str], folder: Path, seed: str) -> None:
        self.now = Now()
        self.began_s = self.now.s
        self.dice = random.Random(seed)
        self.judge = self.attacker = Witness()
        self.expected = expected
        self.outcome = Outcome()
        self.broker = Broker(self)
        self.wire = Wire()
        # A network that knows no other APN: a modem that was not told it never registers.
        self.modem = Modem(self.wire.modem, coverage=Coverage(apns=("obereg",)), outside=Far(self))
        self.wire.modem.received = self.modem.received
        kinds = {number: (name, KINDS[name]) for number, name in plan.items()}
        self.tap = Tap(self.modem, self.wire, kinds, f"{seed} {dialogue}")
        self.modem.tap(self._tapped)
        self._dialogue = dialogue
        self.folder = folder

    def log(self, who: str, text: str, *values: Any) -> None:
        self.outcome.log.append(
            f"{self.now.s - self.began_s:9.3f} {who:6} {text % values if values else text}"
        )

    def later(self, seconds: float, do: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, do)

    def _tapped(self, data: bytes) -> bytes:
        count = len(self.tap.answers)
        said = self.tap(data)
        number = f"#{count} " if len(self.tap.answers) > count else ""
        spoilt = "" if said == data else f"   <- {data!r}"
        self.log("modem", "%s", f"{number}{said!r}{spoilt}")
        return said

    def blame(self, text: str) -> None:
        self.log("judge", "%s", text)
        self.outcome.violations.append(text)

    # ---------------------------------------------------------------------------------------------------- the story

    async def main(self) -> Outcome:
        self.office = Office(self, self.folder / "desk.db", _empty_desk(self.folder))
        self.office.manners = dict.fromkeys(("seen", "take", "decline", "close"), 0.0) | {"slow_s": 1.0}
        await self.modem.start()
        cold = self._dialogue == "cold"
        if cold:
            self.modem.supply(False)
        else:
            await self._earlier_life()
        self.worn = worn = Worn(self, powered=not cold)
        worn.start()
        try:
            if cold:
                self.tap.begin()
                await asyncio.sleep(1)
            else:
                await self._session()
            await self._press()
        finally:
            self._end_of_story()
            await end([worn.task])
            await self.modem.stop()
            self.office.kill()
        return self.outcome

    async def _earlier_life(self) -> None:
        """The modem is on and registered, and has in its flash what this tag once told it."""
        memory = self.modem._core.memory
        for key, value in {
            "apn1": "obereg",
            "cnmp": 38,
            "cmnb": 1,
            "cncfg0": (1, "obereg", "", "", 0),
            "ipr": 115200,
            "clts": 1,
        }.items():
            memory.set(key, value, "auto_save")
        self.modem.pwrkey(1100)
        await asyncio.sleep(20)

    async def _session(self) -> None:
        """A session lives, all is answered, the radio has gone idle. For `recovery` it is then lost without a word."""
        began_s = self.now.s
        while self.worn.tag.link.state or not self.worn.open():
            if self.now.s - began_s > 120:
                raise RuntimeError("no session without any fault")
            await asyncio.sleep(1)
        await asyncio.sleep(_IDLE_S)
        self.tap.begin()
        if self._dialogue == "ladder":
            # Ended by supply_cut().
            self.modem.fault(Fault("error", on="+CAOPEN", count=0))
        if self._dialogue in ("recovery", "ladder"):
            # The network has forgotten the context, and says nothing.
            pdp = self.modem._parts.pdp
            pdp.restart()
            self.modem._parts.sockets.dropped(0)

    async def _press(self) -> None:
        pressed_s = self.worn.press()
        await asyncio.sleep(1)
        self.outcome.took_s = await self._delivered(pressed_s)
        self.outcome.answers = list(self.tap.answers)
        # What ends later than the alert needed may still do harm.
        while self.tap.over_s is None or self.now.s < self.tap.over_s:
            if self.now.s - pressed_s > _AT_LAST_S:
                self.blame(f"the fault has not ended: {self.tap.acted}, {self.tap.unacted()}")
                return
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(_CALM_S)
        pressed_s = self.worn.press()
        await asyncio.sleep(1)
        self.outcome.again_s = await self._delivered(pressed_s)
        await self._free()

    async def _delivered(self, pressed_s: float) -> float:
        """Wait until every press is answered; return the time since the press or the end of the fault."""
        late = False
        while True:
            over_s = self.tap.over_s
            since_s = self.now.s - max(pressed_s, over_s or 0)
            self._look()
            if not self.worn.undelivered():
                self._prompt(self.now.s - max(pressed_s, self.tap.began_s))
                return max(0.0, since_s)
            if over_s is not None and since_s > LIMIT_S and not late:
                late = True
                self.blame(f"not delivered {LIMIT_S} s after the fault ended")
            if self.now.s - pressed_s > _AT_LAST_S:
                self.blame(f"not delivered at all, {_AT_LAST_S} s after the press")
                return since_s
            if self.worn.task.done():
                return since_s
            await asyncio.sleep(_LOOK_S)

    def _prompt(self, took_s: float) -> None:
        limits = [WITHOUT_S.get(name) for name in self.tap.acted]
        if limits and None not in limits and took_s > max(filter(None, limits)):
            self.blame(f"not delivered within {took_s:.0f} s, although the driver can do without")

    async def _free(self) -> None:
        """Nothing is left behind: no lock held, no message in the outbox, no socket without its session."""
        for _ in range(int(_FREE_S / _LOOK_S)):
            why = self.worn.busy()
            if not why:
                return
            await asyncio.sleep(_LOOK_S)
        self.blame(f"{_FREE_S} s later still: {why}")

    def _look(self) -> None:
        if self.worn.task.done() and not self.worn.told:
            self.worn.told = True
            error = None if self.worn.task.cancelled() else self.worn.task.exception()
            self.blame(f"a part of the tag has ended: {error!r}")

    def _end_of_story(self) -> None:
        self._look()
        outcome, worn = self.outcome, self.worn
        outcome.acted = list(self.tap.acted)
        outcome.counters = dict(worn.log.counters)
        if dropped := worn.modem.line._parser.dropped:
            outcome.counters["at.dropped"] = dropped
        rows = self.office.committed("SELECT count(*) FROM incidents")
        if rows[0][0] != 1:
            self.blame(f"{rows[0][0]} incidents at the desk")
        for text in self.judge.crashes:
            self.blame(text)
        for why in worn.strange:
            self.blame(f"unexpected: {why}")
        for reason in self.judge.refused:
            if reason != "late":
                self.blame(f"the desk refused a message: {reason}")
        for name, count in outcome.counters.items():
            if not explained(name, self.tap.acted):
                self.blame(f"{count} x {name}, and no fault that explains it")


# Whatever the fault was, a session may end, a message be said twice, and a time that was delayed be older than the
# clock.
_ANYHOW = ("link.ended", "modem.helped", "modem.stray", "modem.no_cell", "down.not_ours", "time.refused")
_BY_CORRUPTION = ("down.refused", "modem.malformed")


def explained(counter: str, acted: list[str]) -> bool:
    """Whether that counter may have moved by these faults."""
    if counter in _ANYHOW:
        return True
    if counter in _BY_CORRUPTION:
        return any(name in CORRUPTING for name in acted)
    # A payload of which a part was lost, or that nobody asked for any more.
    return counter == "at.dropped" and any(name not in ("error", "cme-error") for name in acted)


def expected(error: Any) -> bool:
    """Whether a session may end for that reason."""
    return isinstance(error, str | OSError | ModemError | MQTTError)


@functools.cache
def _empty_desk(folder: Path) -> bytes:
    return new_file(folder / "empty.db")


def play(dialogue: str, plan: Mapping[int, str], folder: Path, seed: str = "0") -> Outcome:
    """Have this dialogue with these faults: number of the answer to kind. `folder` holds the desk's disk meanwhile."""
    world = World(dialogue, plan, folder, seed)
    try:
        run(world.now, world.main())
    except Exception as error:  # noqa: BLE001 - a task was lost, or all of them spin or wait for ever
        world.blame(f"{type(error).__name__}: {error}")
    return world.outcome
