"""
Damage: counters, outbox, settings and RTC memory are rotten in both stores, the key is whole in one of them.

The alert must still go out, to the right broker. Patterns and judgement are in faults/chip/damage.py; they run on real
MicroPython with the firmware's own modules from boot.py to the link; broker and desk are played in the same process.

    python -m faults.damage [--long] [--seed RUN] [--count N] [--break NAME]
"""

import sys
from typing import Any

from faults.breaks import DAMAGE, broken
from faults.common import Progress, finish, parser
from faults.cuts import files
from faults.interpreter import Interpreter, InterpreterError

_RUNS, _LONG = 90, 1000


def main() -> int:
    options = parser("damage", "Break all that the tag keeps but its key, press, and see the alert arrive.")
    options.add_argument(
        "--break", dest="fault", choices=DAMAGE, metavar="NAME", help="with a deliberate fault"
    )
    arguments = options.parse_args()
    progress = Progress("damage")
    first = arguments.seed or 0
    count = arguments.count or (1 if arguments.seed is not None else _LONG if arguments.long else _RUNS)
    runs, last = 0, first
    violations: list[dict[str, Any]] = []
    with Interpreter(files(), broken(DAMAGE, arguments.fault)) as chip:
        try:
            for line in chip.run("damage.py", str(first), str(count)):
                if "violation" in line:
                    last = line["run"]
                    violations.append({"seed": last, "text": line["violation"]})
                runs = line.get("runs", runs)
                progress.say(f"{runs} patterns, {len(violations)} violations")
        except InterpreterError as error:
            violations.append({"seed": last, "text": f"after run {last}: {error}"})
    return finish("damage", runs, violations, progress, arguments)


if __name__ == "__main__":
    sys.exit(main())
