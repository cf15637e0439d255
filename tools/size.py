"""
Bytes of .mpy per firmware module, against the budget of the design.

    python -m tools.size
"""

import pathlib
import sys
import tempfile

from tools.mpy import SOURCES, MpyError, compile_mpy

FIRMWARE = pathlib.Path(__file__).parent.parent / "firmware"
# DESIGN section 3
TOTAL_BUDGET = 32 * 1024
MODULE_BUDGET = 4 * 1024


def sizes() -> dict[str, int]:
    """Return {path below firmware/: bytes on the tag}."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(FIRMWARE.rglob("*.py")):
            name = str(source.relative_to(FIRMWARE))
            if name in SOURCES:
                result[name] = source.stat().st_size
                continue
            target = pathlib.Path(folder) / "module.mpy"
            compile_mpy(source, target, name)
            result[name] = target.stat().st_size
    return result


def main() -> int:
    try:
        found = sizes()
    except MpyError as error:
        print(error, file=sys.stderr)
        return 2
    over = []
    for name, size in sorted(found.items(), key=lambda item: -item[1]):
        note = "source" if name in SOURCES else ""
        if size > MODULE_BUDGET:
            note = f"over the {MODULE_BUDGET} of a module"
            over.append(name)
        print(f"{size:7,}  {name:20} {note}".rstrip())
    total = sum(found.values())
    print(f"{total:7,}  in all, {100 * total / TOTAL_BUDGET:.0f} % of {TOTAL_BUDGET:,}")
    if total > TOTAL_BUDGET:
        over.append("in all")
    if over:
        print("over budget:", ", ".join(over), file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
