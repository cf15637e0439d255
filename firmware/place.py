"""
Where the child is, or was last: what the receiver says, and the memory of it.

    place = Place(fix)                # fix(): the receiver's latest Fix, or None
    place.live(now_ms)                # a Fix of now, or None
    place.location(now_ms)            # a Location with its age, or None
"""

import clock
from alert import Location
from micropython import const

# A receiver speaks every second; what it said longer ago is history, not where the child is.
_LIVE_MS = const(5000)
# Ticks tell ages of up to 6 days; long before that the last fix is of no use.
_MAX_AGE_MS = const(86400000)


class Place:
    """Asked often enough (once a minute), it knows how old the last live fix is."""

    def __init__(self, fix):
        self._fix = fix
        self._last = None  # the last live one, whatever became of it since
        self._gone_ms = None  # the at_ms of one that has become too old to say

    def live(self, now_ms):
        """Return the receiver's fix if it is of now, and remember it; forget what is too old to say."""
        fix = self._fix()
        # A receiver gone mute shows its last fix for ever, and in ticks that would be young again after 6 days.
        if fix and fix.at_ms != self._gone_ms and clock.since(now_ms, fix.at_ms) <= _LIVE_MS:
            self._last = fix
            return fix
        if self._last and clock.since(now_ms, self._last.at_ms) > _MAX_AGE_MS:
            self._gone_ms = self._last.at_ms
            self._last = None
        return None

    def location(self, now_ms):
        """Return the Location of the last live fix, or None where there is none young enough to say."""
        self.live(now_ms)
        fix = self._last
        if not fix:
            return None
        return Location(
            fix.lat_e7, fix.lon_e7, fix.accuracy_m, max(0, clock.since(now_ms, fix.at_ms)) // 1000
        )
