"""
What makes a blank flash image a tag: identity, first epoch, configuration, build time, the broker's CA.

The records are written by the firmware's own code, so the tag reads what it would have written.
"""

import importlib
import json
import sys
import time
import zlib
from typing import Any

from sim.common import FIRMWARE, ROOT
from sim.image import board_map, boards


def firmware_module(name: str) -> Any:
    """Import one of the firmware's modules that needs no board."""
    for folder in (FIRMWARE, FIRMWARE / "lib", ROOT / "tools" / "cpython"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return importlib.import_module(name)


def checked(data: dict[str, Any], more: bytes = b"") -> bytes:
    """
    Return a JSON file of the tag whose last field, `crc`, is the CRC-32 of the text before it, then of `more`.

    By it the tag tells damage from what a technician has written.
    """
    text = json.dumps(data, sort_keys=True).encode()[:-1]
    return b'%s, "crc": %d}' % (text, zlib.crc32(more, zlib.crc32(text)))


def build_file() -> dict[str, bytes]:
    """Return what the installer notes: when the firmware was built, UTC seconds since 1970."""
    return {"build.json": checked({"built_s": int(time.time())})}


def config_file(config: dict[str, Any], ca_der: bytes | None = None) -> bytes:
    """Return config.json with a check, which is also that of the CA where TLS is used: they belong together."""
    tls = config.get("broker", {}).get("tls", True)
    return checked(config, ca_der if tls and ca_der else b"")


def service_mark(board: str) -> bytes:
    """Return /data/service, the mark of a tag in service: what boot.py must know to open its window again."""
    parts: dict[str, Any] = json.loads(board_map(board))
    words = [parts["button"]["pin"], parts["button"]["active"]]
    if "charger" in parts:
        words += [parts["charger"]["pin"], parts["charger"]["active"]]
    return " ".join(map(str, words)).encode()


def files(identity: dict[str, Any], config: dict[str, Any], ca_der: bytes | None = None) -> dict[str, bytes]:
    """
    Return the files of a provisioned tag in service, name in the image to bytes, for sim.image.build.

    `identity` is what `desk tags add` writes: {"tag", "root", "generation"}. `config` becomes config.json.
    """
    me, journal = firmware_module("identity"), firmware_module("journal")
    record = me.pack(bytes.fromhex(identity["tag"]), bytes.fromhex(identity["root"]), identity["generation"])
    result = {
        "data/identity": journal.pack(record),
        "data/epoch": journal.pack(firmware_module("counters").pack_epoch(0)),
        "config.json": json.dumps(config).encode(),
        **build_file(),
    }
    if config.get("board") in boards():
        result["data/service"] = service_mark(config["board"])
    if ca_der is not None:
        result["ca.der"] = ca_der
    return result
