"""
What happened, from everybody who saw it, on one clock: the demo's timeline.

Times are ms of time.monotonic, which all processes of a computer share. The firmware's ticks are the same clock in a
ring of 2**30.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_RING = 1 << 30
_MARK = re.compile(r"(\d+) \* (.+)")


class StoryError(Exception):
    """A part of the story did not happen in time. The text says which and where to look."""


def now_ms() -> float:
    return time.monotonic() * 1000


def from_ticks(ticks_ms: int) -> float:
    """Return the ms of time.monotonic that firmware ticks of the last days stand for."""
    now = int(now_ms())
    # Ticks may be a moment ahead of us.
    return now - ((now - ticks_ms + 1000) % _RING - 1000)


@dataclass
class Story:
    """Events as (t_ms, what, detail). `told` is called with each as it happens."""

    told: Callable[[float, str, str], None] | None = None
    events: list[tuple[float, str, str]] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    began_ms: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, what: str, t_ms: float | None = None, detail: str = "") -> None:
        event = (now_ms() if t_ms is None else t_ms, what, detail)
        self.events.append(event)
        if self.told:
            self.told(*event)
        self._news.set()

    def line(self, text: str) -> None:
        """Take a line of the tag's console; a milestone becomes an event."""
        self.console.append(text)
        mark = _MARK.fullmatch(text)
        if mark and not mark[2].startswith("felt "):
            self.add(mark[2], from_ticks(int(mark[1])))
        self._news.set()

    def when(self, what: str, after_ms: float = 0.0) -> float | None:
        """Return when `what` happened first at or after `after_ms`, or None."""
        return min((t for t, name, _ in self.events if name == what and t >= after_ms), default=None)

    async def until(self, happened: Callable[[], Any], timeout_s: float, otherwise: str) -> Any:
        """Wait until `happened()` is true and return it; StoryError with `otherwise` after the time-out."""
        deadline_ms = now_ms() + timeout_s * 1000
        while not (result := happened()):
            left_s = (deadline_ms - now_ms()) / 1000
            if left_s <= 0:
                raise StoryError(f"{otherwise} (waited {timeout_s:g} s)")
            self._news.clear()
            try:
                # Polled too: the motor's patterns ripen without an event.
                await asyncio.wait_for(self._news.wait(), min(left_s, 0.1))
            except TimeoutError:
                pass
        return result

    async def until_event(
        self, what: str, timeout_s: float, otherwise: str, after_ms: float | None = None
    ) -> float:
        """Wait for an event (after the press, unless told otherwise); return its time."""
        after = self.began_ms if after_ms is None else after_ms
        return await self.until(lambda: self.when(what, after), timeout_s, otherwise)
