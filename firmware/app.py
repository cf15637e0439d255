"""
The running tag: its parts, each in a task.

    app.run()            # for ever

build.py makes the parts and joins them, and is forgotten then: what runs once need not stay in the heap.
"""

import asyncio
import gc
import sys

import clock
from button import Button
from log import Log
from micropython import const

_TICK_MS = const(200)
_BUTTON_MS = const(10)
_BLINK_MS = const(3000)
# How long a cell is as of now.
_SEEN_MS = const(10000)
# How often a tag says that it is well, at night.
_NIGHT_S = const(4 * 3600)
# How often the light says that there is no way to the desk, or that the tag is not in service.
_TROUBLE_MS = const(10000)


class App:
    """What build.py fills. `modem` is None where it is not used."""

    def __init__(self, log):
        self.log = log
        self.hold_ms = self.heartbeat_s = 0
        self.night: list = []  # [begin, end] in minutes of the UTC day, if there is one
        self.in_service = True
        self.board = self.haptics = self.tag = self.link = self.sky = self.modem = None
        self._seeing = self._seen_ms = None
        self.note = ""  # what the desk should know of this start

    def cell(self):
        """Return the serving cell as last seen, or None."""
        return self.modem and self.modem.cell

    def on_utc(self, utc_s):
        """The network says what time it is."""
        self.tag.on_time(utc_s)

    def hurry(self, on):
        """A finger is down or an incident is open (or neither): the sky is wanted, and the cell as of now."""
        self.sky.power(on)
        now_ms = clock.ticks_ms()
        if not on:
            # Ticks of long ago look like the future.
            self._seen_ms = None
        # At the touch, not again when it has become a press: the modem's line is needed for the alert then.
        elif self.modem and (self._seen_ms is None or clock.since(now_ms, self._seen_ms) > _SEEN_MS):
            self._seen_ms = now_ms
            self._seeing = asyncio.create_task(self.modem.see())

    def arm_test(self):
        """The next press within 60 s is a test."""
        self.tag.drill.arm(clock.ticks_ms())
        self.haptics.feel("armed")

    async def run(self):
        self.tag.start(self.board.start_reason() + self.note)
        tasks = [self.haptics.run(), self.link.run(), self.sky.run(self.tag)]
        if self.modem:
            tasks.append(self.modem.run())
        await asyncio.gather(
            self._watch_button(),
            self._tick(),
            *tasks,
        )

    async def blink(self):
        """Say with the light that this tag cannot call for help, until the technician comes."""
        await asyncio.gather(self.haptics.run(), self._fault())

    async def _fault(self):
        while True:
            self.haptics.feel("fault")
            await asyncio.sleep(_BLINK_MS / 1000)

    async def _tick(self):
        ticks = beat = 0
        while True:
            await asyncio.sleep(_TICK_MS / 1000)
            ticks += 1
            beat += 1
            now_ms = clock.ticks_ms()
            self.tag.tick(now_ms)
            if self.tag.drill.feed(self.board.charging(), now_ms):
                self.arm_test()
            if beat >= self._every_s() * 1000 // _TICK_MS:
                beat = 0
                self.tag.heartbeat()
            if ticks % (_TROUBLE_MS // _TICK_MS) == 0:
                if self.link.trouble:
                    # There is no way to the desk; the log says why.
                    self.haptics.feel("fault")
                elif not self.in_service:
                    self.haptics.feel("not_in_service")

    def _every_s(self):
        """Return how often to say that we are well: seldom at night, if it is known what time it is."""
        utc_s = self.night and self.tag.utc.utc_s()
        if utc_s:
            begin, end = self.night
            if (utc_s // 60 - begin) % 1440 < (end - begin) % 1440:
                return max(_NIGHT_S, self.heartbeat_s)
        return self.heartbeat_s

    async def _watch_button(self):
        pin = self.board.button
        gesture = Button(self.hold_ms)
        # Down already: the press is older than this code.
        events = gesture.feed(pin.pressed(), clock.ticks_ms())
        while True:
            for level, at_ms in pin.edges():
                events += gesture.feed(level, at_ms)
            for event, at_ms in events + gesture.poll(clock.ticks_ms()):
                self.tag.on_button(event, at_ms)
                if event == "touch":
                    # Now, so that it need not be done between the press and the sending.
                    gc.collect()
            events = []
            if gesture.busy():
                await asyncio.sleep(gesture.wait_ms(clock.ticks_ms(), _BUTTON_MS) / 1000)
            else:
                await pin.wait()


def run():
    """Run the tag, for ever. What keeps it from running is said on the console, by name, and by the light."""
    # What importing left behind lies all over the heap: tidy up before it fills.
    gc.collect()
    log = Log(clock.ticks_ms)
    app = App(log)
    try:
        import build

        build.begin(app)
        build.join(app)
    except Exception as error:  # noqa: BLE001 - whatever it is, the technician must read it
        log.say("E", "app: not in service: %s: %s" % (type(error).__name__, error))
        if app.haptics:
            # The board is known, so its light can say it too.
            asyncio.run(app.blink())
        return
    del sys.modules["build"], build
    gc.collect()
    try:
        asyncio.run(app.run())
    except Exception as error:  # noqa: BLE001 - a part died: start again, and go on from flash
        sys.print_exception(error)
        app.board.restart()
