"""
Since when a tag has been silent for too long: three heartbeats missed (docs/protocol.md §6).

A tag says a heartbeat `heartbeat_s` after the last one; between the two ends of its night every 4 h are enough, and the
next comes when the night ends. Pure: times are seconds of 1970.
"""

from typing import NamedTuple

MISSED = 3
DEFAULT_S = 600
_NIGHT_S = 4 * 3600
# A heartbeat on a bad link, and the tag's clock against ours.
_GRACE_S = 120
_DAY_MIN = 1440


class Rhythm(NamedTuple):
    """`heartbeat_s` 60..86400; `night`: its begin and end in minutes of the UTC day, or None."""

    heartbeat_s: int = DEFAULT_S
    night: tuple[int, int] | None = None

    def next_s(self, last_s: int) -> int:
        """When the heartbeat after that of `last_s` is due."""
        due_s = last_s + self.heartbeat_s
        left_s = self._night_left_s(due_s)
        if not left_s:
            return due_s
        return min(last_s + max(_NIGHT_S, self.heartbeat_s), due_s + left_s)

    def silent_s(self, heard_s: int) -> int:
        """When a tag that was last heard at `heard_s` has missed three."""
        for _ in range(MISSED):
            heard_s = self.next_s(heard_s)
        return heard_s + _GRACE_S

    def _night_left_s(self, at_s: int) -> int:
        """How much of the night is left; 0 by day."""
        if not self.night:
            return 0
        begin, end = self.night
        minutes = (at_s // 60 - begin) % _DAY_MIN
        length = (end - begin) % _DAY_MIN
        return (length - minutes) * 60 - at_s % 60 if minutes < length else 0


USUAL = Rhythm()
