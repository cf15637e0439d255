"""
Deliberate faults that the campaigns on real brokers and desks must find.

A desk with one is `python -m faults.town.breaks NAME run ...`; the tag's is in the firmware of its image.
"""

import shutil
import sys
from pathlib import Path

from faults.breaks import broken
from faults.planted import Table, plant
from sim.common import FIRMWARE

# name: module, what stands there once, what instead
KILLS: Table = {
    "the desk answers before it commits": (
        "desk.store",
        '            self.db.execute("BEGIN IMMEDIATE")\n            yield\n            self.db.execute("COMMIT")\n',
        '            if self.db.in_transaction:\n                self.db.execute("COMMIT")\n'
        '            self.db.execute("BEGIN IMMEDIATE")\n            yield\n',
    ),
    "the desk takes a repeat for another message": (
        "desk.incidents",
        "        return REPEAT if seen else REUSE\n",
        "        return REUSE\n",
    ),
    "the desk answers what it could not store": (
        "desk.store",
        "            if isinstance(error, sqlite3.Error):\n",
        "            if isinstance(error, sqlite3.Error):\n                return\n            if False:\n",
    ),
    "the tag settles on PUBACK": (
        "link",
        '        elif event == "message":\n',
        '        elif event == "puback":\n'
        "            for entry in self._outbox.pending()[:1]:\n"
        "                self._outbox.settle(entry)\n"
        '        elif event == "message":\n',
    ),
    "the tag says it once": (
        "link",
        "            if entry.session is session and clock.since(entry.due_ms, now_ms) > 0:\n",
        "            if entry.session:\n",
    ),
}


def desk_words(fault: str | None) -> list[str]:
    """The words that start a desk: the real one, or one with that fault."""
    if fault and KILLS[fault][0].startswith("desk."):
        return ["-m", "faults.town.breaks", fault]
    return ["-m", "desk"]


def firmware(fault: str | None, folder: Path) -> Path:
    """The folder of the firmware: the real one, or a copy in `folder` with that fault."""
    if not fault or KILLS[fault][0].startswith("desk."):
        return FIRMWARE
    copy = folder / "firmware"
    if not copy.exists():
        shutil.copytree(FIRMWARE, copy)
        for module, text in broken(KILLS, fault).items():
            [path] = copy.rglob(f"{module}.py")
            path.write_text(text, encoding="utf-8")
    return copy


def main() -> int:
    """A desk with a fault."""
    plant(KILLS, sys.argv[1])
    from desk.__main__ import main as desk  # with the fault in place

    return desk(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
