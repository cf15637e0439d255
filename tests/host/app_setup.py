"""An app on fake parts: what it tells the tag, and what it does to the others."""

import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

from app import App
from drill import Drill
from log import Log

from tests.host.fakes import ButtonPin, Now, beside, run


class Restarted(BaseException):
    """The chip begins anew: nothing of this life goes on."""


class Tag:
    """What the app tells a tag, as (at_s, what)."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._began_s = now.s
        self.drill = Drill()
        self.utc_s: int | None = None
        self.utc = SimpleNamespace(utc_s=lambda: self.utc_s)
        self.told: list[tuple[float, str]] = []

    def _tell(self, what: str) -> None:
        self.told.append((round(self._now.s - self._began_s, 3), what))

    def start(self, reason: str) -> None:
        self._tell("start: " + reason)

    def tick(self, now_ms: int) -> None:
        assert now_ms == self._now.ticks_ms()
        self._tell("tick")

    def heartbeat(self) -> None:
        self._tell("heartbeat")

    def on_button(self, event: str, at_ms: int) -> None:
        self._tell(event)

    def on_time(self, utc_s: int) -> None:
        self._tell(f"time {utc_s}")

    def when(self, what: str) -> list[float]:
        return [at_s for at_s, name in self.told if name == what]


class Part:
    """Anything that runs for ever: link, haptics, sky or modem, and what the app did to it."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.felt: list[str] = []
        self.wanted: list[bool] = []
        self.seen = 0
        self.ran: list[object] = []
        self.cell: list[int] | None = [255, 1, 2, 3, -90]

    def feel(self, signal: str) -> None:
        self.felt.append(signal)

    def power(self, on: bool) -> None:
        self.wanted.append(on)

    async def see(self) -> None:
        self.seen += 1

    def kick(self) -> None:
        pass

    async def run(self, *args: object) -> None:
        self.ran.append(args)
        await asyncio.Event().wait()


class Pin(ButtonPin):
    """`set(down)` returns the step that moves it."""

    def set(self, down: bool) -> Callable[[], None]:
        return partial(self.move, down)


class Board:
    def __init__(self, now: Now) -> None:
        self.button = Pin(now)
        self.supply = False

    def charging(self) -> bool:
        return self.supply

    @staticmethod
    def start_reason() -> str:
        return "watchdog"

    @staticmethod
    def restart() -> None:
        raise Restarted


class Setup:
    def __init__(self, now: Now) -> None:
        self.now = now
        self.app = App(Log(now.ticks_ms, lambda line: None))
        self.app.hold_ms, self.app.heartbeat_s = 600, 600
        self.app.tag = self.tag = Tag(now)
        self.app.board = Board(now)
        self.pin = self.app.board.button
        self.app.haptics, self.app.link, self.app.sky, self.app.modem = (Part() for _ in range(4))

    def run(self, *steps) -> None:
        run(self.now, beside(self.app.run(), *steps))
