"""
The firmware for one board as files, and what has to be sent of it.

    wanted = files("tag-a")                          # {"app.mpy": b"...", "manifest.json": ...}
    plan(wanted, hashes_on_the_tag)                  # Plan(send, remove)
    image(wanted, size)                              # the whole LittleFS, for a blank board
"""

import hashlib
import json
import re
import time
from typing import NamedTuple

from littlefs import LittleFS, LittleFSError

from sim import image as source
from sim.common import FIRMWARE
from sim.provision import checked
from tools.flasher.errors import FlashError

BLOCK = 4096
_UNIT = 32  # what MicroPython mounts with on an ESP32
# The tag's own, or the technician's: not part of the firmware.
SETTINGS = ("config.json", "ca.der", "build.json")
_VERSION = re.compile(r'^VERSION = "([^"]+)"', re.MULTILINE)


class Plan(NamedTuple):
    """What brings a tag to the wanted firmware: files to send, paths to remove."""

    send: dict[str, bytes]
    remove: list[str]


def version() -> str:
    """Return the firmware's version."""
    for path in sorted(FIRMWARE.glob("*.py")):
        if found := _VERSION.search(path.read_text()):
            return found[1]
    raise FlashError("not-compiled", text="no module of the firmware names its VERSION")


def files(board: str) -> dict[str, bytes]:
    """Return the firmware for `board`, compiled, and its manifest of SHA-256. FlashError: not-compiled, site-bad."""
    if board not in source.boards():
        raise FlashError(
            "site-bad", path="board", text=f"unknown board {board!r}; there is {', '.join(source.boards())}"
        )
    try:
        wanted = source.firmware_files(board)
    except source.ImageError as error:
        raise FlashError("not-compiled", text=str(error)) from None
    manifest = {
        "version": version(),
        "board": board,
        "files": {name: digest(data) for name, data in wanted.items()},
    }
    return {**wanted, "manifest.json": json.dumps(manifest, sort_keys=True).encode()}


def chip(board: str) -> str:
    """Return the chip of a board map."""
    return json.loads(source.board_map(board))["chip"]


def digest(data: bytes) -> str:
    """Return SHA-256 as hex."""
    return hashlib.sha256(data).hexdigest()


def build_file() -> bytes:
    """Return build.json: when this was installed, UTC seconds. The tag's clock is never before it."""
    return checked({"built_s": int(time.time())})


def plan(wanted: dict[str, bytes], there: dict[str, str]) -> Plan:
    """Compare with the hashes on the tag. Whatever else lies there, outside /data and the settings, is removed."""
    send = {name: data for name, data in wanted.items() if there.get(name) != digest(data)}
    known = {*wanted, *SETTINGS}
    remove = sorted(name for name in there if name not in known and not name.startswith("stage/"))
    if (send or remove or "build.json" not in there) and wanted:
        send["build.json"] = build_file()
    return Plan(send, remove)


def image(wanted: dict[str, bytes], size: int) -> bytes:
    """Return a LittleFS of `size` bytes with the files, without the blank blocks at its end. FlashError: flash-full."""
    system = LittleFS(
        block_size=BLOCK,
        block_count=size // BLOCK,
        read_size=_UNIT,
        prog_size=_UNIT,
        cache_size=4 * _UNIT,
        lookahead_size=_UNIT,
    )
    try:
        for name, data in wanted.items():
            folder = name.rpartition("/")[0]
            if folder:
                system.makedirs(folder, exist_ok=True)
            with system.open(name, "wb") as file:
                file.write(data)
    except LittleFSError:
        raise FlashError("flash-full", need=sum(map(len, wanted.values())), free=size) from None
    system.unmount()
    data = bytes(system.context.buffer).rstrip(b"\xff")
    return data + b"\xff" * (-len(data) % BLOCK)
