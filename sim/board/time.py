"""time as on the ESP32: whole seconds since 2000, from the RTC. Ticks and sleeps are the port's own."""

import simhost
import utime
from utime import *

_EPOCH_S = 946684800  # 2000-01-01 as Unix time
_offset_us = 0  # RTC (µs since 2000) minus ticks_us


def rtc():
    """Return the RTC in µs since 2000-01-01."""
    return utime.ticks_us() + _offset_us


def set_rtc(value_us):
    global _offset_us
    _offset_us = value_us - utime.ticks_us()
    save()


rtc_memory = b""


def load():
    """Take RTC time and memory over from the life before; no record means power-on: the year 2000."""
    global _offset_us, rtc_memory
    record = simhost.read(simhost.wiring["rtc"])
    if record is None:
        set_rtc(0)
    else:
        _offset_us = int.from_bytes(record[:8], "little") - (1 << 63)
        rtc_memory = record[8:]


def save():
    # Biased, because from_bytes of this port knows no sign.
    simhost.write(simhost.wiring["rtc"], (_offset_us + (1 << 63)).to_bytes(8, "little") + rtc_memory)


def time():
    return rtc() // 1000000


def time_ns():
    return rtc() * 1000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else int(seconds)) + _EPOCH_S)[:8]


localtime = gmtime  # the ESP32 knows no time zone


def mktime(fields):
    # utime.mktime goes through the host's time zone; the chip has none, so count the days here.
    year, month, day, hour, minute, second = fields[:6]
    if month < 3:
        year, month = year - 1, month + 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 730426
    return ((days * 24 + hour) * 60 + minute) * 60 + second
