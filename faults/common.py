"""
What the campaigns share: arguments, the line of progress, the result.

    arguments = parser("simulate", "what it does").parse_args()
    progress = Progress("simulate")
    progress.say("120 seeds, 0 violations")          # now and then, on stderr
    sys.exit(finish("simulate", runs, violations, progress, arguments))

A violation is a dict with at least `seed` and `text`, and `with` where the replay wants more arguments than the seed;
each is printed with the command that replays it. Ctrl-C within `until_stopped` ends a campaign with the result of what
it has done, which says so.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_EVERY_S = 10.0
_SHOWN = 10
PROCESSES = 2
# For a desk's database, which is synced at every commit.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


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
        self.stopped = False  # by Ctrl-C

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began_s, 1)

    def say(self, text: str) -> None:
        if time.monotonic() - self._told_s >= _EVERY_S:
            self._told_s = time.monotonic()
            print(f"{self._campaign}: {self.seconds:.0f} s: {text}", file=sys.stderr, flush=True)


def workers() -> ProcessPoolExecutor:
    """Two processes like this one, deliberate faults and all. Ctrl-C is for their parent."""
    return ProcessPoolExecutor(
        PROCESSES, multiprocessing.get_context("fork"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    )


@contextmanager
def until_stopped(progress: Progress) -> Iterator[None]:
    """Leave what is inside at Ctrl-C, and end the workers: what they were at is not counted."""
    try:
        yield
    except KeyboardInterrupt:
        progress.stopped = True
        # The pool's own thread is not silent about workers that are gone.
        threading.excepthook = lambda _: None
        for child in multiprocessing.active_children():
            child.terminate()


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
        "stopped": progress.stopped,
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
        more = f" {violation['with']}" if violation.get("with") else ""
        print(f"replay: python -m faults.{campaign} --seed {violation['seed']}{more}", file=out)
    early = ", stopped by Ctrl-C before its end" if progress.stopped else ""
    print(f"{campaign}: {runs} runs, {len(violations)} violations, {progress.seconds:.0f} s{early}", file=out)
    return 1 if violations else 0
