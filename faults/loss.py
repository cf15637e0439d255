"""
Loss: 0, 10, 30 and 60 % of all packets are lost, each way on its own; every press is stored once and known to the tag.

Real TCP of Linux over a TUN device in a network namespace of its own (bench/wire.py), 25 ms one way; real mosquitto,
desk and firmware (faults/town). A tag connects over a whole link. Each press is an alert of its own; with it loss
begins, and it goes on until the tag knows. Then a person closes the incident over a whole link. A run is one press.

    python -m faults.loss [--long] [--seed N] [--count PRESSES] [--minutes N] [--break NAME]

Where there is no TUN device, the project's proxy delays bytes as TCP's repetitions would; the result then says that the
wire itself was not run.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.__main__ import namespace
from bench.proxy import Proxies
from bench.report import percentile
from bench.wire import Wire
from faults.common import Progress, finish, parser
from faults.simulate import MEMORY
from faults.town import TownError
from faults.town.breaks import KILLS, firmware
from faults.town.judge import Judge
from faults.town.programs import Far, mosquitto
from faults.town.worn import Worn
from sim.common import SimError

SHARES = (0.0, 0.1, 0.3, 0.6)
_CI, _LONG = 5, 100
# How many tags share the presses: at 60 % each takes long.
_TAGS = {False: (1, 1, 1, 5), True: (4, 4, 4, 10)}
_LATENCY_MS = 25.0
_ALERT = 1
_START_S, _REST_S, _POLL_S = 180.0, 1.0, 0.02
_CLOSED_S = 90.0


@dataclass
class Walk:
    """One tag on its lane, and what became of its presses: (ms to stored, ms until it knew), None: never."""

    share: float
    tag: Worn
    lane: Any
    presses: int
    times: list[tuple[float | None, float | None]] = field(default_factory=list)


class Campaign:
    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.progress = Progress("loss")
        self.violations: list[dict[str, Any]] = []
        self.walks: list[Walk] = []
        self._folder = folder
        self._arguments = arguments
        self._seed = arguments.seed or 0
        minutes = arguments.minutes
        self._until_s = time.monotonic() + 60 * minutes if minutes is not None else None

    async def run(self) -> None:
        arguments = self._arguments
        way: Any = (Wire if arguments.wire else Proxies)(_LATENCY_MS, self._seed)
        presses = arguments.count or (_LONG if arguments.long else _CI)
        source = firmware(arguments.fault, self._folder)
        plan = []
        for share, tags in zip(SHARES, _TAGS[arguments.long], strict=True):
            plan += [(share, presses // tags + (n < presses % tags)) for n in range(min(tags, presses))]
        worn = [Worn(self._folder, number, source) for number in range(len(plan))]
        far = Far(self._folder, [tag.keys for tag in worn], host="0.0.0.0", fault=arguments.fault)
        try:
            for tag, (share, count) in zip(worn, plan, strict=True):
                lane = await way.lane(far.broker.port)
                await asyncio.to_thread(tag.flash, lane.address)
                self.walks.append(Walk(share, tag, lane, count))
            await far.start()
            await asyncio.gather(*(self._walk(walk, far) for walk in self.walks))
            await asyncio.sleep(_REST_S)
            self._wrong(*Judge(far.desk, worn).look())
        except SimError as error:
            self._wrong(str(error))
        finally:
            for result in await asyncio.gather(*(tag.end() for tag in worn), return_exceptions=True):
                if isinstance(result, BaseException):
                    self._wrong(str(result))
            await far.end()
            way.stop()

    async def _walk(self, walk: Walk, far: Far) -> None:
        try:
            await walk.tag.start(_START_S)
            for _ in range(walk.presses):
                if self._until_s and time.monotonic() > self._until_s:
                    break
                walk.lane.loss = walk.share
                await self._press(walk, far)
                done = sum(len(each.times) for each in self.walks)
                self.progress.say(f"{done} presses, {len(self.violations)} violations")
        except TownError as error:
            self._wrong(f"{walk.share:.0%} loss: {error}")
        walk.lane.loss = 0.0

    async def _press(self, walk: Walk, far: Far) -> None:
        tag, before = walk.tag, len(far.desk.events)
        began_ms = await tag.press()
        until_s = time.monotonic() + self._arguments.deadline
        stored_ms = known_ms = incident = None
        while time.monotonic() < until_s and (stored_ms is None or known_ms is None):
            await asyncio.sleep(_POLL_S)
            known_ms = tag.when("felt received", began_ms)
            for event in far.desk.said("stored", before) if stored_ms is None else ():
                if event["tag"] == tag.id and event["kind"] == _ALERT:
                    stored_ms, incident = event["t_ms"], event["incident"]
        times = [None if at is None else round(at - began_ms, 1) for at in (stored_ms, known_ms)]
        walk.times.append((times[0], times[1]))
        if stored_ms is None or known_ms is None:
            what = "stored" if stored_ms is None else "known to the tag"
            raise TownError(f"not {what} within {self._arguments.deadline:g} s")
        walk.lane.loss = 0.0
        far.close(incident)
        await tag.until("felt closed", _CLOSED_S, began_ms)

    def _wrong(self, *texts: str) -> None:
        more = f" --break '{self._arguments.fault}'" if self._arguments.fault else ""
        for text in texts:
            print(f"loss: {text}", file=sys.stderr, flush=True)
            self.violations.append({"seed": f"{self._seed}{more}", "text": text})


def figures(walks: list[Walk]) -> dict[str, dict[str, Any]]:
    """By share of loss: presses, and p50, p95 and max in ms to stored and until known."""
    told: dict[str, dict[str, Any]] = {}
    for share in SHARES:
        row: dict[str, Any] = {}
        told[f"{share:.0%}"] = row
        pairs = [pair for walk in walks if walk.share == share for pair in walk.times]
        row["presses"] = len(pairs)
        lanes = [walk.lane for walk in walks if walk.share == share]
        if lanes and lanes[0].segments is not None:
            # In peace too, when nothing is lost.
            row["packets"], row["lost"] = (
                sum(getattr(lane, name) for lane in lanes) for name in ("segments", "lost")
            )
        for name, values in (("stored_ms", [a for a, _ in pairs]), ("known_ms", [b for _, b in pairs])):
            there = [value for value in values if value is not None]
            row[name.removesuffix("_ms")] = len(there)
            row[name] = [percentile(there, part) for part in (0.5, 0.95, 1.0)] if there else []
    return told


def main() -> int:
    options = parser("loss", "Lose packets of real TCP; deliver every press, once, and let the tag know.")
    options.add_argument("--minutes", type=float, help="press no more after so long")
    options.add_argument("--deadline", type=float, default=180.0, metavar="S", help="of a press (180)")
    options.add_argument(
        "--break", dest="fault", choices=KILLS, metavar="NAME", help="with a deliberate fault"
    )
    options.add_argument("--wire", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--proxy", action="store_true", help="not the wire, although it could be")
    arguments = options.parse_args()
    if mosquitto() is None:
        print("loss: NOT RUN: mosquitto is not installed (apt-get install mosquitto)", file=sys.stderr)
        return 3
    if not arguments.wire and not arguments.proxy and (before := namespace()):
        os.execvp(before[0], [*before, sys.executable, "-m", "faults.loss", *sys.argv[1:], "--wire"])
    if not arguments.wire:
        print("loss: NOT RUN on a real wire (no TUN device, or not wanted): a proxy, milder", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="loss", dir=MEMORY) as folder:
        campaign = Campaign(arguments, Path(folder))
        asyncio.run(campaign.run())
    told = figures(campaign.walks)
    for share, row in told.items():
        print(f"loss: {share}: {row}", file=sys.stderr)
    runs = sum(row["presses"] for row in told.values())
    way = "wire" if arguments.wire else "proxy"
    not_run = [] if arguments.wire else ["loss on a real wire"]
    return finish(
        "loss", runs, campaign.violations, campaign.progress, arguments, way=way, not_run=not_run, loss=told
    )


if __name__ == "__main__":
    sys.exit(main())
