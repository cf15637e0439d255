"""
Levelled lines in a small ring, and on the console.

    log = Log(clock.ticks_ms, print)
    log.say("I", "link: session open")  # I information, W warning, E error
    log.mark("latched")                 # a milestone of an incident: `12345 * latched`
    log.count("down.refused")           # nothing is dropped without a counter

A line is `ticks level text`. The ring keeps the last lines for the technician's `read`; it never grows. No key, no
place and no payload is ever logged.
"""

from micropython import const

_LINES = const(12)


class Log:
    """`ticks_ms()` gives the time, `write(line)` puts a line on the console."""

    def __init__(self, ticks_ms, write=print):
        self.ticks_ms = ticks_ms
        self.write = write
        self.lines = []
        self.counters = {}

    def mark(self, what, at_ms=None):
        """Say a milestone, which happened at `at_ms` (ticks; None: now)."""
        self.say("*", what, at_ms)

    def count(self, what):
        """Count a thing that was dropped or went wrong."""
        self.counters[what] = self.counters.get(what, 0) + 1

    def say(self, level, text, at_ms=None):
        line = "%d %s %s" % (self.ticks_ms() if at_ms is None else at_ms, level, text)
        if len(self.lines) == _LINES:
            self.lines.pop(0)
        self.lines.append(line)
        self.write(line)
