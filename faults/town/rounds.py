"""
Kill after kill: a broker, a desk and some tags that are pressed all the while; at the end of a round all must be well.

A kill is one moment at which the broker, the desk or both end by SIGKILL: anywhere, between the desk's commit and its
answer, or while they start. After some of them a person closes an incident.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faults.town import TownError, breaks
from faults.town.judge import Judge, rows, stored
from faults.town.programs import Far
from faults.town.worn import Worn

# What is killed, and when; how often of ten.
_KINDS = ("desk after its commit",) * 3 + ("desk",) * 2 + ("broker",) * 2 + ("both",) + ("starting",) * 2
_BEFORE_S, _DOWN_S = (0.1, 0.9), 0.8
_START_S = {"broker": 0.03, "desk": 1.2}
_COMMIT_S = 3.0
_PRESS_S = (0.4, 3.0)
# Of the simulator's heap (64-bit) some 24 unanswered presses and a new session are all that it holds.
_MOST_WAITING = 12
_CLOSE_SHARE = 0.25
# Sent again after at most 60 s + 20 %, which a kill may follow; reconnecting takes 15 s.
SETTLED_S = 150.0
_CLOSED_S = 90.0
_POLL_S = 0.2


class Cell:
    """A broker, a desk, their tags. start(), play() rounds, end() in any case."""

    def __init__(
        self,
        folder: Path,
        tags: int,
        fault: str | None,
        settled_s: float = SETTLED_S,
        settings: Sequence[str] = (),
        database: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        firmware = breaks.firmware(fault, folder)
        self.tags = [Worn(folder, number, firmware) for number in range(tags)]
        keys = [tag.keys for tag in self.tags]
        self.far = Far(folder, keys, fault=fault, settings=settings, database=database)
        self.kills: Counter[str] = Counter()
        self.after_commit = 0  # of these, the commit was seen and the answer was not given
        self.settled_s: list[float] = []  # of each round, from the last start to the last ack
        self.judge = Judge(self.far.desk, self.tags)
        self._settled_s = settled_s

    @property
    def messages(self) -> int:
        return self.judge.messages

    async def start(self) -> None:
        for tag in self.tags:
            # In a thread: the panels of tags that run already must answer meanwhile.
            await asyncio.to_thread(tag.flash, ("127.0.0.1", self.far.broker.port))
        await self.far.start()
        await asyncio.gather(*(tag.start() for tag in self.tags))

    async def end(self) -> list[str]:
        """End it all; return what is wrong with that."""
        wrong = []
        for result in await asyncio.gather(*(tag.end() for tag in self.tags), return_exceptions=True):
            if isinstance(result, BaseException):
                wrong.append(str(result))
        await self.far.end()
        return wrong

    async def play(self, seed: int, kills: int, told: Callable[[], None]) -> list[str]:
        """Kill so many times, then let all come to rest; return what is wrong."""
        chance = random.Random(seed)
        over = asyncio.Event()
        pressing = [
            asyncio.create_task(self._press(tag, random.Random(f"{seed} {tag.name}"), over))
            for tag in self.tags
        ]
        try:
            for _ in range(kills):
                await self._kill(chance)
                told()
            for program in (self.far.broker, self.far.desk):
                if not program.running:
                    await program.start(wait=False)
        finally:
            over.set()
            await asyncio.gather(*pressing)
        await self.far.desk.until_ready()
        return await self.rest()

    async def rest(self) -> list[str]:
        """Peace: all is stored and acked, and closed by a person. Return what is wrong."""
        began_s = time.monotonic()
        try:
            await self.settle()
            self.settled_s.append(round(time.monotonic() - began_s, 1))
            await self.close_all()
        except TownError as error:
            return [str(error), *self.judge.look()]
        return self.judge.look()

    async def _press(self, tag: Worn, chance: random.Random, over: asyncio.Event) -> None:
        while not over.is_set():
            await asyncio.sleep(chance.uniform(*_PRESS_S))
            if len(tag.waiting()) < _MOST_WAITING:
                await tag.press()

    async def _kill(self, chance: random.Random) -> None:
        far, kind = self.far, chance.choice(_KINDS)
        await asyncio.sleep(chance.uniform(*_BEFORE_S))
        if kind == "desk after its commit":
            await self._kill_after_commit()
        elif kind == "starting":
            name = chance.choice(("broker", "desk"))
            program: Any = getattr(far, name)
            await program.kill()
            await program.start(wait=False)
            await asyncio.sleep(chance.uniform(0, _START_S[name]))
            kind = f"{name} while it starts"
            await program.kill()
        else:
            if kind != "desk":
                await far.broker.kill()
            if kind != "broker":
                await far.desk.kill()
        self.kills[kind] += 1
        if chance.random() < _CLOSE_SHARE:
            open_now = rows(far.desk.path, "SELECT id FROM incidents WHERE level <> 4")
            if open_now:
                far.close(chance.choice(open_now)[0])
        await asyncio.sleep(chance.uniform(0, _DOWN_S))
        # Half of the time the next kill meets them as they come up.
        wait = chance.random() < 0.5
        for program in (far.broker, far.desk):
            if not program.running:
                await program.start(wait=False)
        if wait:
            await far.desk.until_ready()

    async def _kill_after_commit(self) -> None:
        """Stop the desk's events, so that it stops after its next commit, and kill it there."""
        far, sql = self.far, "SELECT max(rowid) FROM messages"
        await far.desk.until_ready()
        [before] = rows(far.desk.path, sql)
        far.desk.hold_events()
        until_s = time.monotonic() + _COMMIT_S
        while time.monotonic() < until_s:
            if rows(far.desk.path, sql) != [before]:
                self.after_commit += 1
                break
            await asyncio.sleep(0.005)
        await far.desk.kill()

    async def settle(self) -> None:
        """Wait until each message of each tag is stored and acked."""
        until_s = time.monotonic() + self._settled_s
        while True:
            # In this order: what is said meanwhile is for the next look.
            said = [(tag, tag.said) for tag in self.tags]
            waiting = [tag for tag in self.tags if tag.waiting()]
            there = stored(self.far.desk.path)
            late = [tag for tag, count in said if there[tag.id] < count or tag in waiting]
            if not late:
                return
            if not waiting:
                names = ", ".join(tag.name for tag in late)
                raise TownError(f"acked at the tag, and not stored at the desk: {names}")
            if time.monotonic() > until_s:
                names = ", ".join(tag.name for tag in late)
                raise TownError(f"after {self._settled_s:g} s of peace not all is stored and acked: {names}")
            await asyncio.sleep(_POLL_S)

    async def close_all(self) -> None:
        """A person closes what is open; wait until it is felt, so that the next press is an alert."""
        until_s = time.monotonic() + _CLOSED_S
        while True:
            self.far.close()
            if not any(tag.incident_open for tag in self.tags):
                return
            if time.monotonic() > until_s:
                raise TownError(f"after {_CLOSED_S:g} s not every closing is felt")
            await asyncio.sleep(_POLL_S)


def lines(cells: list[Cell]) -> str:
    """A line about the kills so far."""
    total: Counter[str] = Counter()
    for cell in cells:
        total += cell.kills
    return ", ".join(f"{count} {kind}" for kind, count in sorted(total.items()))
