"""
When the link may open a session again: soon while an incident is open, seldom otherwise.

    reopening = Reopening(random_bits)
    reopening.hurry(True)                   # an incident is open, or a finger is on the button
    reopening.left_ms(now_ms, hurried)      # 0: now
    reopening.opens(now_ms, hurried)        # one is being opened
    reopening.failed(now_ms)                # and was the last that was left
    reopening.worked()                      # the broker has accepted it
"""

import clock
from backoff import Backoff
from micropython import const

_HOUR_MS = const(3600000)
_CALM_MS = (5000, 30000, 120000)
_CALM_TAIL_MS = const(600000)
_URGENT_MS = (300, 700, 1500, 3000, 5000, 10000)
_URGENT_TAIL_MS = const(15000)
# A press that waits is never told to wait longer.
_HURRIED_MS = const(60000)
# In an incident, when the last session has failed: no longer than this, so many times. Who is refused at once (a
# broker that restarts) need not wait as long as who has an opening on its way.
_SOON_MS = const(2500)
_SOON_TIMES = const(40)
# Networks reject who reconnects more often, so outside an incident this is the most.
_OPENS_PER_HOUR = const(6)
_JITTER_PERCENT = const(20)


class Reopening:
    """It opens nothing, and keeps no time but the ticks that it is told."""

    def __init__(self, random_bits):
        self._random_bits = random_bits
        self.urgent = False
        self._at_ms = None  # None: at once
        self._opens_ms = []
        self._pauses = self._calm()

    @property
    def attempt(self):
        """How many were opened since one worked."""
        return self._pauses.attempt

    def hurry(self, on):
        """An incident is open or not; the pauses begin anew."""
        self.urgent = on
        if on:
            self._at_ms = None
        self._pauses = self._backoff(_URGENT_MS, _URGENT_TAIL_MS) if on else self._calm()

    def tidy(self, now_ms):
        """Once an hour at least: ticks of long ago look like the future."""
        if self._at_ms is not None and clock.since(now_ms, self._at_ms) >= 0:
            self._at_ms = None
        self._opens_ms = [t for t in self._opens_ms if clock.since(now_ms, t) < _HOUR_MS][-_OPENS_PER_HOUR:]

    def left_ms(self, now_ms, hurried):
        """Return the ms until a session may be opened. `hurried`: a press waits, or an incident is open."""
        if self._at_ms is not None:
            return clock.since(self._at_ms, now_ms)
        if len(self._opens_ms) == _OPENS_PER_HOUR and not hurried:
            return _HOUR_MS - clock.since(now_ms, self._opens_ms[0])
        return 0

    def opens(self, now_ms, hurried):
        """A session is being opened now."""
        self._opens_ms.append(now_ms)
        pause_ms = self._pauses.delay_ms()
        self._at_ms = clock.later(now_ms, min(pause_ms, _HURRIED_MS) if hurried else pause_ms)

    def failed(self, now_ms):
        """The last session that was left has failed."""
        soon_ms = clock.later(now_ms, _SOON_MS)
        if (
            self.urgent
            and self._at_ms is not None
            and self._pauses.attempt < _SOON_TIMES
            and clock.since(self._at_ms, soon_ms) > 0
        ):
            self._at_ms = soon_ms

    def worked(self):
        """The broker has accepted a session: the pauses begin anew."""
        self._pauses.reset()

    def _calm(self):
        return self._backoff(_CALM_MS, _CALM_TAIL_MS)

    def _backoff(self, table_ms, tail_ms):
        return Backoff(table_ms, tail_ms, _JITTER_PERCENT, self._random_bits)
