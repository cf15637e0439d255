"""
A stand-in for MicroPython's image file of an ESP32: real loader, table and application headers, a banner, no code.

What runs when a chip boots it is the Unix port; version and chip are told by the image that was burnt.
"""

import hashlib
import struct

from tools.flasher.image import APP, CHIPS, START, TABLE, TABLE_BYTES

FLASH_BYTES = 4 * 1024 * 1024  # all that the mock loader has
# MicroPython's own table for 4 MB
NVS = (0x9000, 0x6000)
_ROWS = (
    ("nvs", 1, 2, *NVS),
    ("phy_init", 1, 1, 0xF000, 0x1000),
    ("factory", 0, 0, APP, 0x1F0000),
    ("vfs", 1, 0x81, 0x200000, 0x200000),
)


def image(chip: str = "esp32s3", version: str = "1.28.0") -> bytes:
    """Return the file that `burn` takes, about 96 KB. No code of MicroPython is in it."""
    banner = (
        f"MicroPython v{version} on 2026-04-06; Generic {chip.upper()} module with {chip.upper()}\0".encode()
    )
    # Some of it must not compress, so that burning takes a while.
    filler = b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(1024))
    start = START.get(chip, 0)
    parts = {
        start: _application(chip, bytes(1024)),
        TABLE: _table(),
        APP: _application(chip, banner + filler),
    }
    data = bytearray()
    for offset, part in parts.items():
        data += b"\xff" * (offset - start - len(data)) + part
    return bytes(data)


def _application(chip: str, body: bytes) -> bytes:
    number = {name: number for number, name in CHIPS.items()}[chip]
    body += b"\0" * (-len(body) % 4)
    data = struct.pack("<BBBBI", 0xE9, 1, 2, 0x2F, 0x40374000) + struct.pack(
        "<B3xHBHH4xB", 0xEE, number, 0, 0, 99, 1
    )
    data += struct.pack("<II", 0x3C000020, len(body)) + body
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    data += b"\0" * (15 - len(data) % 16) + bytes([checksum])
    return data + hashlib.sha256(data).digest()


def _table() -> bytes:
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, sub, offset, size, label.encode(), 0)
        for label, kind, sub, offset, size in _ROWS
    )
    rows += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()
    return rows.ljust(TABLE_BYTES, b"\xff")
