"""
Modem faults: every answer of the modem in three dialogues, with everything that can be wrong with it.

    python -m faults.modem                              all single faults (CI)
    python -m faults.modem --long --minutes 60          those, then pairs on `live`, as many as the time gives
    python -m faults.modem --seed 17                    this run alone, with its log
    python -m faults.modem --seed 17 --then 9:late-10   this pair alone

The firmware's own app, link and modem driver, the emulated SIM7080G, a broker and the desk are in one process and in
virtual time. `cold`: a modem as from the factory, a tag just switched on, and a press. `live`: a press on a session
that lives. `recovery`: the network has forgotten the context without a word when the button is pressed. `ladder`: the
same, and no socket opens until the modem's supply is cut; CI takes 300 of its runs, --long all. A clean run of each
tells which answers there are; run number N is the N-th of dialogue × answer × kind (faults/dialogue/kinds.py).

In each run every alert is stored and answered within 180 s of the end of the fault, the tag knows, and there is one
incident; another press after that is answered, too; no part of the tag has ended, nothing is held or left, and every
counter that moved is explained by the fault (faults/dialogue/play.py).
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from faults.common import Progress, finish, parser
from faults.planted import MODEM, plant
from faults.simulate import MEMORY

_PROCESSES = 2
_CHUNK = 20
_LONG_MINUTES = 120.0
_PAIRS_ON = "live"
# Of this one CI takes some: it has as many answers as the other three together.
_SAMPLED, _SAMPLE = "ladder", 300
# Of the same answer to the same question: the first ones, and then every so often.
_SAME, _EVERY = 6, 10
# What is broken for one is broken for many.
_ENOUGH = 20


class Run(NamedTuple):
    """
    `seed`: its number among the single faults; `faults`: ((number of the answer, kind), ...); `again`: how often that
    answer to that question was there before.
    """

    seed: int
    dialogue: str
    faults: tuple[tuple[int, str], ...]
    again: int = 0

    @property
    def replay(self) -> str:
        if not self.faults:
            return f"-1 --dialogue {self.dialogue}"
        return f"{self.seed}" + "".join(f" --then {number}:{kind}" for number, kind in self.faults[1:])


_folder: Path
_dice = "0"


def _in_folder(folder: str, dice: str) -> None:
    """What a process needs to know."""
    global _folder, _dice
    _folder, _dice = Path(tempfile.mkdtemp(dir=folder)), dice


def _one(run: Run) -> dict[str, Any]:
    from faults.dialogue.play import play  # after the fault is in place

    outcome = play(run.dialogue, dict(run.faults), _folder, _dice)
    done: dict[str, Any] = {
        "run": run,
        "took_s": outcome.took_s,
        "again_s": outcome.again_s,
        "answers": outcome.answers,
        "log": outcome.log,
    }
    if outcome.violations:
        told = f"{run.dialogue}, {run.faults}: " + "; ".join(outcome.violations)
        done["violation"] = {"seed": run.replay, "text": told}
    return done


def _some(runs: list[Run], keep: bool) -> list[dict[str, Any]]:
    """In a process of the pool. `keep`: the answers are wanted."""
    done = [_one(run) for run in runs]
    for each in done:
        each.pop("log")
        if not keep:
            each.pop("answers")
    return done


def singles() -> tuple[list[Run], list[dict[str, Any]]]:
    """All of them, from a clean run of each dialogue; and the violations in these."""
    from faults.dialogue.kinds import fitting
    from faults.dialogue.play import DIALOGUES

    runs: list[Run] = []
    broken = []
    for dialogue in DIALOGUES:
        clean = _one(Run(-1, dialogue, ()))
        if "violation" in clean:
            # Its answers are those of no dialogue.
            broken.append(clean["violation"])
            continue
        seen: Counter[tuple[str, bytes]] = Counter()
        for number, (_, command, data) in enumerate(clean["answers"]):
            for kind in fitting(clean["answers"], number):
                runs.append(Run(len(runs), dialogue, ((number, kind),), seen[command, data]))
            seen[command, data] += 1
    return runs, broken


def pairs(firsts: list[dict[str, Any]]) -> list[Run]:
    """With each of the single faults every second one, on the answers that follow it until the alert is answered."""
    from faults.dialogue.kinds import fitting

    found = []
    for first in firsts:
        run, answers = first["run"], first["answers"]
        for number in range(run.faults[0][0] + 1, len(answers)):
            found += [run._replace(faults=(*run.faults, (number, kind))) for kind in fitting(answers, number)]
    return found


class Campaign:
    """Runs in processes; `violations` as common.py has them, `slowest` by dialogue: (seconds, run)."""

    def __init__(
        self, pool: ProcessPoolExecutor, progress: Progress, violations: list[dict[str, Any]]
    ) -> None:
        self._pool = pool
        self._progress = progress
        self.runs = 0
        self.violations = violations
        self.slowest: dict[str, tuple[float, str]] = {}

    def play(
        self, runs: Iterable[Run], until_s: float | None = None, keep: bool = False
    ) -> Iterator[dict[str, Any]]:
        """The results in order; until the time is over."""
        left = iter(runs)
        waiting: list[Any] = []
        while True:
            in_time = until_s is None or time.monotonic() < until_s
            while len(waiting) < 2 * _PROCESSES and in_time and len(self.violations) < _ENOUGH:
                chunk = list(islice(left, _CHUNK))
                if not chunk:
                    break
                waiting.append(self._pool.submit(_some, chunk, keep))
            if not waiting:
                return
            for done in waiting.pop(0).result():
                self._count(done)
                yield done

    def _count(self, done: dict[str, Any]) -> None:
        run = done["run"]
        self.runs += 1
        if "violation" in done:
            self.violations.append(done["violation"])
        name = run.dialogue if len(run.faults) == 1 else "pairs"
        took_s = max(done["took_s"], done["again_s"])
        self.slowest[name] = max(self.slowest.get(name, (0.0, "")), (took_s, run.replay))
        self._progress.say(f"{self.runs} runs, {len(self.violations)} violations")


def _chosen(arguments: argparse.Namespace, all_runs: list[Run]) -> list[Run]:
    dice = random.Random(arguments.dice)
    some = arguments.long or arguments.dialogue or arguments.kind
    chosen, sampled = [], []
    for run in all_runs:
        if arguments.dialogue not in (None, run.dialogue) or arguments.kind not in (None, run.faults[0][1]):
            continue
        # Of the ladder, which says the same for long, only some of the same answers are among those that CI draws from.
        if run.dialogue != _SAMPLED or run.again < _SAME or run.again % _EVERY == 0 or arguments.long:
            (sampled if run.dialogue == _SAMPLED and not some else chosen).append(run)
    chosen += sorted(dice.sample(sampled, min(_SAMPLE, len(sampled))))
    return dice.sample(chosen, min(arguments.count, len(chosen))) if arguments.count else chosen


def _alone(arguments: argparse.Namespace, all_runs: list[Run]) -> int:
    """One run, with its log."""
    run = all_runs[arguments.seed] if arguments.seed >= 0 else Run(-1, arguments.dialogue or _PAIRS_ON, ())
    for text in arguments.then:
        number, _, kind = text.partition(":")
        run = run._replace(faults=(*run.faults, (int(number), kind)))
    progress = Progress("modem")
    done = _one(run)
    print("\n".join(done["log"]), file=sys.stderr)
    print(
        f"{run.dialogue}, {run.faults}: {done['took_s']:.1f} s, then {done['again_s']:.1f} s", file=sys.stderr
    )
    return finish("modem", 1, [done["violation"]] if "violation" in done else [], progress, arguments)


def main() -> int:
    options = parser("modem", "Every answer of three dialogues × every fault. --seed N: that run alone.")
    options.add_argument("--then", metavar="NUMBER:KIND", action="append", default=[], help="and this fault")
    options.add_argument("--minutes", type=float, default=_LONG_MINUTES, help="with --long: how long (120)")
    options.add_argument("--dialogue", metavar="NAME", help="this one alone")
    options.add_argument("--kind", metavar="NAME", help="this kind of fault alone")
    options.add_argument("--dice", default="0", help="other positions and values (any text)")
    options.add_argument(
        "--break", dest="fault", choices=MODEM, metavar="NAME", help="with a deliberate fault"
    )
    arguments = options.parse_args()
    plant(MODEM, arguments.fault)
    progress = Progress("modem")
    until_s = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory(prefix="modem", dir=MEMORY) as folder:
        _in_folder(folder, arguments.dice)
        runs, broken = singles()
        if arguments.seed is not None:
            return _alone(arguments, runs)
        chosen = _chosen(arguments, runs)
        figures: dict[str, Any] = {}
        with ProcessPoolExecutor(
            _PROCESSES, get_context("fork"), _in_folder, (folder, arguments.dice)
        ) as pool:
            campaign = Campaign(pool, progress, broken)
            firsts = [
                done
                for done in campaign.play(chosen, keep=arguments.long)
                if done["run"].dialogue == _PAIRS_ON
            ]
            figures["singles"] = campaign.runs
            if arguments.long:
                second = pairs(firsts)
                random.Random(arguments.dice).shuffle(second)
                figures["pairs"] = sum(1 for _ in campaign.play(second, until_s))
                figures["pairs_there_are"] = len(second)
    slowest = {name: [round(took_s, 1), replay] for name, (took_s, replay) in campaign.slowest.items()}
    return finish(
        "modem", campaign.runs, campaign.violations, progress, arguments, **figures, slowest=slowest
    )


if __name__ == "__main__":
    sys.exit(main())
