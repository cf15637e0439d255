"""
Bytes of .mpy per firmware module and per board, against the budget (docs/decisions.md 17).

    python -m tools.size
"""

import json
import pathlib
import sys
import tempfile

from tools.contents import modules
from tools.mpy import FIRMWARE, SOURCES, MpyError, compile_mpy, uncommented

BOARD_BUDGET = 56 * 1024
MODULE_BUDGET = 4 * 1024


def sizes() -> dict[str, int]:
    """Return {path below firmware/: bytes on the tag}."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(FIRMWARE.rglob("*.py")):
            name = source.relative_to(FIRMWARE).as_posix()
            if name in SOURCES:
                result[name] = len(uncommented(source))
                continue
            target = pathlib.Path(folder) / "module.mpy"
            compile_mpy(source, target, name)
            result[name] = target.stat().st_size
    return result


def carried(found: dict[str, int]) -> dict[str, dict[str, int]]:
    """Return {board: {path: bytes}} of what each board carries."""
    boards = {}
    for path in sorted((FIRMWARE / "boards").glob("*.json")):
        names = [source.relative_to(FIRMWARE).as_posix() for source in modules(json.loads(path.read_text()))]
        boards[path.stem] = {name: found[name] for name in names}
    return boards


def main() -> int:
    try:
        found = sizes()
    except MpyError as error:
        print(error, file=sys.stderr)
        return 2
    boards = carried(found)
    over = []
    for name, size in sorted(found.items(), key=lambda item: -item[1]):
        notes = ["source"] if name in SOURCES else []
        only = [board for board, parts in boards.items() if name in parts]
        if len(only) < len(boards):
            notes.append(f"only {', '.join(only)}")
        if size > MODULE_BUDGET:
            notes.append(f"over the {MODULE_BUDGET:,} of a module")
            over.append(name)
        print(f"{size:7,}  {name:20} {'; '.join(notes)}".rstrip())
    for board, parts in boards.items():
        total = sum(parts.values())
        print(f"{total:7,}  on {board}, {100 * total / BOARD_BUDGET:.0f} % of {BOARD_BUDGET:,}")
        if total > BOARD_BUDGET:
            over.append(board)
    if over:
        print("over budget:", ", ".join(over), file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
