"""
Fuzz: whatever bytes come, each parser ends at once with a result or its one error, and keeps nothing of them.

    python -m faults.fuzz [--long] [--seed N] [--count N] [--parser NAME] [--break NAME]

50,000 inputs a parser, --long 10,000,000 (faults/inputs.py makes them, faults/chip/parsers.py feeds them), and a
sample of each on the real interpreter, which must say the same. `line` is the modem's command line and its driver in
virtual time, `desk` the desk's own reader. --seed N: one batch of 1,000.
"""

import gc
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from faults.common import Progress, finish, parser, until_stopped, workers
from faults.planted import FUZZ, plant

_CI, _LONG = 50_000, 10_000_000
_BATCH = 1000
_SAMPLE = 200
# Processor time for one input; the slowest takes a few ms.
_HANG_S = 1.0
# What a parser may keep of a thousand inputs: the rest of its last line, and what the interpreter caches.
_GROWN = 8192
_GROWN_CHIP = 1024
_SHOWN_BYTES = 200

Feed = Callable[[bytes], str]
NAMES = ("at", "line", "fix", "nmea", "cbor", "envelope", "claims", "desk", "mqtt", "config", "record")
# What the tag's interpreter has too.
_CHIP = tuple(name for name in NAMES if name not in ("line", "desk"))


class HangError(BaseException):
    """An input that does not come to an end; nothing may catch it."""


def _hang(*_: object) -> None:
    raise HangError(f"more than {_HANG_S} s")


def feed_of(name: str) -> Feed:
    """What feeds one parser, new. Imported late: after a deliberate fault."""
    if name == "line":
        from faults.driver import Driver

        return Driver().read
    if name == "desk":
        from desk import token
        from desk.claims import TokenError
        from faults.chip import parsers

        def read(data: bytes) -> str:
            try:
                token.verify(parsers.sealed(data), parsers.KEY, parsers.KID)
            except TokenError as error:
                return error.reason
            return "ok"

        return read
    from faults.chip import parsers

    feed: Feed = parsers.PARSERS[name]
    return feed


def batch(name: str, seed: int, count: int) -> tuple[int, str]:
    """Feed one parser `count` inputs of one seed; return how many, and what was wrong ("": nothing)."""
    from faults.inputs import Inputs

    make, feed = Inputs(name, seed), feed_of(name)
    signal.signal(signal.SIGVTALRM, _hang)
    # cbor2 5 itself keeps a little of claims that it refuses halfway: 15 bytes each, and only of who has the key.
    measured = seed == 0 and name != "desk"
    inputs = [make() for _ in range(count)]
    for n, data in enumerate(inputs):
        if measured and n == count // 2:
            gc.collect()
            tracemalloc.start()
        signal.setitimer(signal.ITIMER_VIRTUAL, _HANG_S)
        try:
            feed(data)
        except (Exception, HangError) as error:  # noqa: BLE001 - whatever comes out is the finding
            return (
                n,
                f"{name}: {type(error).__name__}: {error}: {data[:_SHOWN_BYTES].hex()} ({len(data)} bytes)",
            )
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    if measured:
        data = b""
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        if grown > _GROWN:
            return count, f"{name}: {count // 2} inputs left {grown} bytes behind"
    return count, ""


def chip(count: int) -> tuple[int, list[dict[str, Any]]]:
    """The same inputs on both interpreters: the same words, and no heap kept."""
    import json

    from faults.inputs import Inputs
    from faults.interpreter import Interpreter

    inputs = {name: [Inputs(name, -1)() for _ in range(1)] for name in _CHIP}
    for name in _CHIP:
        make = Inputs(name, -1)
        # An interpreter's own JSON is its own affair: what CPython takes (NaN) or refuses there is no matter here.
        inputs[name] = [make() for _ in range(count)]
    hexed = {name: [data.hex() for data in made] for name, made in inputs.items()}
    found, runs = [], 0
    due = {name: iter([_said(feed_of(name), data) for data in made]) for name, made in inputs.items()}
    with Interpreter({"inputs.json": json.dumps(hexed).encode()}) as interpreter:
        for line in interpreter.run("fuzz.py"):
            name = line["parser"]
            if "grown" in line:
                if line["grown"] > _GROWN_CHIP:
                    found.append(f"{name}: {line['grown']} bytes of heap are kept")
                continue
            data, expected = inputs[name].pop(0), next(due[name])
            runs += 1
            said = line["said"]
            if said.startswith("out came") or (said != expected and name != "config"):
                found.append(f"{name}: {said!r}, on CPython {expected!r}: {data[:_SHOWN_BYTES].hex()}")
    return runs, [{"seed": -1, "text": f"on MicroPython: {text}"} for text in found]


def _said(feed: Feed, data: bytes) -> str:
    try:
        return feed(data)
    except Exception as error:  # noqa: BLE001 - told as the chip tells it
        return f"out came {type(error).__name__}: {error}"


def _batches(names: tuple[str, ...], first: int, count: int) -> Iterator[tuple[str, int, int]]:
    """All parsers go on side by side, so that a long run that is ended early has fed each."""
    for start in range(0, count, _BATCH):
        for name in names:
            yield name, first + start // _BATCH, min(_BATCH, count - start)


def main() -> int:
    options = parser("fuzz", "Feed each parser whatever may come: one error type each, no hang, no growth.")
    options.add_argument("--parser", choices=NAMES, help="this one alone, without the sample on MicroPython")
    options.add_argument(
        "--break", dest="fault", choices=FUZZ, metavar="NAME", help="with a deliberate fault"
    )
    options.add_argument("--minutes", type=float, help="end after that, wherever it is")
    arguments = options.parse_args()
    plant(FUZZ, arguments.fault)
    progress = Progress("fuzz")
    names = (arguments.parser,) if arguments.parser else NAMES
    count = arguments.count or (_BATCH if arguments.seed is not None else _LONG if arguments.long else _CI)
    first = arguments.seed or 0
    fed = dict.fromkeys(names, 0)
    violations: list[dict[str, Any]] = []
    runs_chip = 0
    # A break is in this process, and goes with the fork.
    with workers() as pool, until_stopped(progress):
        if first < 0 or not arguments.parser:
            runs_chip, violations = chip(_SAMPLE)
        todo = _batches(names, first, count) if first >= 0 else iter(())
        while some := list(islice(todo, 22)):
            for (name, seed, _), (done, wrong) in zip(
                some, pool.map(batch, *zip(*some, strict=True)), strict=True
            ):
                fed[name] += done
                if wrong:
                    violations.append({"seed": f"{seed} --parser {name}", "text": wrong})
            progress.say(f"{sum(fed.values())} inputs, {len(violations)} violations")
            if arguments.minutes is not None and progress.seconds > 60 * arguments.minutes:
                break
    runs = sum(fed.values()) + runs_chip
    return finish("fuzz", runs, violations, progress, arguments, parsers=fed, on_micropython=runs_chip)


if __name__ == "__main__":
    sys.exit(main())
