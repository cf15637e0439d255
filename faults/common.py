"""
What the campaigns share: arguments, the line of progress, the result.

    arguments = parser("simulate", "what it does").parse_args()
    progress = Progress("simulate")
    progress.say("120 seeds, 0 violations")          # now and then, on stderr
    sys.exit(finish("simulate", runs, violations, progress, arguments))

A violation is a dict with at least `seed` and `text`; each is printed with the command that replays it.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_EVERY_S = 10.0
_SHOWN = 10


def parser(campaign: str, about: str) -> argparse.ArgumentParser:
    """The arguments that every campaign has; it may add its own."""
    arguments = argparse.ArgumentParser(prog=f"python -m faults.{campaign}", description=about)
    arguments.add_argument("--long", action="store_true", help="the big numbers")
    arguments.add_argument("--seed", type=int, help="run this seed alone (with --count: from it on)")
    arguments.add_argument("--count", type=int, help="how many runs")
    arguments.add_argument("--json", metavar="FILE", help="write the result as JSON (-: standard output)")
    return arguments


class Progress:
    """One line on stderr, every 10 s at most. `seconds` since it was made."""

    def __init__(self, campaign: str) -> None:
        self._campaign = campaign
        self._began_s = self._told_s = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began_s, 1)

    def say(self, text: str) -> None:
        if time.monotonic() - self._told_s >= _EVERY_S:
            self._told_s = time.monotonic()
            print(f"{self._campaign}: {self.seconds:.0f} s: {text}", file=sys.stderr, flush=True)


def finish(
    campaign: str,
    runs: int,
    violations: Sequence[dict[str, Any]],
    progress: Progress,
    arguments: argparse.Namespace,
    **more: Any,
) -> int:
    """Print and write the result; return the exit status: 1 when there is a violation."""
    result = {
        "campaign": campaign,
        "runs": runs,
        "violations": len(violations),
        "seconds": progress.seconds,
        "seed": arguments.seed,
        **more,
        "found": list(violations)[:_SHOWN],
    }
    text = json.dumps(result, indent=2)
    if arguments.json == "-":
        print(text)
    elif arguments.json:
        Path(arguments.json).write_text(text + "\n", encoding="utf-8")
    out = sys.stderr if arguments.json == "-" else sys.stdout
    for violation in violations[:_SHOWN]:
        print(violation["text"], file=out)
        print(f"replay: python -m faults.{campaign} --seed {violation['seed']}", file=out)
    print(f"{campaign}: {runs} runs, {len(violations)} violations, {progress.seconds:.0f} s", file=out)
    return 1 if violations else 0
