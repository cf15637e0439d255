"""What `check` has found so far: figures, failures, and what could not be tried because of them."""

import time
from collections.abc import Callable
from typing import Any

from tools.flasher import ports
from tools.flasher.errors import FlashError
from tools.flasher.show import Screen

# Behind these nothing else can be tried.
_FINAL = ("port-gone", "port-busy", "port-denied", "no-answer", "brown-out")
_GOING_S, _BACK_S = 1.0, 3.0  # a chip with USB of its own takes its port away when it restarts
# What a chip says when it starts: in the middle of a script its supply has given way.
_RESTARTED = ("obereg: reset cause", "rst:0x")


class Part:
    """One part of a tag while it is tried: its name and what is found. `port`: whose."""

    def __init__(self, name: str, port: str, screen: Screen, figures: dict[str, Any]) -> None:
        self.name, self.port, self.screen = name, port, screen
        self._figures = figures

    def ok(self, text: str, **figures: Any) -> None:
        """It works; these are its figures."""
        self._figures[self.name] = figures
        self.screen.say(self.port, f"{self.name}: {text}", part=self.name, ok=True, **figures)

    def lacks(self, text: str) -> None:
        """There is nothing to try: the board or the settings do without it."""
        self._figures[self.name] = None
        self.screen.say(self.port, f"{self.name}: {text}", part=self.name, ok=None)

    def wait(self, text: str, **facts: Any) -> None:
        """Say what is being waited for, or how it stands."""
        self.screen.say(self.port, f"{self.name}: {text}", part=self.name, **facts)

    def hear(self, line: str) -> None:
        """Take a line that a tag's script prints while it waits. FlashError: the chip has restarted."""
        if line.startswith(_RESTARTED):
            raise FlashError("brown-out", text=f"the tag restarted while its {self.name} was tried")
        self.wait(line)


class Findings:
    """
    `good`: the parts that work; `first`: the first failure, or None. `figures`, filled by part: its figures; `error`
    alone where it failed; None where there is nothing to try. A part that could not be tried is not in it.
    """

    def __init__(self, port: str, screen: Screen, figures: dict[str, Any]) -> None:
        self.port = port
        self.screen = screen
        self.figures = figures
        self.good: list[str] = []
        self.first: FlashError | None = None

    def part(self, name: str, step: Callable[[Part], None], *needs: str) -> None:
        """
        Try a part; what it raises is said, and the next parts go on. `needs`: without them it cannot be tried.

        FlashError: nothing more can be tried.
        """
        missing = [need for need in needs if need not in self.good]
        if missing:
            lacking = all(self.figures.get(need, "") is None for need in missing)
            if lacking:
                self.figures[name] = None
            text = f"{name}: not tried without {', '.join(missing)}"
            return self.screen.say(self.port, text, part=name, ok=None if lacking else False, needs=missing)
        try:
            step(Part(name, self.port, self.screen, self.figures))
        except FlashError as problem:
            error = self._restarted(name, problem)
            self.first = self.first or error
            self.figures[name] = {"error": error.kind}
            text = f"{name}: {error.text}. {error.cure}"
            facts = {"part": name, "ok": False, "error": error.kind, "status": error.status}
            self.screen.say(self.port, text, **facts)
            if error.kind in _FINAL:
                raise error from None
        else:
            # None: there is no such part, and nothing can build on it.
            if self.figures.get(name) is not None:
                self.good.append(name)
        return None

    def _restarted(self, name: str, error: FlashError) -> FlashError:
        """A port that goes and comes back is a chip that has restarted, not a cable that was pulled."""
        if error.kind != "port-gone":
            return error
        end_s = time.monotonic() + _BACK_S
        # A cable that was just pulled may still have its port for a moment.
        time.sleep(_GOING_S)
        while time.monotonic() < end_s:
            if ports.there(self.port):
                return FlashError("brown-out", text=f"the tag went away while its {name} was tried")
            time.sleep(0.1)
        return error
