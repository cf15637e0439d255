"""
The tag: the firmware's own modules, joined as build.py joins them, on flash and power that can go.

    body = Body(world)
    asyncio.create_task(body.live())           # start after start, until the world ends
    body.cut(rtc_kept=False, off_s=3)          # now
    body.blow(fuse=4, done=True, ...)          # at the fourth write from now on
"""

import asyncio
import time
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import app
import clock
import journal
from gnss import Fix
from link import Dial, Link
from log import Log
from tag import Tag

from faults.world.flash import NVS, Disk, Power, PowerCut, RTCMemory
from tests.host.fakes import RTC, ButtonPin, Now, end
from tests.host.joined import Stores, join_app

HOLD_MS = 600
_KEEP_ALIVE_S = 18000
_KYIV = (504501000, 305234000)
# Coarser than the tag's own (200 and 10 ms): a world costs less, and a cut has more time between two ticks.
_TICK_MS = 1000
_BUTTON_MS = 100

_life: ContextVar[list[asyncio.Task] | None] = ContextVar("life", default=None)


def _task_of_life(loop: asyncio.AbstractEventLoop, coro: Any, context: Any = None) -> asyncio.Task:
    """A task factory: what the firmware starts belongs to this life of the tag, and ends with it."""
    task: asyncio.Task = asyncio.Task(coro, loop=loop, context=context)
    tasks = _life.get()
    if tasks is not None:
        tasks.append(task)
    return task


class Pin(ButtonPin):
    """Edges are latched while there is `power`."""

    def __init__(self, now: Now, power: Power) -> None:
        super().__init__(now)
        self._power = power

    def move(self, down: bool) -> None:
        """A finger presses or lets go."""
        if self._power.on:
            super().move(down)
        else:
            self.down = down


class Sky:
    """The receiver: while it is powered it has a live fix, if the world has a sky."""

    def __init__(self, body: "Body") -> None:
        self._body = body
        self._on = False

    def power(self, on: bool) -> None:
        self._on = on

    def fix(self) -> Fix | None:
        world = self._body.world
        return Fix(*_KYIV, 12, None, world.now.ticks_ms()) if self._on and world.sky else None

    async def run(self, tag: Tag) -> None:
        await asyncio.Event().wait()


class Body:
    """`tag` is the Tag of the present life; None while there is no power or it is being built."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self._gone = asyncio.Event()
        self.power = Power(self._gone.set)
        self.disk = Disk(self.power, world.judge.on_flash)
        self.nvs = NVS(self.power)
        self.rtc_memory = RTCMemory(self.power)
        self.rtc = RTC(world.now)
        self.pin = Pin(world.now, self.power)
        self.tag: Tag | None = None
        self.streams: list[Any] = []
        self._rtc_kept = False
        self._off_s = 0.0
        self.restarts = -1
        # Where the firmware's modules reach for the machine; for good, so a process that plays worlds does nothing else
        clock.ticks_ms = world.now.ticks_ms
        clock.time = self.rtc
        journal.os = self.disk
        journal.open = self.disk.open
        app.gc = SimpleNamespace(collect=lambda: None)  # CPython's takes 20 ms
        app._TICK_MS, app._BUTTON_MS = _TICK_MS, _BUTTON_MS
        asyncio.get_running_loop().set_task_factory(_task_of_life)
        self._provision()

    def _provision(self) -> None:
        self.power.restore()
        # Some tags lost their counters before, and stand where another made-up epoch may be below.
        self._stores().provision(self.world.dice.choice((0, 0, 0, 0xF0000000)))
        self.power.on = False

    def _stores(self) -> Stores:
        records, messages = journal.Journal("/data"), journal.Journal("/data/outbox")
        return Stores(self.nvs, records, messages, self.rtc_memory)

    def image(self) -> tuple[dict, dict]:
        """A copy of both stores."""
        return dict(self.nvs.records), dict(self.disk.files)

    def put_back(self, image: tuple[dict, dict]) -> None:
        """An older image of both stores is put back while there is no power."""
        self.nvs.records, self.disk.files = dict(image[0]), dict(image[1])
        self.rtc_memory.data = b""

    # ----------------------------------------------------------------------------------------------------- power

    def blow(self, fuse: int, done: bool, rtc_kept: bool, off_s: float) -> None:
        """The power goes at the `fuse`-th write from now on; `rtc_kept`: a reset, not a loss of power."""
        if self.power.on:
            self.power.fuse, self.power.done = fuse, done
            self._rtc_kept, self._off_s = rtc_kept, off_s

    def cut(self, rtc_kept: bool, off_s: float) -> None:
        self._rtc_kept, self._off_s = rtc_kept, off_s
        self.power.off()

    def jump_clock(self, seconds: int) -> None:
        self.rtc.set(*time.gmtime(max(0, int(self.rtc.time()) + seconds))[:6])

    async def live(self) -> None:
        reason = "power on"
        while True:
            self.restarts += 1
            tasks: list[asyncio.Task] = []
            _life.set(tasks)
            try:
                await self._one_life(reason)
            finally:
                _life.set(None)
                self.tag = None
                self.power.on = False
                for stream in self.streams:
                    stream.abandon()
                self.streams = []
                await end(tasks)
            for task in tasks:
                if not task.cancelled() and task._log_traceback:
                    error = task.exception()
                    if not isinstance(error, PowerCut):
                        self.world.judge.crashed(error)
            if not self._rtc_kept:
                self.rtc_memory.data = b""
                self.rtc.__init__(self.world.now)  # type: ignore[misc]
            self.pin.forget()
            reason = "hard reset" if self._rtc_kept else "power on"
            self.world.log("tag", "off: %s", reason)
            await asyncio.sleep(self._off_s)

    async def _one_life(self, reason: str) -> None:
        self._gone.clear()
        self.power.restore()
        self._rtc_kept, self._off_s = False, 1.0
        try:
            firmware = self._build()
        except PowerCut:
            return
        firmware.board.start_reason = lambda: reason
        running = asyncio.create_task(firmware.run())
        gone = asyncio.create_task(self._gone.wait())
        await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
        if self.power.on:
            # app.run() says the error and restarts.
            self.world.judge.crashed(running.exception())
            self._rtc_kept = True
        elif running.done() and not running.cancelled():
            running.exception()

    def _build(self) -> app.App:
        """As build.py does, with this body for a board."""
        world = self.world
        log = Log(world.now.ticks_ms, lambda line: world.log("tag", line.split(" ", 1)[1]))
        firmware = app.App(log)
        firmware.hold_ms, firmware.heartbeat_s = HOLD_MS, 600
        firmware.board = SimpleNamespace(button=self.pin, charging=lambda: False)
        firmware.haptics = _Motor(self)
        firmware.sky = Sky(self)
        tag = join_app(firmware, self._stores(), self.rtc, world.dice.getrandbits, log)
        judge = world.judge
        dial = Dial("broker.example", 8883, tag.me.tag, tag.me.password, _KEEP_ALIVE_S)
        firmware.link = tag.link = Link(
            world.bearers,
            dial,
            tag.outbox,
            lambda: judge.will(tag.will()),
            lambda token: judge.down(tag, token),
            tag.on_trouble,
            log,
            world.dice.getrandbits,
        )
        real_on_button = tag.on_button
        tag.on_button = lambda event, at_ms: judge.button(tag, real_on_button, event, at_ms)
        self.tag = tag
        judge.started(tag)
        return firmware


class _Motor:
    """Tells the judge what the child feels."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def feel(self, signal: str) -> None:
        if self._body.power.on:
            self._body.world.judge.felt(signal)

    async def run(self) -> None:
        await asyncio.Event().wait()
