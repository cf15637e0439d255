"""
Ticks and UTC; the only importer of time.

    clock = Clock(set_rtc, floor_s)     # floor_s: the build time, UTC seconds since 1970
    clock.utc_s()                       # UTC now, or None while nobody trustworthy has said it
    clock.learn(utc_s, signed)          # True: from the desk's signed ack; False: from a receiver's fix

Ticks are milliseconds in a ring of 2**30, as on the ESP32 (12.4 days); compare them with `since` only.
The RTC is never set back, and never below the build time: TLS needs a year that is at least plausible.
"""

import time

from micropython import const

_RING = const(1 << 30)
_HALF = const(1 << 29)
# The ESP32 counts from 2000, CPython and the plain Unix port from 1970.
_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0
# A jump by less is the clock's own inaccuracy, not news.
_SLACK_S = const(2)
# How far unsigned time is believed beyond the build or the last signed time: less than a certificate lives.
_UNSIGNED_AHEAD_S = const(2 * 365 * 86400)

try:
    from time import ticks_ms as _ticks_ms
except ImportError:  # CPython

    def _ticks_ms():
        return time.monotonic_ns() // 1000000  # type: ignore[attr-defined]


def ticks_ms():
    """Milliseconds since some moment, in a ring of 2**30."""
    return _ticks_ms() % _RING  # type: ignore[operator]


def since(now_ms, then_ms):
    """Return now_ms - then_ms in the ring: negative if `then_ms` is still to come; right up to 6 days."""
    return (now_ms - then_ms + _HALF) % _RING - _HALF


def later(now_ms, delay_ms):
    """Return the ticks `delay_ms` after `now_ms`."""
    return (now_ms + delay_ms) % _RING


class Clock:
    """
    UTC with a memory of who said it. `set_rtc(year, month, day, hour, minute, second)` sets the chip's clock.

    `trusted`: the RTC already ran and was trusted before this start (it keeps time through deep sleep).
    """

    def __init__(self, set_rtc, floor_s, trusted=False):
        self._set_rtc = set_rtc
        self._limit_s = floor_s + _UNSIGNED_AHEAD_S
        self._trusted = trusted and self._rtc_s() >= floor_s
        if self._rtc_s() < floor_s:
            self._set(floor_s)

    def utc_s(self):
        """Return UTC in seconds since 1970, or None while it is not trusted."""
        return self._rtc_s() if self._trusted else None

    def fields(self):
        """Return UTC as (year, month, day, hour, minute, second), trusted or not: never before the build."""
        return time.gmtime(self._rtc_s() - _EPOCH_S)[:6]

    def learn(self, utc_s, signed):
        """
        Somebody says it is `utc_s`. The clock moves forward to it, never back.

        Return whether it was believed. A time before the RTC's (which is at least the build time) is not, nor an
        unsigned one years after the last that was signed: a false sky could otherwise push the clock past the
        broker's certificate, and it would never come back.
        """
        now_s = self._rtc_s()
        if utc_s < now_s - _SLACK_S or (not signed and utc_s > self._limit_s):
            return False
        if signed:
            self._limit_s = utc_s + _UNSIGNED_AHEAD_S
        if utc_s > now_s + _SLACK_S or not self._trusted:
            self._set(max(utc_s, now_s))
        self._trusted = True
        return True

    def _rtc_s(self):
        return int(time.time()) + _EPOCH_S

    def _set(self, utc_s):
        self._set_rtc(*time.gmtime(utc_s - _EPOCH_S)[:6])
