"""What is on this tag."""

import os
import sys


def main():
    import json

    out = {
        "version": list(sys.implementation[1][:3]),
        "machine": sys.implementation._machine,
        "files": 0,
        "free": None,
        "obereg": None,
        "tag": None,
        "service": False,
    }
    try:
        size = os.statvfs("/")
        out["free"] = size[0] * size[3]
        out["files"] = len(os.listdir("/"))
        with open("/manifest.json") as file:
            out["obereg"] = json.load(file)["version"]
    except (OSError, ValueError, KeyError):
        pass
    try:
        import identity
        from board import NVS
        from journal import Journal

        out["tag"] = identity.load(NVS(), Journal("/data")).tag
    except Exception:  # noqa: BLE001, S110 - no firmware, half a firmware, no identity
        pass
    try:
        os.stat("/data/service")
        out["service"] = True
    except OSError:
        pass
    return out
