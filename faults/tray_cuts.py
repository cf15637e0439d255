"""
A cable that is pulled, a supply that fails, a program that is killed or stopped, at any moment of `all`; then again.

Each board must end in service; an identity that was on its flash stays, with its key and its registration; the mark is
there only when the desk has answered.
"""

import asyncio
import json
import random
import shutil
import signal
from typing import NamedTuple

from faults.tray_hand import Ended, Event, Hand, OnFlash, on_flash
from sim.cable.world import Place, Table
from sim.common import SimError
from tools.flasher.report import STEPS
from tools.flasher.tray import STOPPED

KINDS = ("cable", "power", "kill", "stop")
# From here on a board may begin with what another one has after `install`: no identity yet.
_INSTALLED = STEPS.index("provision")
_LOOK_S = 2.0  # before the first step it is looked at


class Plan(NamedTuple):
    """Cut `kind` at `share` of the usual time of `step`."""

    seed: int
    step: str
    kind: str
    share: float

    def __str__(self) -> str:
        return f"cut {self.seed}: {self.kind} at {self.share:.0%} of {self.step}"


def plans(seeds: list[int]) -> list[Plan]:
    """Return a plan for each seed; any seven in a row take every step once."""
    made = []
    for seed in seeds:
        chance = random.Random(seed)
        made.append(Plan(seed, STEPS[seed % len(STEPS)], chance.choice(KINDS), chance.random()))
    return made


class Cutter:
    """`table` runs; `usual_s`: what each step takes here; `installed`: a flash after `install`, or "" for none."""

    def __init__(self, table: Table, usual_s: dict[str, float], installed: str) -> None:
        self._table, self._usual_s, self._installed = table, usual_s, installed
        self.cut = 0  # that came to their step
        self.again = 0  # that wanted a third run
        self.texts: dict[str, bytes] = {}
        self.keys: list[bytes] = []

    async def run(self, plan: Plan) -> list[str]:
        """Play one cut; return what was wrong."""
        name = f"cut{plan.seed}"
        flash = self._table.folder / f"board-{name}.flash"
        if self._installed and STEPS.index(plan.step) >= _INSTALLED:
            shutil.copy(self._installed, flash)
        place = await self._table.place(name)
        try:
            return [f"{plan}: {text}" for text in await self._story(plan, place)]
        except SimError as error:
            return [f"{plan}: the simulator: {error}"]
        finally:
            await self._table.take(place)

    async def _story(self, plan: Plan, place: Place) -> list[str]:
        due = asyncio.Event()
        before = list(STEPS[: STEPS.index(plan.step)][-1:])

        def on_event(event: Event) -> None:
            # A Ctrl-C while Python itself starts is Python's.
            if ("found" in event and not before) or ("how" in event and [event.get("step")] == before):
                due.set()

        hand = Hand(self._table, on_event)
        hand.at[str(place.port)] = place
        if not before and plan.kind in ("cable", "power"):
            due.set()
        run = asyncio.create_task(hand.all())
        cut = asyncio.create_task(self._cut(plan, place, hand, due))
        first = await run
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        place.panel.set("button", 0)
        await place.board.stop()
        then = on_flash(place.flash)
        registered = self._registrations()
        wrong = self._after_cut(first, then, await self._table.answered())
        if plan.kind == "stop" and first.status not in (0, STOPPED):
            wrong.append(f"stopped by Ctrl-C it ends with {first.status}")
        await place.board.start()
        hand = Hand(self._table)
        hand.at[str(place.port)] = place
        runs = [first, await hand.all()]
        if runs[-1].status:
            self.again += 1
            runs.append(await hand.all())
        await place.board.stop()
        now = on_flash(place.flash)
        wrong += _after_all(runs, then, now)
        if now.identity:
            tag = now.identity[:8].hex()
            if tag in registered and registered[tag] != self._registrations().get(tag):
                wrong.append("its registration changed")
            self.keys.append(now.identity[8:])
        for number, each in enumerate(runs):
            self.texts[f"cut {plan.seed} run {number}"] = each.said.encode()
        return wrong

    async def _cut(self, plan: Plan, place: Place, hand: Hand, due: asyncio.Event) -> None:
        await due.wait()
        self.cut += 1
        usual_s = self._usual_s[plan.step] + (_LOOK_S if plan.step == STEPS[0] else 0.0)
        await asyncio.sleep(plan.share * usual_s)
        if plan.kind == "cable":
            place.board.pull()
        elif plan.kind == "power":
            await place.board.stop()
        elif hand.program and hand.program.returncode is None:
            hand.program.send_signal(signal.SIGKILL if plan.kind == "kill" else signal.SIGINT)

    def _after_cut(self, ended: Ended, found: OnFlash, answered: set[str]) -> list[str]:
        wrong = []
        if "Traceback" in ended.said:
            wrong.append(f"a traceback: {ended.said[-300:]}")
        if ended.last("error") == "hangs":
            wrong.append("the cut run hangs")
        if found.service and (not found.identity or found.identity[:8].hex() not in answered):
            wrong.append("it is marked as in service, and the desk has never answered it")
        return wrong

    def _registrations(self) -> dict[str, bytes]:
        folder = self._table.folder / "registrations"
        return {path.stem: path.read_bytes() for path in folder.glob("*.json")}


def _after_all(runs: list[Ended], then: OnFlash, now: OnFlash) -> list[str]:
    wrong = []
    last = runs[-1]
    if last.status:
        wrong.append(f"run again it ends with {last.status}: {last.last('error')} {last.last('text')}")
    if not now.service or not now.identity:
        wrong.append("it is not in service")
    if then.identity and then.identity != now.identity:
        wrong.append("its identity or its key changed")
    if any("Traceback" in each.said for each in runs[1:]):
        wrong.append("a traceback")
    return wrong


async def reference(table: Table) -> tuple[dict[str, float], str]:
    """Take one board through `all`; return what each step took, and a flash as `install` leaves it."""
    place = await table.place("whole")
    kept = table.folder / "installed.flash"

    def on_event(event: Event) -> None:
        # Between two steps nothing is written.
        if event.get("step") == "install" and "how" in event:
            shutil.copy(place.flash, kept)

    hand = Hand(table, on_event)
    hand.at[str(place.port)] = place
    ended = await hand.all()
    for _ in range(2):
        # A machine that is too busy for a cable: not what is asked here.
        if ended.status:
            ended = await hand.all()
    await place.board.stop()
    if ended.status:
        raise RuntimeError(f"a board that nobody cuts is refused: {ended.last('text')}")
    rows = json.loads((table.folder / "tray" / "tray.json").read_text())
    (row,) = [row for row in rows if row["result"] == "in service" and row["port"] == str(place.port)]
    return {step: took["s"] for step, took in row["steps"].items()}, str(kept)
