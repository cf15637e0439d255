"""
Power cuts: the supply fails at every change of every store, and then once more while the tag recovers.

The firmware's own modules run on real MicroPython, on its own VfsLfs2, from boot.py to the answer of the desk
(faults/chip/cuts.py has the scenes, faults/chip/world.py what must hold). A run below 1,000,000 is a single cut: one
operation of one scene, one tear, RTC memory lost or kept. From there on a run is a random scene with two cuts.

    python -m faults.cuts [--long] [--seed RUN] [--count N] [--break NAME]
"""

import argparse
import datetime
import json
import sys
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from faults.breaks import CUTS, broken
from faults.common import Progress, finish, parser
from faults.interpreter import Interpreter, InterpreterError
from sim.provision import config_file

_DOUBLE = 1_000_000
# CI: every so-manieth single cut, and so many double ones: 2,000 cuts. --long: all, and 20,000 cuts in pairs.
_STEP, _SINGLES, _DOUBLES = 5, 1000, 520
_ALL, _LONG_DOUBLES = 1_000_000, 10_300


def ca(number: int) -> bytes:
    """Return the DER of a CA, the same at each call: how long it is decides how often flash is written."""
    key = ec.derive_private_key(1000 + number, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"a CA {number}")])
    builder = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        1 + number,
        datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC),
    ).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    signed = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.DER)


def settings(number: int) -> tuple[bytes, bytes]:
    """Return (config.json, the CA) of one of two sets that a technician may write."""
    config: dict[str, Any] = {
        "board": "tag-z",
        "broker": {"host": ("a.example", "b.example.org")[number]},
        "wifi": [["home", "12345678"], ["school", "secret-of-school"]],
        "hold_ms": (600, 700)[number],
    }
    return config_file(config, ca(number)), ca(number)


def files() -> dict[str, bytes]:
    """What the programs of faults/chip read: both sets of settings, in hex."""
    pairs = [[part.hex() for part in settings(number)] for number in (0, 1)]
    return {"settings.json": json.dumps(pairs).encode()}


def plan(arguments: argparse.Namespace) -> list[tuple[str, int, int, int]]:
    """Return (mode, first, count, step) of each call of faults/chip/cuts.py."""
    if arguments.seed is not None:
        count = arguments.count or 1
        mode = "single" if arguments.seed < _DOUBLE else "double"
        return [(mode, arguments.seed % _DOUBLE, count, 1)]
    if arguments.count:
        # A third each: in a pair there are two.
        return [
            ("single", 0, arguments.count // 3, max(1, 13_000 // arguments.count)),
            ("double", 0, arguments.count // 3, 1),
        ]
    if arguments.long:
        return [("single", 0, _ALL, 1), ("double", 0, _LONG_DOUBLES, 1)]
    return [("single", 0, _SINGLES, _STEP), ("double", 0, _DOUBLES, 1)]


def results(chip: Interpreter, mode: str, first: int, count: int, step: int) -> Iterator[dict[str, Any]]:
    """Run one part of the plan. An interpreter that dies is a violation of the run it died in."""
    last = first
    try:
        for line in chip.run("cuts.py", mode, str(first), str(count), str(step)):
            last = line.get("run", first + line.get("runs", 0) * step)
            yield line
    except InterpreterError as error:
        yield {"violation": f"after run {last}: {error}", "run": last, "runs": 0, "cuts": 0}


def main() -> int:
    options = parser(
        "cuts", "Cut the power at every change of flash, NVS and RTC memory, and again in the recovery."
    )
    options.add_argument(
        "--break", dest="fault", choices=CUTS, metavar="NAME", help="with a deliberate fault"
    )
    arguments = options.parse_args()
    progress = Progress("cuts")
    runs = {"single": 0, "double": 0}
    cuts = {"single": 0, "double": 0}
    violations: list[dict[str, Any]] = []
    with Interpreter(files(), broken(CUTS, arguments.fault)) as chip:
        for part in plan(arguments):
            mode = part[0]
            for line in results(chip, *part):
                if "violation" in line:
                    seed = line["run"] + (_DOUBLE if mode == "double" else 0)
                    violations.append({"seed": seed, "text": line["violation"]})
                runs[mode] = line.get("runs", runs[mode])
                cuts[mode] = line.get("cuts", cuts[mode])
                progress.say(f"{sum(cuts.values())} cuts, {len(violations)} violations")
    total = sum(cuts.values())
    print(f"cuts: {cuts['single']} single, {cuts['double']} in pairs", file=sys.stderr)
    return finish(
        "cuts", sum(runs.values()), violations, progress, arguments, cuts=total, pairs=cuts["double"]
    )


if __name__ == "__main__":
    sys.exit(main())
