"""
A button: levels and times in, events out.

    button = Button(hold_ms=600)
    events = button.feed(True, now_ms)    # on every edge, pressed or not
    events = button.poll(now_ms)          # now and then while button.busy()

Events are (name, at_ms): "touch" a finger came down; "pressed" the gesture is complete (held for `hold_ms`, or three
touches that begin within 2 s); "long" held for 5 s; "stuck" held for 30 s; "released".

It touches no pin and no clock. Edges may bounce: a release is believed when the level stays up for 20 ms, but a touch
is told at its first edge, because a child's press must cost nothing and a bounce is harmless there.

A press that wakes the chip has begun before any code ran: `woken` says so.
"""

from micropython import const

_DEBOUNCE_MS = const(20)
_TAPS = const(3)
_TAPS_WITHIN_MS = const(2000)
_LONG_MS = const(5000)
_STUCK_MS = const(30000)
# Ticks wrap at 2**30 on MicroPython; differences must be taken in that ring.
_HALF = const(1 << 29)
_RING = const(1 << 30)


def _since(now_ms, then_ms):
    return (now_ms - then_ms + _HALF) % _RING - _HALF


class Button:
    """The gesture of one button. hold_ms = 0 makes the touch itself the press."""

    def __init__(self, hold_ms):
        self._holds = (("pressed", hold_ms), ("long", _LONG_MS), ("stuck", _STUCK_MS))
        self._level = False  # what the last edge said
        self._edge_ms = 0
        self._down = False  # what is believed
        self._down_ms = 0
        self._told = 0  # how many of _holds this touch has told
        self._touches = []  # when the latest touches began

    def busy(self):
        """Whether poll() has something to wait for: a finger is down, or its release is not yet believed."""
        return self._down

    def feed(self, level, now_ms):
        """Take the logical level (True: pressed) at `now_ms`; return the events it completes."""
        events = self.poll(now_ms)
        if level != self._level:
            self._level = level
            self._edge_ms = now_ms
            if level and not self._down:
                self._touch(now_ms, events)
                self._held(now_ms, events)
        return events

    def woken(self, level, boot_ms, now_ms):
        """
        A press woke the chip, `boot_ms` (a constant of the board) before `now_ms`; return the events.

        With the finger still down the press has lasted boot_ms. With the finger gone nobody knows how long it was:
        it is the alarm if the boot took as long as a hold (fail open), else the first of the taps.
        """
        events = []
        self._edge_ms = (now_ms - boot_ms) % _RING
        self._level = level
        self._touch(self._edge_ms, events)
        self._held(now_ms, events)
        if not level:
            self._release(now_ms, events)
        return events

    def poll(self, now_ms):
        """Return the events that time alone has completed."""
        events = []
        if self._down:
            if self._level:
                self._held(now_ms, events)
            elif _since(now_ms, self._edge_ms) >= _DEBOUNCE_MS:
                # The finger went at the edge, not now; feed() judged the hold by then.
                self._release(self._edge_ms, events)
        return events

    def wait_ms(self, now_ms, longest_ms):
        """Return for how long poll() may be put off: until the next hold is due, `longest_ms` at most."""
        for _, after_ms in self._holds[self._told :]:
            return max(1, min(longest_ms, after_ms - _since(now_ms, self._down_ms)))
        return longest_ms

    def _touch(self, now_ms, events):
        self._down = True
        self._down_ms = now_ms
        self._told = 0
        events.append(("touch", now_ms))
        self._touches = [t for t in self._touches if _since(now_ms, t) <= _TAPS_WITHIN_MS] + [now_ms]
        if len(self._touches) >= _TAPS:
            self._touches = []
            self._told = 1
            events.append(("pressed", now_ms))

    def _held(self, now_ms, events):
        for name, after_ms in self._holds[self._told :]:
            if _since(now_ms, self._down_ms) < after_ms:
                return
            self._told += 1
            events.append((name, (self._down_ms + after_ms) % _RING))

    def _release(self, now_ms, events):
        self._down = False
        if self._told:
            # A press told by holding is not a tap as well.
            self._touches = []
        events.append(("released", now_ms))
