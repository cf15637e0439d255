"""
What the child felt: the motor's pulses back to the name of a signal.

The demo believes the motor, not the firmware's log: a signal counts as felt when its pattern was on the pin.
"""

import itertools

from sim.provision import firmware_module

# A pulse or pause may be off by this much: asyncio on a busy computer is late, never early.
_EARLY_MS, _LATE_MS = 25, 90
# Between two signals, at least (firmware/haptics.py); and how far off, on average, a pattern may be for its length.
_GAP_MS = 150
_ROUGH_MS = 40


def patterns() -> dict[str, list[int]]:
    """Return {signal: vibration}, times in ms, on first, of all signals that vibrate."""
    signals = firmware_module("signals")
    names = [row.split()[0] for row in signals.TABLE.strip().split("\n")]
    found = {name: signals.pattern(name, False)[0] for name in names}
    return {name: times for name, times in found.items() if times}


class Finger:
    """Feed it the motor's edges in order; ask what was felt."""

    def __init__(self) -> None:
        self._edges: list[tuple[int, int]] = []  # (on, t_ms)
        self._patterns = patterns()

    def edge(self, on: int, t_ms: int) -> None:
        """The motor was switched on or off at `t_ms`."""
        if not self._edges or self._edges[-1][0] != on:
            self._edges.append((on, t_ms))

    def felt(self) -> list[tuple[int, str]]:
        """Return (t_ms of its first pulse, signal) for all that is recognised so far, oldest first."""
        edges = self._edges if not self._edges or self._edges[0][0] else self._edges[1:]
        times = [later[1] - earlier[1] for earlier, later in itertools.pairwise(edges)]
        found, at = [], 0
        while at < len(times):
            name, length = self._longest(times[at:])
            if name:
                found.append((edges[at][1], name))
            # A pattern has an odd number of times; the pause after it is skipped. Unknown: skip pulse and pause.
            at += length + 1 if name else 2
        return found

    def _longest(self, times: list[int]) -> tuple[str, int]:
        """The pattern that these times begin with: the longest of those that fit well, among equals the nearest."""
        best = (-9, 0, 0, "")
        for name, pattern in self._patterns.items():
            off = [time - wanted for time, wanted in zip(times, pattern, strict=False)]
            ended = len(times) <= len(pattern) or times[len(pattern)] >= _GAP_MS - _EARLY_MS
            if ended and len(off) == len(pattern) and all(-_EARLY_MS <= late <= _LATE_MS for late in off):
                # A short one, the gap and another can look like a long one, a rough one.
                total = sum(map(abs, off))
                best = max(best, (-(total // len(off) // _ROUGH_MS), len(pattern), -total, name))
        return best[3], best[1]
