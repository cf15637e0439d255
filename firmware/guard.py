"""
Starts that fail: counted on flash, told to the desk, and after three in a row safe mode (docs/reliability.md).

    guard.begin(app)             # in service, before all else: counts this start; sets app.safe, app.note
    guard.end(app, error)        # before a restart: why, for the next start to tell

Loaded when it is needed and forgotten then. Whatever ends a start counts, for a brown-out reads as power-on; waking
from deep sleep is no start. What died and the log's last lines are in RTC memory, which a reset spares, and from there
in the record `crash` on flash for `tools/flash.py read`. No key, no place and no payload is in either.
"""

import gc
import io
import sys

from board import NVS, Board, RTCMemory
from counters import RTC_RECORD, whole
from journal import Journal, unpack
from journal import pack as sealed
from micropython import const

# So many starts that fail, and the next one is in safe mode.
_FAILED = const(3)
# Beside the count: safe mode went well, so this start tries to do without.
_TRIAL = const(0x80)
_HEALTHY_S = const(600)
_SAID = const(40)


def begin(app):
    """Count this start and say what became of the last one."""
    app.rtc = rtc = RTCMemory()
    nvs = NVS()
    reason = Board.start_reason()
    count = (whole(nvs.get("starts"), 1) or b"\0")[0]
    app.safe = _FAILED <= count < _TRIAL
    app.starts = count = count % _TRIAL
    if app.safe:
        # Not counted: flash is spared in a loop without end.
        app.note = "; safe mode"
    elif reason != "deep sleep":
        app.starts = min(count + 1, _TRIAL - 1)
        try:
            nvs.put("starts", sealed(bytes((app.starts,))))
        except OSError:
            pass
    # What fails again and again without safe mode is given longer and longer in it.
    app.healthy_s = _HEALTHY_S * max(1, count + 1 - _FAILED)
    kept = unpack(rtc.read()[RTC_RECORD:])
    # A wake has nothing to tell.
    if kept and reason in ("watchdog", "hard reset"):
        why = str(kept.split(b"\n")[0], "utf-8")
        # Without a word the loop stood still, or the interpreter died.
        if why:
            app.note += "; " + why
        Journal("/data").put("crash", reason.encode() + b": " + kept)
    rtc.write(rtc.read()[:RTC_RECORD])


def end(app, error):
    """Keep why this life ends. What it was made of is no longer needed, and may have filled the heap."""
    app.tag = app.link = app.sky = app.modem = app.haptics = None
    gc.collect()
    out = io.StringIO()
    sys.print_exception(error, out)
    # The innermost frame comes last: File "nmea", line 1, in d
    where = out.getvalue().split('File "')[-1].split('"')[0]
    text = " ".join(str(error).split())
    app.keep("%s in %s: %s" % (type(error).__name__, where, text[:_SAID]))
