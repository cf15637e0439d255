"""What this tag knows of itself: no key, no place."""

import os


def main():
    import machine
    from journal import Journal

    out = {"reset_cause": machine.reset_cause(), "wake_reason": machine.wake_reason()}
    journal = Journal("/data")
    out["waiting"] = len(Journal("/data/outbox").names())
    out["incident_open"] = journal.get("incident") is not None
    out["damaged_records"] = journal.damaged
    size = os.statvfs("/")
    out["flash_free"] = size[0] * size[3]
    out["flash_bytes"] = size[0] * size[2]
    # The last life's, where the firmware keeps them.
    for name, key in (("log", "log"), ("crash", "crash"), ("counters", "counters")):
        data = journal.get(key)
        out[name] = data.decode() if data else None
    return out
