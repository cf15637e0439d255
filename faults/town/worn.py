"""
A tag of the town: the unchanged firmware on real MicroPython, its simulated board and Wi-Fi (sim/), a finger.

What it says on its console is counted: each press that is on flash, each update. What still waits is read out of its
flash image.
"""

import asyncio
import contextlib
import re
import time
from pathlib import Path
from typing import Any

from littlefs import LittleFSError

from desk.tags import new_identity, registration
from faults.town import TownError
from sim import image, provision
from sim.common import FIRMWARE, SimError
from sim.panel import Panel, PanelError
from sim.story import from_ticks, now_ms
from sim.tag import TagProcess

_BOARD = "tag-a"
_WIFI = ("the-air", "a-key-of-the-air")
_FINGER_S = 0.12
_LATCHED_S = 10.0
_STARTS, _PANEL_S = 3, 30.0
_MARK = re.compile(r"(\d+) \* (.+)")
_UPDATES = ("update", "position update")
_DATA, _OUTBOX, _RECORD = "data", "data/outbox", "incident"
_POLL_S = 0.05

# One after the other: to start one takes this process a while, and the panels of the others must answer meanwhile.
_starting = asyncio.Lock()


class Worn:
    """`marks`: (ms of time.monotonic, what) of the console's milestones; `console`: all of it."""

    def __init__(self, folder: Path, number: int, firmware: Path = FIRMWARE) -> None:
        self.name = f"tag {number}"
        identity = new_identity()
        self.keys = registration(identity)
        self.marks: list[tuple[float, str]] = []
        self.console: list[str] = []
        self._identity = identity
        self._firmware = firmware
        self._flash = folder / f"tag{number}.img"
        self._panel = Panel()
        self._process: TagProcess | None = None

    @property
    def id(self) -> str:
        return str(self.keys["tag"])

    def flash(self, address: tuple[str, int]) -> None:
        """Make its flash; `address` is what it calls."""
        broker = {"host": address[0], "port": address[1], "tls": False}
        # 0: a touch is a press.
        config = {"board": _BOARD, "broker": broker, "wifi": [list(_WIFI)], "hold_ms": 0}
        image.build(self._flash, _BOARD, provision.files(self._identity, config), firmware=self._firmware)

    async def start(self, within_s: float = 60.0, up: str = "time known") -> None:
        """Switch it on; wait until the desk has answered its first message. TownError when it has not."""
        self._panel.wifi(*_WIFI)
        await self._panel.start()
        async with _starting:
            await self._power()
        await self.until(up, within_s)

    async def _power(self) -> None:
        """Switch it on until it sees its panel: on a busy computer that may be too late for its patience of 5 s."""
        for _ in range(_STARTS):
            process = TagProcess(
                self._flash, _BOARD, panel=self._panel.address, on_line=self._line, boot_ms=0
            )
            await process.start()
            try:
                await self._panel.connected(_PANEL_S)
                self._process = process
                return
            except PanelError:
                with contextlib.suppress(SimError):
                    await process.stop()
        raise TownError(f"{self.name} does not start; {self.console[-3:]}")

    async def end(self) -> None:
        """Cut its power. TownError when it had restarted by itself, or died."""
        process, self._process = self._process, None
        try:
            if process:
                await process.stop()
        finally:
            await self._panel.stop()
        if process and len(process.causes) > 1:
            raise TownError(f"{self.name} restarted by itself: {self.console[-3:]}")

    async def press(self) -> float:
        """Press for a moment; return when the finger touched, ms of time.monotonic, once the press is on flash."""
        began_ms, before = now_ms(), self.count("on flash")
        self._panel.set("button", 1)
        try:
            await asyncio.sleep(_FINGER_S)
        finally:
            self._panel.set("button", 0)
        end_s = time.monotonic() + _LATCHED_S
        while self.count("on flash") == before:
            if time.monotonic() > end_s:
                raise TownError(f"{self.name}: a press is not taken; {self.console[-6:]}")
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_FINGER_S)  # nobody presses again within a bounce
        return began_ms

    def count(self, *whats: str) -> int:
        return sum(what in whats for _, what in self.marks)

    @property
    def said(self) -> int:
        """How many alerts and updates it has put on flash so far."""
        return self.count("on flash", *_UPDATES)

    def when(self, what: str, after_ms: float = 0.0) -> float | None:
        """When that milestone came first at or after `after_ms`, or None."""
        return min((at for at, name in self.marks if name == what and at >= after_ms), default=None)

    async def until(self, what: str, within_s: float, after_ms: float = 0.0) -> float:
        """Wait for a milestone; return its time. TownError when it does not come."""
        end_s = time.monotonic() + within_s
        while (at := self.when(what, after_ms)) is None:
            if time.monotonic() > end_s:
                raise TownError(f"{self.name}: no {what!r} within {within_s:g} s; {self.console[-6:]}")
            await asyncio.sleep(_POLL_S)
        return at

    def waiting(self) -> list[str]:
        """The messages in the outbox on its flash, by their cti in hex."""
        return self._listed(_OUTBOX)

    @property
    def incident_open(self) -> bool:
        return _RECORD in self._listed(_DATA)

    def _listed(self, folder: str) -> list[str]:
        # It may write meanwhile.
        for _ in range(5):
            try:
                return image.listed(self._flash, folder)
            except (image.ImageError, LittleFSError, OSError) as error:
                why = repr(error)  # read in the middle of a write
                time.sleep(0.01)
        raise TownError(f"{self.name}: its flash cannot be read: {why}")

    def _line(self, text: str) -> None:
        self.console.append(text)
        mark: Any = _MARK.fullmatch(text)
        if mark:
            self.marks.append((from_ticks(int(mark[1])), mark[2]))
