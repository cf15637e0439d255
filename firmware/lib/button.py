"""
A button: levels and times in, events out.

    button = Button(hold_ms=600)
    events = button.feed(True, now_ms)    # on every edge, pressed or not
    events = button.poll(now_ms)          # now and then while button.busy()

Events are (name, at_ms): TOUCH a finger came down; PRESSED the gesture is complete (held for `hold_ms`, or `taps`
presses that begin within `taps_within_ms`); LONG held for `cancel_ms` more than that; STUCK held for `stuck_ms`;
RELEASED.

It touches no pin and no clock. Edges may bounce: after an edge the level is believed again `debounce_ms` later, but a
touch is told at its first edge, because a child's press must cost nothing and a bounce is harmless there.

A press that wakes the chip has begun before any code ran: `woken` says so.
"""

TOUCH = "touch"
PRESSED = "pressed"
LONG = "long"
STUCK = "stuck"
RELEASED = "released"

# ticks wrap at 2**30 on MicroPython; differences must be taken in that ring.
_HALF = 1 << 29
_RING = 1 << 30


def _since(now_ms, then_ms):
    return (now_ms - then_ms + _HALF) % _RING - _HALF


class Button:
    """
    The gesture of one button. Times in ms, in any clock that wraps at 2**30 or not at all within a press.

    hold_ms = 0 makes the touch itself the press. taps = 0 turns the tapping gesture off.
    """

    def __init__(
        self, hold_ms=600, taps=3, taps_within_ms=2000, debounce_ms=20, cancel_ms=5000, stuck_ms=30000
    ):
        self._hold_ms = hold_ms
        self._taps = taps
        self._taps_within_ms = taps_within_ms
        self._debounce_ms = debounce_ms
        self._cancel_ms = cancel_ms
        self._stuck_ms = stuck_ms
        self._level = False  # what the last edge said
        self._edge_ms = 0
        self._down = False  # what is believed
        self._down_ms = 0
        self._told = 0  # of PRESSED, LONG, STUCK: how many this touch has told
        self._touches = []  # when the latest touches began

    def busy(self):
        """Whether poll() has something to wait for: a finger is down or an edge is not yet believed."""
        return self._down or self._level

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
        began_ms = (now_ms - boot_ms) % _RING
        self._level = level
        self._edge_ms = began_ms
        self._touch(began_ms, events)
        if level:
            return events + self.poll(now_ms)
        if boot_ms >= self._hold_ms and not self._told:
            self._told = 1
            events.append((PRESSED, now_ms))
        self._release(now_ms, events)
        return events

    def poll(self, now_ms):
        """Return the events that time alone has completed."""
        events = []
        if not self._level and self._down and _since(now_ms, self._edge_ms) >= self._debounce_ms:
            # The finger went at the edge, not now: a hold is judged by then.
            self._held(self._edge_ms, events)
            self._release(self._edge_ms, events)
        elif self._down:
            self._held(now_ms, events)
        return events

    def _touch(self, now_ms, events):
        self._down = True
        self._down_ms = now_ms
        self._told = 0
        events.append((TOUCH, now_ms))
        self._touches = [t for t in self._touches if _since(now_ms, t) <= self._taps_within_ms]
        self._touches.append(now_ms)
        if self._taps and len(self._touches) >= self._taps:
            self._touches = []
            self._told = 1
            events.append((PRESSED, now_ms))

    def _held(self, now_ms, events):
        held_ms = _since(now_ms, self._down_ms)
        for n, name, after_ms in (
            (0, PRESSED, self._hold_ms),
            (1, LONG, self._cancel_ms),
            (2, STUCK, self._stuck_ms),
        ):
            if self._told == n and held_ms >= after_ms:
                self._told = n + 1
                events.append((name, (self._down_ms + after_ms) % _RING))

    def _release(self, now_ms, events):
        self._down = False
        if self._told:
            # A press told by holding is not a tap as well.
            self._touches = []
        events.append((RELEASED, now_ms))
