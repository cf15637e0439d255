"""
Obereg and a plain firmware on umqtt.robust side by side; writes docs/bench.md.

    python -m bench                              3 presses a row, some 3 minutes
    python -m bench --count 10 --deadline 60     better figures, some 12 minutes
    python -m bench --row "no loss" --out -      one row, shown only
"""

import argparse
import asyncio
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from bench import far, heap, report
from bench.proxy import Proxies
from bench.rows import FAULTS, Row, play
from bench.tags import UMQTT, Obereg, Plain
from bench.wire import Wire
from sim.common import ROOT, SimError
from tools import fetch_umqtt

_OUT = ROOT / "docs" / "bench.md"
# Here milliseconds count, so nothing else runs beside these.
_ALONE = FAULTS[:2]


def arguments(argv: list[str]) -> argparse.Namespace:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m bench", description=__doc__, formatter_class=text)
    parser.add_argument("--count", type=int, default=3, metavar="N", help="presses a row (default: 3)")
    parser.add_argument(
        "--deadline",
        type=float,
        default=30.0,
        metavar="S",
        help="what is later is not delivered (default: 30)",
    )
    parser.add_argument("--latency", type=float, default=25.0, metavar="MS", help="one way (default: 25)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the losses (default: 1)")
    parser.add_argument(
        "--row", action="append", choices=[f.name for f in FAULTS], help="only this row; repeatable"
    )
    parser.add_argument("--no-heap", action="store_true", help="do not look for the smallest heaps")
    parser.add_argument("--way", choices=("auto", "wire", "proxy"), default="auto", help="default: auto")
    parser.add_argument(
        "--out", default=str(_OUT), metavar="FILE", help="- for stdout (default: docs/bench.md)"
    )
    return parser.parse_args(argv)


def namespace() -> list[str] | None:
    """Return the words before a command that give it a network of its own and a TUN device, or None."""
    words = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or not shutil.which("ip"):
        return None
    probe = [*words, sys.executable, "-c", "import os; os.close(os.open('/dev/net/tun', os.O_RDWR))"]
    try:
        tried = subprocess.run(probe, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return words if tried.returncode == 0 else None


async def run(options: argparse.Namespace, folder: pathlib.Path) -> tuple[list[Row], dict[str, int | None]]:
    """Play the rows; return them and the smallest heaps."""
    wanted = [fault for fault in FAULTS if not options.row or fault.name in options.row]
    way: Any = (Wire if options.way == "wire" else Proxies)(options.latency, options.seed)
    heaps: dict[str, int | None] = {}

    async def row(number: int) -> Row:
        fault = wanted[number]
        print(f"{fault.name} ...", file=sys.stderr, flush=True)
        where = folder / f"row{number}"
        return await play(where, way, fault, options.count, options.deadline, options.seed + 100 * number)

    async def smallest(kind: type[Obereg] | type[Plain]) -> None:
        heaps[kind.name] = await heap.smallest(folder / f"heap-{kind.name}", way, kind)

    try:
        numbers = range(len(wanted))
        rows = [await row(number) for number in numbers if wanted[number] in _ALONE]
        rest = [row(number) for number in numbers if wanted[number] not in _ALONE]
        more = [] if options.no_heap else [smallest(kind) for kind in (Obereg, Plain)]
        results = await asyncio.gather(*rest, *more)
        return [*rows, *(result for result in results if result)], dict(sorted(heaps.items()))
    finally:
        way.stop()


def main(argv: list[str]) -> int:
    """Run the bench; return the exit status: 1 when a row broke off."""
    options = arguments(argv)
    if options.way == "auto":
        before = namespace()
        options.way = "wire" if before else "proxy"
        if before:
            # Nothing of the computer's own network is touched.
            os.execvp(before[0], [*before, sys.executable, "-m", "bench", *argv, "--way", "wire"])
    if not (UMQTT / "robust.py").exists():
        fetch_umqtt.main(str(UMQTT.parent), ["simple", "robust"])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="obereg-bench-"))
    began_s = time.monotonic()
    try:
        rows, heaps = asyncio.run(run(options, folder))
    except SimError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    settings = {
        **vars(options),
        "broker": "mosquitto" if far.mosquitto() else "amqtt, inside Python",
        "version": version(),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": time.monotonic() - began_s,
    }
    text = report.render(rows, settings, heaps)
    if options.out == "-":
        print(text)
    else:
        pathlib.Path(options.out).write_text(text)
        print(f"{options.out} is written", file=sys.stderr)
    return 1 if any(row.why for row in rows) else 0


def version() -> str:
    """Return the interpreter's version."""
    what = "import sys; print('.'.join(str(part) for part in sys.implementation.version if part != ''))"
    command = [sys.executable, "-m", "micropython_unix", "-c", what]
    return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip() or "?"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
