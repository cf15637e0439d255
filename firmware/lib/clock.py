"""
Ticks, who is late, and UTC; the only importer of time.

    expect("link", 240000)              # I shall be here again within 240 s; said anew at each round
    late()                              # who is not, or None

    clock = Clock(set_rtc, floor_s)     # floor_s: the build time or the last signed one, UTC seconds since 1970
    clock.utc_s()                       # UTC now, or None while nobody trustworthy has said it
    clock.learn(utc_s, signed)          # True: from the desk's signed ack; False: from a receiver's fix

Ticks are milliseconds in a ring of 2**30, as on the ESP32 (12.4 days); compare them with `since` only.
The RTC is never set back behind a time that was signed, nor below the build time: TLS needs a year that is plausible.
"""

import time

from micropython import const

_RING = const(1 << 30)
_HALF = const(1 << 29)
# The ESP32 counts from 2000, CPython and the plain Unix port from 1970.
_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0
# A jump by less is the clock's own inaccuracy, not news.
_SLACK_S = const(2)
_DAY_S = const(86400)
# How far unsigned time is believed beyond the build or the last signed time (docs/decisions.md 25).
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


# Who does work (a name, or any object) -> ticks by which he is to be heard of again. Who ends takes himself out.
due = {}


def expect(who, within_ms):
    """`who` will be heard of again within `within_ms`, 6 days at most."""
    due[who] = later(ticks_ms(), within_ms)


def late():
    """Return one who was not heard of in time, None if all were."""
    now_ms = ticks_ms()
    for who in due:
        if since(due[who], now_ms) < 0:
            return who
    return None


class Clock:
    """
    UTC with a memory of who said it. `set_rtc(year, month, day, hour, minute, second)` sets the chip's clock.

    `floor_s`: the build time, or the last signed time that was kept. `trust`: who said the time before this start that
    the RTC has kept since: 0 nobody, 1 somebody unsigned, 5 the desk. `keep(utc_s)` keeps a signed time, once a day.
    """

    def __init__(self, set_rtc, floor_s, trust=0, keep=None):
        self._set_rtc = set_rtc
        self._floor_s = self._kept_s = floor_s
        self._keep = keep
        self._refusing = False  # what nobody has signed
        # Nothing that is believed leads beyond the limit, so this RTC has lost its mind, or two years have passed.
        if not floor_s <= self._rtc_s() <= floor_s + _UNSIGNED_AHEAD_S:
            trust = 0
            self._set(floor_s)
        self.trust = trust

    def utc_s(self):
        """Return UTC in seconds since 1970, or None while it is not trusted."""
        return self._rtc_s() if self.trust else None

    def fields(self):
        """Return UTC as (year, month, day, hour, minute, second), trusted or not: never before the build."""
        return time.gmtime(self._rtc_s() - _EPOCH_S)[:6]

    def learn(self, utc_s, signed):
        """
        Somebody says it is `utc_s`; return whether that was believed.

        Unsigned, it moves the clock forward only, and years beyond the last signed time not at all. Signed, it is right
        unless it is older than what was signed before: it ends what a false sky or network has told, forward or back.

        None: by this clock the broker's certificate is out of date. If nobody has signed its time, it goes back to the
        last that was signed and refuses unsigned time; the next None lets that in again, for one of the two is right.
        """
        if utc_s is None:
            if self._refusing or self.trust > 1:
                self._refusing = False
            else:
                self._refusing = True
                self.trust = 0
                self._set(self._floor_s)
            return False
        ahead_s = utc_s - self._rtc_s()
        if signed:
            if utc_s < self._floor_s - _SLACK_S or (self.trust > 1 and ahead_s < -_SLACK_S):
                return False
            self._refusing = False
            self._floor_s = max(self._floor_s, utc_s)
            if self._keep and utc_s - self._kept_s >= _DAY_S:
                self._kept_s = utc_s
                self._keep(utc_s)
        elif self._refusing or ahead_s < -_SLACK_S or utc_s > self._floor_s + _UNSIGNED_AHEAD_S:
            return False
        moves = abs(ahead_s) > _SLACK_S
        if moves:
            self._set(utc_s)
        if signed or moves or not self.trust:
            self.trust = 5 if signed else 1
        return True

    def _rtc_s(self):
        return int(time.time()) + _EPOCH_S

    def _set(self, utc_s):
        self._set_rtc(*time.gmtime(utc_s - _EPOCH_S)[:6])
