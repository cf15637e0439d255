"""
Every campaign, as `make faults` and `make faults-long` run them on two processors.

    python -m faults [--long] [--minutes N]

What uses one processor runs in pairs, what uses both alone, and what runs in real time (real programs, real TCP) last.
The output of each is shown when it ends; a campaign that finds something, or cannot run here, does not stop the others.
Exit status: 0, 1 when one has found something, else 3 when one could not run, 130 after Ctrl-C (each is told, and says
how far it came).
"""

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from faults import ROOT

PAIRED = ("cuts", "fuzz", "soak", "flips", "damage")
ALONE = ("replays", "modem", "simulate")
REAL = ("kills", "loss")
# These end by themselves after so long in the long run.
_TIMED = ("fuzz", "modem", "simulate")
_NOT_RUN = 3
_STOPPED = 130


class Runs:
    """The campaigns of one call. `statuses`: name to exit status, `seconds`: name to how long it took."""

    def __init__(self, long: bool, minutes: float) -> None:
        self._long, self._minutes = long, minutes
        self._stopped = False
        self._lock = threading.Lock()
        self.statuses: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    def run(self, name: str) -> None:
        """Run one campaign, then show what it said."""
        if self._stopped:
            return
        words = [sys.executable, "-m", f"faults.{name}"]
        if self._long:
            words += ["--long", *(["--minutes", str(self._minutes)] if name in _TIMED else [])]
        began_s = time.monotonic()
        # Ctrl-C reaches it from the terminal, as it reaches us: it ends with the figures that it has.
        ended = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with self._lock:
            self.statuses[name] = ended.returncode
            self.seconds[name] = time.monotonic() - began_s
            print(ended.stdout, end="", flush=True)

    def all(self) -> None:
        """Run them all in their order."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.run, PAIRED))
        for name in (*ALONE, *REAL):
            self.run(name)

    def stop(self, *_: object) -> None:
        """Begin no more."""
        self._stopped = True

    def status(self) -> int:
        """Print a line for all of them; return the exit status."""
        total_s = sum(self.seconds.values())
        words = {0: "", _NOT_RUN: " NOT RUN"}
        told = [
            f"{name}{words.get(status, f' FAILED ({status})')} {self.seconds[name]:.0f} s"
            for name, status in self.statuses.items()
        ]
        print(f"faults: {', '.join(told)}; {total_s:.0f} s of campaigns")
        found = set(self.statuses.values()) - {0}
        if self._stopped:
            return _STOPPED
        return next(iter(found - {_NOT_RUN}), _NOT_RUN) if found else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m faults", description="Every campaign, one after the other.")
    parser.add_argument("--long", action="store_true", help="the big numbers")
    parser.add_argument(
        "--minutes", type=float, default=120, metavar="N", help="of fuzz, modem and worlds (with --long)"
    )
    arguments = parser.parse_args(argv)
    runs = Runs(arguments.long, arguments.minutes)
    signal.signal(signal.SIGINT, runs.stop)
    began_s = time.monotonic()
    runs.all()
    status = runs.status()
    print(f"faults: {time.monotonic() - began_s:.0f} s in all")
    return status


if __name__ == "__main__":
    sys.exit(main())
