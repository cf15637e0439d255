"""
Kills: mosquitto and the desk end by SIGKILL again and again while tags are pressed; nothing is lost, nothing doubled.

Real programs throughout: mosquitto with passwords and access list, `python -m desk run` on SQLite, the tag's firmware
on MicroPython (faults/town). A run is a round of 10 kills in one of the cells (a broker, a desk, three tags each), then
peace, then the judgement. After the rounds, or beside them, the scenes: what else brokers and desks die of.

    python -m faults.kills [--long] [--seed ROUND] [--count KILLS] [--minutes N] [--scene NAME] [--break NAME]

Real time is not replayed exactly: --seed chooses the same kills at the same moments, not the same interleaving.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from faults.common import Progress, finish, parser
from faults.simulate import MEMORY
from faults.town import rounds
from faults.town.breaks import KILLS
from faults.town.programs import mosquitto
from faults.town.rounds import Cell
from faults.town.scenes import SCENES, Verdict
from sim.common import SimError

_CI, _LONG = 20, 1000
_ROUND = 10
_CELLS = {False: 2, True: 3}
_TAGS = 3


class Campaign:
    """The rounds that are left, shared by the cells; what was found."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.progress = Progress("kills")
        self.violations: list[dict[str, Any]] = []
        self.verdicts: list[Verdict] = []
        self.cells: list[Cell] = []
        self.rounds = 0
        self._folder = folder
        self._fault = arguments.fault
        self._first = arguments.seed or 0
        self._settled_s = arguments.settle
        kills = arguments.count
        if kills is None:
            kills = _ROUND if arguments.seed is not None else _LONG if arguments.long else _CI
        self._left = [min(_ROUND, kills - at) for at in range(0, kills, _ROUND)]
        self._cells = min(_CELLS[arguments.long], len(self._left))
        minutes = arguments.minutes
        self._until_s = time.monotonic() + 60 * minutes if minutes is not None else None
        self._scenes = [arguments.scene] if arguments.scene else list(SCENES)
        if arguments.scene:
            self._left = []
        elif arguments.no_scenes:
            self._scenes = []

    async def run(self) -> None:
        try:
            await asyncio.gather(
                *(self._cell(number) for number in range(self._cells)),
                *(self._scene(name) for name in self._scenes),
            )
        finally:
            self.say()

    def say(self) -> None:
        self.progress.say(f"{rounds.lines(self.cells)}; {len(self.violations)} violations")

    async def _cell(self, number: int) -> None:
        if not self._left:
            return
        cell = Cell(self._folder / f"cell{number}", _TAGS, self._fault, self._settled_s)
        self.cells.append(cell)
        seed = self._first
        try:
            await cell.start()
            while self._left and not (self._until_s and time.monotonic() > self._until_s):
                kills, seed = self._left.pop(), self._first + self.rounds
                self.rounds += 1
                wrong = await cell.play(seed, kills, self.say)
                self._wrong(seed, wrong)
                if wrong:
                    break  # what is wrong now is wrong in each later round
        except SimError as error:
            self._wrong(seed, [str(error)])
        finally:
            self._wrong(seed, await cell.end())

    async def _scene(self, name: str) -> None:
        folder = self._folder / name
        folder.mkdir()
        verdict = await SCENES[name](folder, self._fault, self._settled_s)
        self.verdicts.append(verdict)
        for text in verdict.wrong:
            self._found({"seed": f"0 --scene {name}", "text": f"{name}: {text}"})

    def _wrong(self, seed: int, texts: list[str]) -> None:
        more = f" --break '{self._fault}'" if self._fault else ""
        for text in texts:
            self._found({"seed": f"{seed}{more}", "text": f"round {seed}: {text}"})

    def _found(self, violation: dict[str, Any]) -> None:
        print(f"kills: {violation['text']}", file=sys.stderr, flush=True)
        self.violations.append(violation)


def figures(campaign: Campaign) -> dict[str, Any]:
    """What the result holds beside the violations."""
    cells = campaign.cells
    kills: Counter[str] = Counter()
    for cell in cells:
        kills += cell.kills
    settled = sorted(each for cell in cells for each in cell.settled_s)
    return {
        "kills": sum(kills.values()),
        "kinds": dict(sorted(kills.items())),
        "broker_kills": sum(cell.far.broker.kills for cell in cells),
        "desk_kills": sum(cell.far.desk.kills for cell in cells),
        "between_commit_and_answer": sum(cell.after_commit for cell in cells),
        "presses": sum(tag.count("on flash") for cell in cells for tag in cell.tags),
        "messages": sum(cell.messages for cell in cells),
        "settled_s": {"median": settled[len(settled) // 2], "max": settled[-1]} if settled else {},
        "scenes": {each.name: each.said for each in campaign.verdicts},
    }


def _own_mounts() -> list[str]:
    """The words before a command that give it mounts of its own, which end with it; none where that is not allowed."""
    words = ["unshare", "--map-root-user", "--mount"]
    try:
        allowed = subprocess.run([*words, "true"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return []
    return words if allowed else []


def main() -> int:
    options = parser("kills", "Kill mosquitto and the desk with -9 at every kind of moment; lose nothing.")
    options.add_argument("--minutes", type=float, help="begin no round after so long")
    options.add_argument("--scene", choices=SCENES, help="this scene alone, no kills")
    options.add_argument("--no-scenes", action="store_true", help="kills alone")
    options.add_argument(
        "--break", dest="fault", choices=KILLS, metavar="NAME", help="with a deliberate fault"
    )
    options.add_argument(
        "--settle", type=float, default=rounds.SETTLED_S, metavar="S", help="of peace after a round (150)"
    )
    options.add_argument("--mounts", action="store_true", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if mosquitto() is None:
        print("kills: NOT RUN: mosquitto is not installed (apt-get install mosquitto)", file=sys.stderr)
        return 3
    if not arguments.mounts and (before := _own_mounts()):
        os.execvp(before[0], [*before, sys.executable, "-m", "faults.kills", *sys.argv[1:], "--mounts"])
    with tempfile.TemporaryDirectory(prefix="kills", dir=MEMORY) as folder:
        campaign = Campaign(arguments, Path(folder))
        asyncio.run(campaign.run())
    for verdict in campaign.verdicts:
        print(f"kills: {verdict.name}: {verdict.said}", file=sys.stderr)
    told = figures(campaign)
    return finish("kills", campaign.rounds, campaign.violations, campaign.progress, arguments, **told)


if __name__ == "__main__":
    sys.exit(main())
