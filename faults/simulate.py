"""
Deterministic simulation: one seed is one world, and no world may break an invariant (faults/world/judge.py).

    python -m faults.simulate                       2,000 seeds, then every mutant within 100 (CI)
    python -m faults.simulate --long --minutes 60   as many seeds as the time gives, then the mutants
    python -m faults.simulate --seed 7              this world alone, with its log
    python -m faults.simulate --mutant NAME         the first seed that finds this break
    python -m faults.simulate --seed 7 --mutant NAME

A mutant is one deliberate break of the firmware or the desk (faults/mutants/); one that no seed finds fails the run,
because then the simulation proves nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from faults import ROOT, mutants
from faults.common import MEMORY, PROCESSES, Progress, finish, parser, until_stopped

_CI_SEEDS = 2000
_CHUNK = 200
_MUTANT_SEEDS = 100
_LONG_MINUTES = 120.0
_LOG_LINES = 80
# A chunk takes some 5 s; a process that hangs is a violation too.
_CHUNK_LIMIT_S = 600


# What is counted over the worlds; of settled_s the longest.
_FIGURES = ("runs", "gestures", "restarts", "revs_given_twice", "virtual_s", "settled_s")


def _add(total: dict[str, Any], name: str, value: float) -> None:
    total[name] = max(total[name], value) if name == "settled_s" else total[name] + value


def worlds(first: int, count: int, stop: bool) -> dict[str, Any]:
    """Play `count` worlds in this process; `stop` at the first that breaks an invariant."""
    from faults.world.world import play  # after the mutant is in place

    done: dict[str, Any] = dict.fromkeys(_FIGURES, 0)
    done["found"] = found = []
    with tempfile.TemporaryDirectory(prefix="obereg-", dir=MEMORY) as folder:
        for seed in range(first, first + count):
            outcome = play(seed, Path(folder))
            done["runs"] += 1
            for name in _FIGURES[1:]:
                _add(done, name, getattr(outcome, name))
            if outcome.violations:
                text = "\n".join([*outcome.log[-_LOG_LINES:], *outcome.violations])
                found.append({"seed": seed, "broken": outcome.violations, "text": text})
                if stop:
                    break
            elif count == 1:
                print("\n".join(outcome.log), file=sys.stderr)
    return done


def _child(*arguments: str) -> dict[str, Any]:
    """Play worlds in a process of their own; its result, or a violation if it died."""
    command = [sys.executable, "-m", "faults.simulate", "--json", "-", *arguments]
    seed = int(arguments[arguments.index("--seed") + 1])
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_CHUNK_LIMIT_S)
        result: dict[str, Any] = json.loads(ended.stdout)
        return result
    except (subprocess.TimeoutExpired, ValueError) as error:
        hung = isinstance(error, subprocess.TimeoutExpired)
        said = f"no end after {_CHUNK_LIMIT_S} s" if hung else ended.stderr
        return {"runs": 0, "found": [{"seed": seed, "broken": ["crash"], "text": said}]}


def _seeds(
    pool: ThreadPoolExecutor, first: int, count: int | None, until_s: float
) -> Iterator[dict[str, Any]]:
    """The results of chunk after chunk, until `count` worlds or the time is over."""
    waiting: deque[Future[dict[str, Any]]] = deque()
    at = first
    while True:
        more = at < first + count if count is not None else time.monotonic() < until_s
        if more and len(waiting) < 2 * PROCESSES:
            size = _CHUNK if count is None else min(_CHUNK, first + count - at)
            waiting.append(pool.submit(_child, "--seed", str(at), "--count", str(size)))
            at += size
        elif waiting:
            yield waiting.popleft().result()
        else:
            return


def _find_mutants(pool: ThreadPoolExecutor, first: int) -> tuple[dict[str, int | None], list[dict[str, Any]]]:
    """By mutant the number of worlds it took to find it, None: not found; and the violations that makes."""
    tries = {
        pool.submit(_child, "--mutant", name, "--seed", str(first), "--count", str(_MUTANT_SEEDS)): name
        for name in mutants.names()
    }
    found: dict[str, int | None] = {}
    missed = []
    for future in as_completed(tries):
        name, result = tries[future], future.result()
        broken = [each for each in result["found"] if each["broken"] != ["crash"]]
        found[name] = result["runs"] if broken else None
        if not broken:
            why = "".join(each["text"] for each in result["found"]) or f"not found in {result['runs']} worlds"
            missed.append(
                {"seed": f"{first} --count {_MUTANT_SEEDS} --mutant {name}", "text": f"mutant {name}: {why}"}
            )
    return dict(sorted(found.items())), missed


def _campaign(arguments: argparse.Namespace) -> int:
    progress = Progress("simulate")
    minutes = arguments.minutes if arguments.minutes is not None else _LONG_MINUTES
    count = arguments.count or (None if arguments.long else _CI_SEEDS)
    first = arguments.seed or 0
    total: dict[str, Any] = dict.fromkeys(_FIGURES, 0)
    found: list[dict[str, Any]] = []
    mutated: dict[str, int | None] = {}
    missed: list[dict[str, Any]] = []
    pool = ThreadPoolExecutor(PROCESSES)
    with until_stopped(progress):
        for result in _seeds(pool, first, count, time.monotonic() + 60 * minutes):
            found += result["found"]
            for name in _FIGURES:
                _add(total, name, result.get(name, 0))
            progress.say(f"{total['runs']} worlds, {len(found)} violations")
        if not arguments.no_mutants:
            mutated, missed = _find_mutants(pool, first)
    # The chunks that are being played end with Ctrl-C, too, or else by themselves.
    pool.shutdown(cancel_futures=True)
    runs = total.pop("runs")
    total = {name: round(value, 1) for name, value in total.items()}
    if mutated:
        worst = max((tries or _MUTANT_SEEDS) for tries in mutated.values())
        print(
            f"simulate: {len(mutated) - len(missed)} of {len(mutated)} mutants found, within {worst} worlds"
        )
    return finish("simulate", runs, found + missed, progress, arguments, **total, mutants=mutated)


def main() -> int:
    """The command line; returns the exit status."""
    arguments = parser("simulate", "One seed, one world: the real modules, and everything that goes wrong.")
    arguments.add_argument("--minutes", type=float, help="with --long: how long (120)")
    arguments.add_argument("--mutant", metavar="NAME", choices=mutants.names(), help="break this first")
    arguments.add_argument("--no-mutants", action="store_true", help="seeds alone")
    given = arguments.parse_args()
    if given.mutant:
        mutants.apply(given.mutant)
        given.count = given.count or (1 if given.seed is not None else _MUTANT_SEEDS)
    elif given.seed is None or given.no_mutants or given.long:
        return _campaign(given)
    progress = Progress("simulate")
    result = worlds(given.seed or 0, given.count or 1, stop=bool(given.mutant))
    runs, found = result.pop("runs"), result.pop("found")
    if given.mutant:
        for each in found:
            each["seed"] = f"{each['seed']} --mutant {given.mutant}"
    return finish("simulate", runs, found, progress, given, **result)


if __name__ == "__main__":
    sys.exit(main())
