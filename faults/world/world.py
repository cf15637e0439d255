"""
One seed, one world, in virtual time.

    outcome = play(seed, folder)       # Outcome; the same for the same seed
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from faults.world.attacker import Attacker
from faults.world.body import Body
from faults.world.flash import PowerCut
from faults.world.judge import Judge
from faults.world.net import Bearer, Broker
from faults.world.office import Office, new_file
from faults.world.story import Story
from tests.host.fakes import Now, run

# From the end of all trouble until everything said is answered: a resend after 60 s + 20 %, a desk that learns of the
# tag's rev with one update and answers the next.
_SETTLED_S = 300
_CLOSED_S = 900
# What is said in a healthy session is answered at once; outside an incident the next one may be an hour away.
_HEARD_S = 3900


@dataclass
class Outcome:
    """`violations` are texts, `log` the lines of what happened. `settled_s`: from the end of the trouble."""

    seed: int
    violations: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    gestures: int = 0
    restarts: int = 0
    settled_s: float = 0.0
    revs_given_twice: int = 0
    virtual_s: float = 0.0


class World:
    """Everything there is, made from one seed. `dice` is the only chance in it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.now = Now()
        self._began_s = self.now.s
        self.lines: list[tuple[float, str, str, tuple[Any, ...]]] = []
        self.healing = False
        self.sky = False
        self._folder = folder

    def log(self, who: str, text: str, *values: Any) -> None:
        self.lines.append((self.now.s - self._began_s, who, text, values))

    def later(self, seconds: float, do: Callable[[], Any]) -> None:
        asyncio.get_running_loop().call_later(seconds, do)

    async def main(self) -> Outcome:
        self._make()
        living = asyncio.create_task(self.body.live())
        await self.story.run()
        outcome = await self._peace()
        self.judge.verdict()
        living.cancel()
        self.office.kill()
        outcome.violations, outcome.log = self.judge.violations, self._text()
        outcome.gestures, outcome.restarts = self.judge.gestures, self.body.restarts
        outcome.revs_given_twice = self.judge.revs_given_twice
        outcome.virtual_s = self.now.s - self._began_s
        return outcome

    def _make(self) -> None:
        self.judge = Judge(self)
        self.attacker = Attacker(self)
        self.body = Body(self)
        self._old_image = self.body.image()
        names = ("lte", "wifi")[: self.dice.choice((1, 2))]
        self.bearers = [Bearer(name, self, 40000, 20000) for name in names]
        self.broker = Broker(self)
        self.office = Office(self, self._folder / "desk.db", _empty_desk(self._folder))
        self.story = Story(self)
        self.later(self.dice.uniform(0, self.story.lasts_s), self._back_up)

    def _back_up(self) -> None:
        self.office.back_up()
        self._old_image = self.body.image()

    async def _peace(self) -> Outcome:
        """All is well again: whatever waits must arrive, and the incident can be closed."""
        if self.attacker.active and self.dice.random() < 0.2:
            self.attacker.replay_all()
        self.log("world", "all is well again")
        self.healing = True
        self.attacker.active = self.office.working = False
        self.broker_up()
        self.broker.heal()
        for bearer in self.bearers:
            bearer.air.heal()
        self.office.doom = None
        self.office.fill_disk(False)
        if not self.office.up:
            self.office.start()
        self.office.say_changes()
        outcome = Outcome(self.seed)
        outcome.settled_s = await self._until(self.judge.unsettled, _SETTLED_S)
        self.office.working = True
        await self._until(self._closing, _CLOSED_S)
        if self.body.tag and not self.judge.rolled:
            with contextlib.suppress(PowerCut):  # what was to be cut may be this: then its start says one
                self.body.tag.heartbeat()
        await self._until(self.judge.unheard, _HEARD_S)
        return outcome

    async def _until(self, why: Callable[[], str], limit_s: float) -> float:
        began_s = self.now.s
        while why():
            if self.now.s - began_s > limit_s:
                self.judge.blame("I4", "after %d s of peace: %s", limit_s, why())
                break
            await asyncio.sleep(2)
        return self.now.s - began_s

    def _closing(self) -> str:
        """People close whatever is open, until the tag knows."""
        if self.body.tag is None:
            return "the tag is off"
        self.office.close_all()
        opened = self.body.tag.incident
        if opened and not self.judge.rolled:
            return "the desk has closed the incident, and the tag does not know"
        return self.judge.unsettled()

    def broker_up(self) -> None:
        self.broker.up = True
        self.office.say_changes()

    def roll_back(self) -> None:
        if not self.body.power.on:
            self.judge.rolled_back()
            self.body.put_back(self._old_image)

    def _text(self) -> list[str]:
        return [f"{at_s:9.3f} {who:9} {text % values}" for at_s, who, text, values in self.lines]


@cache
def _empty_desk(folder: Path) -> bytes:
    return new_file(folder / "empty.db")


def play(seed: int, folder: Path) -> Outcome:
    """Make the world of `seed` and let it happen; `folder` holds the desk's disk meanwhile."""
    world = World(seed, folder)
    try:
        outcome: Outcome = run(world.now, world.main())
    except Exception as error:  # noqa: BLE001 - a task was lost, or all of them spin or wait for ever
        world.judge.crashed(error)
        return Outcome(seed, world.judge.violations, world._text())
    return outcome
