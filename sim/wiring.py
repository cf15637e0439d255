"""
What the tag's interpreter is given: the fakes of sim/board, compiled, and the wiring file that tells them of the board.

The keys of the wiring file: those of parts_of, flash, nvs, rtc (paths), reset_sh (path, quoted for sh), fuse
(program/erase operations until a power cut, or null), panel ([host, port] or null), ptys (part to path),
umqtt (whether it is there), wifi (whether network and socket are), cause, wake, mac (6 numbers), trace.
"""

import hashlib
import os
import pathlib
import shutil
from typing import Any

from sim import image
from sim.common import BUILD

UMQTT = BUILD / "lib" / "umqtt"  # made by tools.fetch_umqtt
_BOARD = pathlib.Path(__file__).resolve().parent / "board"

# What a board's power chip feeds: part to outputs that must all be on. DC3 and BLDO1 of sheet 2.1 (simpmu.py).
PMU_FEEDS = {"modem": "modem modem_io"}


def parts_of(board: dict[str, Any]) -> dict[str, Any]:
    """
    Return what the fakes need of a board map, flat, because it stays in the tag's heap.

    board: its name; pins: a text, a line each of number, name, active level; uarts: id to part; supplied: part to the
    outputs that must be on for it to speak; ratio_e3: of the battery's divider; pmu: [i2c, sda, scl] of the power
    chip, or None. A part's supply carries its name: the panel's `out gnss 1` is power.
    """
    parts = {name: part for name, part in board.items() if isinstance(part, dict)}
    pins = [[part["pin"], name, part.get("active", 1)] for name, part in parts.items() if "pin" in part]
    pmu = parts.get("pmu")
    supplied = dict(PMU_FEEDS) if pmu else {}
    for name, part in parts.items():
        for key, sub in part.items():
            if isinstance(sub, dict) and "pin" in sub:
                pins.append([sub["pin"], name if key == "power" else f"{name}_{key}", sub.get("active", 1)])
                if key == "power":
                    supplied[name] = name
    if "tx" in parts.get("modem", {}):
        pins.append([parts["modem"]["tx"], "modem_tx", 1])  # an idle UART holds it high
    return {
        "board": board["name"],
        "pins": "\n".join(f"{number} {name} {active}" for number, name, active in pins),
        "uarts": {part["uart"]: name for name, part in parts.items() if "uart" in part},
        "supplied": supplied,
        "ratio_e3": board.get("battery", {}).get("ratio_e3", 1000),
        "pmu": [pmu["i2c"], pmu["sda"], pmu["scl"]] if pmu else None,
    }


def start_file() -> pathlib.Path:
    """
    Return the interpreter's first file, the fakes compiled beside it.

    On a chip `machine` is part of the image and costs no heap. Compiled the way the firmware is, the fakes cost least.
    """
    fakes = [path for path in sorted(_BOARD.glob("*.py")) if path.stem != "start"]
    modules = {f"{path.stem}.mpy": image.compiled(path, path.name) for path in fakes}
    # Frozen in the ESP32's image, so not on the flash; it has no place in the heap there.
    modules |= {f"umqtt/{path.stem}.mpy": image.compiled(path, path.name) for path in UMQTT.glob("*.py")}
    start = (_BOARD / "start.py").read_bytes()
    key = hashlib.sha256(start + b"".join(modules.values())).hexdigest()[:16]
    folder = BUILD / "board" / key
    if not folder.exists():
        fresh = folder.with_suffix(f".{os.getpid()}")
        fresh.mkdir(parents=True)
        (fresh / "start.py").write_bytes(start)
        for name, code in modules.items():
            (fresh / name).parent.mkdir(exist_ok=True)
            (fresh / name).write_bytes(code)
        try:
            fresh.rename(folder)
        except OSError:
            shutil.rmtree(fresh)  # another process was quicker
    return folder / "start.py"
