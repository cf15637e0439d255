"""What this tag knows of itself: no key, no place."""

import os


def main():
    import machine
    from board import NVS
    from counters import whole
    from journal import Journal

    out = {"reset_cause": machine.reset_cause(), "wake_reason": machine.wake_reason()}
    journal = Journal("/data")
    out["waiting"] = len(Journal("/data/outbox").names())
    out["incident_open"] = journal.get("incident") is not None
    out["damaged_records"] = journal.damaged
    size = os.statvfs("/")
    out["flash_free"] = size[0] * size[3]
    out["flash_bytes"] = size[0] * size[2]
    # Of the last life that ended badly (guard.py): why, what was counted, the end of the log.
    for name in ("crash", "counters", "log"):
        out[name] = None
    data = journal.get("crash")
    if data:
        try:
            out["crash"], out["counters"], out["log"] = data.decode().split("\n", 2)
        except ValueError:
            # Cut in the middle of a letter, or not ours.
            out["crash"] = repr(data)
    out["failed_starts"] = (whole(NVS().get("starts"), 1) or b"\0")[0] % 128
    return out
