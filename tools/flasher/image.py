"""
What is in a chip's flash or in an image file for it: partitions, applications, MicroPython.

Formats: ESP-IDF's application image (header, segments, checksum, SHA-256) and partition table.

    table = partitions(flash[0x8000:0x8C00])           # {"vfs": Partition(...), ...}
    found = inspect(data, "esp32s3")                   # Interpreter, or ImageError
"""

import hashlib
import re
import struct
from typing import NamedTuple

# Chip id in an image's header, ESP-IDF's esp_chip_id_t.
CHIPS = {
    0: "esp32",
    2: "esp32s2",
    5: "esp32c3",
    9: "esp32s3",
    12: "esp32c2",
    13: "esp32c6",
    16: "esp32h2",
    18: "esp32p4",
}
# Where the second-stage loader lies, hence where a whole image file begins.
START = {"esp32": 0x1000, "esp32s2": 0x1000, "esp32p4": 0x2000}
TABLE, TABLE_BYTES = 0x8000, 0xC00
APP = 0x10000
OLDEST = (1, 27)

_IMAGE_MAGIC = 0xE9
_CHECKSUM_SEED = 0xEF
_HEADER = 24  # 8 bytes and 16 of the extended header
_CHIP_AT, _HASHED_AT = 12, 23
_ENTRY = struct.Struct("<HBBII16sI")
_ENTRY_MAGIC, _TABLE_MD5 = 0x50AA, 0xEBEB
_BANNER = re.compile(rb"MicroPython v(\d+)\.(\d+)(?:\.(\d+))?(-[\w.-]+)? on \d{4}-\d\d-\d\d")


class ImageError(Exception):
    """The bytes are not what they should be; the text says what is wrong. `kind` names it (tools/flasher/errors.py)."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Partition(NamedTuple):
    """One row of the table; offset and size in bytes."""

    kind: int
    sub: int
    offset: int
    size: int


class Interpreter(NamedTuple):
    """A MicroPython: the chip it is for, its version as text and as numbers, its banner line."""

    chip: str
    version: str
    numbers: tuple[int, int, int]
    banner: str


def partitions(table: bytes) -> dict[str, Partition]:
    """Return the partitions by label. ImageError ("image-bad") when the table is none or its MD5 is wrong."""
    found: dict[str, Partition] = {}
    for at in range(0, len(table) - 31, 32):
        magic = int.from_bytes(table[at : at + 2], "little")
        if magic == _TABLE_MD5:
            if hashlib.md5(table[:at]).digest() != table[at + 16 : at + 32]:
                raise ImageError("image-bad", "the partition table is damaged")
            break
        if magic != _ENTRY_MAGIC:
            break
        _, kind, sub, offset, size, label, _ = _ENTRY.unpack_from(table, at)
        found[label.rstrip(b"\0").decode(errors="replace")] = Partition(kind, sub, offset, size)
    if not found:
        raise ImageError("image-bad", "there is no partition table")
    return found


def file_system(table: bytes) -> Partition:
    """Return the partition MicroPython keeps its files in."""
    found = partitions(table)
    if "vfs" not in found:
        raise ImageError("image-bad", f"no partition `vfs` among {', '.join(found)}: this is no MicroPython")
    return found["vfs"]


def chip_of(app: bytes) -> str:
    """Return the chip an application image is for. ImageError when it is no image."""
    if len(app) < _HEADER or app[0] != _IMAGE_MAGIC:
        raise ImageError("image-bad", "this is no image for an ESP32")
    number = int.from_bytes(app[_CHIP_AT : _CHIP_AT + 2], "little")
    return CHIPS.get(number, f"chip {number}")


def application(data: bytes) -> bytes:
    """Return the whole application image that `data` begins with. ImageError: cut short, or damaged."""
    chip_of(data)
    at, checksum = _HEADER, _CHECKSUM_SEED
    for _ in range(data[1]):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if at + size > len(data):
            raise ImageError("image-cut", "the image is cut short")
        for word in memoryview(data)[at : at + size]:
            checksum ^= word
        at += size
    at += 16 - at % 16
    hashed = data[_HASHED_AT] == 1
    if at + 32 * hashed > len(data):
        raise ImageError("image-cut", "the image is cut short")
    if data[at - 1] != checksum or (hashed and hashlib.sha256(data[:at]).digest() != data[at : at + 32]):
        raise ImageError("image-bad", "the image is damaged: its checksum is wrong")
    return data[: at + 32 * hashed]


def interpreter(app: bytes) -> Interpreter:
    """Return which MicroPython an application is. ImageError when it is none."""
    match = _BANNER.search(app)
    if not match:
        raise ImageError("image-bad", "this image is for an ESP32, but it is no released MicroPython")
    numbers = (int(match[1]), int(match[2]), int(match[3] or 0))
    version = match[0].decode().split()[1][1:]
    return Interpreter(chip_of(app), version, numbers, match[0].decode())


def inspect(data: bytes, chip: str) -> Interpreter:
    """
    Check a whole image file (loader, partition table, application) for `chip`; return its MicroPython.

    ImageError kinds: image-bad, image-cut, image-chip, image-old.
    """
    loader = chip_of(data)
    if loader != chip:
        raise ImageError("image-chip", f"the image is for {loader}, this board has an {chip}")
    start = START.get(chip, 0)
    application(data[: TABLE - start])
    file_system(data[TABLE - start : TABLE - start + TABLE_BYTES])
    found = interpreter(application(data[APP - start :]))
    if found.chip != chip:
        raise ImageError("image-chip", f"the application in the image is for {found.chip}, not {chip}")
    if found.numbers[:2] < OLDEST:
        raise ImageError(
            "image-old", f"the image is MicroPython {found.version}; 1.27 is the oldest that works"
        )
    return found
