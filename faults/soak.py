"""
Soak in virtual time: one tag lives for years with one desk, and nothing is missed and nothing grows.

    python -m faults.soak [--long] [--seed YEAR] [--count YEARS] [--break NAME]

A run is one year: 2038 in CI (it holds 2038-01-19 03:14:08 and the receiver's week rollover on 2038-11-20), 2027 to
2126 with --long. In each the ticks wrap 29 times, packet ids wrap, and the epoch reaches its end. The firmware's own
app, tag, link, outbox, counters, journal, clock and receiver, a broker, and the real desk on SQLite (faults/world).
What is scarcer than in a real year: the tag's tick (one a minute) and heartbeats (one an hour).
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from faults.common import MEMORY, Progress, finish, parser, until_stopped, workers
from faults.planted import SOAK, plant

_CI_YEAR, _FIRST, _YEARS = 2038, 2027, 100


def live(year: int, days: int, folder: str) -> dict[str, Any]:
    """Live through so many days of a year; return what faults/world/year.py counted."""
    from faults.world.year import play  # after the fault is in place

    own = Path(folder, str(year))
    own.mkdir()
    return play(year, days, own)


def main() -> int:
    options = parser("soak", "A tag lives for years: nothing is missed, nothing grows. --seed: the year.")
    options.add_argument(
        "--break", dest="fault", choices=SOAK, metavar="NAME", help="with a deliberate fault"
    )
    options.add_argument("--days", type=int, default=365, help="of each year")
    arguments = options.parse_args()
    plant(SOAK, arguments.fault)
    progress = Progress("soak")
    first = arguments.seed or (_FIRST if arguments.long else _CI_YEAR)
    count = arguments.count or (_YEARS if arguments.long else 1)
    violations: list[dict[str, Any]] = []
    total: dict[str, int] = {}
    lived = 0
    years = range(first, first + count)
    with (
        tempfile.TemporaryDirectory(prefix="soak", dir=MEMORY) as folder,
        workers() as pool,
        until_stopped(progress),
    ):
        done = pool.map(live, years, [arguments.days] * count, [folder] * count)
        for year, counted in zip(years, done, strict=True):
            violations += [{"seed": year, "text": f"{year}: {text}"} for text in counted.pop("violations")]
            for name, value in counted.items():
                total[name] = total.get(name, 0) + value
            lived += 1
            progress.say(f"{lived} years, {len(violations)} violations: {total}")
    return finish("soak", lived, violations, progress, arguments, **total)


if __name__ == "__main__":
    sys.exit(main())
