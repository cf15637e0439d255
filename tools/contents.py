"""
Which modules a board carries: all but those for parts that it has not. What differs between boards is their maps.

    modules({"gnss": {...}, "modem": {...}})      # sorted paths below firmware/
"""

import pathlib
from typing import Any

FIRMWARE = pathlib.Path(__file__).parent.parent / "firmware"

# Needed only where the board's map has the part, or only where it has not (the receiver is in the modem then).
_WITH = {
    "pmu": ("lib/axp2101.py",),
    "gnss": ("own_sky.py", "lib/gnss.py", "lib/nmea.py"),
    "modem": ("lib/at.py", "lib/at_ca.py", "lib/at_line.py", "lib/at_socket.py", "lib/sim7080.py"),
}
_WITHOUT = {"gnss": ("shared_sky.py", "lib/at_gnss.py")}


def modules(board: dict[str, Any], firmware: pathlib.Path = FIRMWARE) -> list[pathlib.Path]:
    """Return the sources that a board with this map carries. `board` is the content of boards/NAME.json."""
    missing = {name for part, names in _WITH.items() if part not in board for name in names}
    missing |= {name for part, names in _WITHOUT.items() if part in board for name in names}
    return [
        path
        for path in sorted(firmware.rglob("*.py"))
        if path.relative_to(firmware).as_posix() not in missing
    ]
