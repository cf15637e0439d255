"""
A test alert: armed by the charger (off and on twice within 10 s) or by a call, it is the next press within 60 s.

    drill = Drill()
    drill.feed(board.charging(), now_ms)       # True: armed by the charger, once
    drill.arm(now_ms)
    drill.pressed(incident)
    drill.flag                                 # 1 while what is said is a test, else 0

What an incident says is a test until somebody presses again. A restart forgets that, too: the desk takes an incident
for real as soon as one message of it is not a test.
"""

from clock import since
from micropython import const

_CHARGER_MS = const(10000)
_ARMED_MS = const(60000)


class Drill:
    """It looks at the charger and at the time only as often as it is fed: some times a second."""

    def __init__(self):
        self.flag = 0
        self._on = self._armed_ms = None
        self._off_ms = []  # when the charger was taken away, of the last 10 s

    def arm(self, now_ms):
        """The next press within 60 s is a test."""
        self._armed_ms = now_ms

    def feed(self, on, now_ms):
        """The charger is on or not; return whether it has just come back for the second time."""
        if self._armed_ms is not None and since(now_ms, self._armed_ms) > _ARMED_MS:
            self._armed_ms = None
        if self._off_ms and since(now_ms, self._off_ms[0]) > _CHARGER_MS:
            self._off_ms.pop(0)
        was = self._on
        self._on = on
        if was and not on:
            self._off_ms.append(now_ms)
        elif on and not was and len(self._off_ms) > 1:
            self._off_ms = []
            return True
        return False

    def pressed(self, incident):
        """A press, in this incident (None: it opens one). In a real one it is real, in a test only if armed again."""
        self.flag = 1 if self._armed_ms is not None and (self.flag or not incident) else 0
        self._armed_ms = None
