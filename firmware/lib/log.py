"""
Levelled lines in a small ring, and on the console.

    log = Log(clock.ticks_ms, print)
    log.info("link", "session open")
    log.mark("latched")                 # a milestone of an incident: `12345 * latched`

A line is `ticks level area text`. The ring keeps the last lines for the technician's `read`; it never grows. No key,
no place and no payload is ever logged.
"""


class Log:
    """`ticks_ms()` gives the time, `write(line)` puts a line on the console (None: nowhere)."""

    def __init__(self, ticks_ms, write=print, lines=40):
        self._ticks_ms = ticks_ms
        self._write = write
        self._ring = [""] * lines
        self._next = 0
        self.counters = {}

    def info(self, area, text):
        self._line("I", area, text)

    def warning(self, area, text):
        self._line("W", area, text)

    def error(self, area, text):
        self._line("E", area, text)

    def mark(self, what, at_ms=None):
        """Say a milestone, which happened at `at_ms` (ticks; None: now)."""
        self._line("*", what, "", at_ms)

    def count(self, what):
        """Count a thing that was dropped or went wrong: nothing is dropped without a counter."""
        self.counters[what] = self.counters.get(what, 0) + 1

    def lines(self):
        """Return the lines kept, oldest first."""
        return [line for line in self._ring[self._next :] + self._ring[: self._next] if line]

    def _line(self, level, area, text, at_ms=None):
        line = "%d %s %s" % (self._ticks_ms() if at_ms is None else at_ms, level, area)
        if text:
            line += ": %s" % text
        self._ring[self._next] = line
        self._next = (self._next + 1) % len(self._ring)
        if self._write:
            self._write(line)
