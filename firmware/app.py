"""
The running tag: its parts, each in a task.

    app.run()            # for ever
    app.run(True)        # in service: a watchdog runs, and starts that fail are counted (docs/reliability.md)

build.py makes the parts and joins them, and is forgotten then: what runs once need not stay in the heap.
"""

import asyncio
import gc
import sys

import clock
from button import Button
from counters import RTC_RECORD
from journal import pack as sealed
from log import Log
from micropython import const

_TICK_MS = const(200)
_BUTTON_MS = const(10)
# It is woken every 10 s.
_BUTTON_LATE_MS = const(30000)
_BLINK_MS = const(3000)
# The chip's watchdog. The longest turn of the loop is a name that is looked up, some 21 s with 3 silent servers, and
# TLS, 3 s.
_WATCHDOG_MS = const(30000)
# How often progress is watched, in ticks, and who only waits is kicked to show some.
_WATCH = const(5)
_KICK = const(50)
_GRACE_S = const(3)
# Bytes that are there are read within this.
_HEARD_MS = const(10000)
# Beside the count of starts that failed: the next one tries to do without safe mode.
_TRIAL = const(0x80)
# What of the log a reset spares. RTC memory has 2 KB, but the heap has little room for copies of it.
_KEPT_LINES = const(8)
_KEPT = const(300)
_MOST = const(1500)
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
        self.once = ()  # what is made once
        self.note = ""  # what the desk should know of this start
        self.feed = self.rtc = None  # of the watchdog; RTC memory. None: not in service
        self.safe = False  # only what an alert needs, and nothing of it ends the rest
        self.starts = 0  # that failed, this one among them
        self.healthy_s = 0  # after which this start counts as well; 0: it does already
        self.ears = ()  # (name, uart) of whom bytes wake
        self._kept = self._late = None

    def cell(self):
        """Return the serving cell as last seen, or None."""
        return self.modem and self.modem.cell

    def on_utc(self, utc_s):
        """The network says what time it is; None: by our clock the broker's certificate is out of date."""
        self.tag.on_time(utc_s)

    def hurry(self, on):
        """A finger is down or an incident is open (or neither): the sky is wanted, and the cell as of now."""
        if self.sky:
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
        self.keep("")
        tasks = [self._watch_button(), self._tick(), self.link.run(), self._run(self.haptics)]
        if self.modem:
            tasks.append(self._run(self.modem))
        if self.sky:
            tasks.append(self._run(self.sky, self.tag))
        await asyncio.gather(*tasks)

    async def _run(self, part, *said):
        """Run a part. In safe mode one that dies is counted and begun anew, and the others go on."""
        while True:
            try:
                await part.run(*said)
            except Exception as error:  # noqa: BLE001 - judged there
                # The press that has killed it is to be on flash before the restart.
                await asyncio.sleep(_GRACE_S)
                self.wrong(error)
            await asyncio.sleep(1)

    def wrong(self, error):
        """What an alert can do without went wrong: counted in safe mode, else raised."""
        if not self.safe:
            raise error
        self.log.count("app.wrong")
        self.log.say("E", repr(error))

    def keep(self, why):
        """Keep the log's last lines, and why this life ends, where a reset spares them."""
        if not self.rtc:
            return
        try:
            lines = "\n".join(self.log.lines[-_KEPT_LINES:])[-_KEPT:]
            text = "%s\n%s\n%s" % (why, str(self.log.counters)[:_KEPT], lines)
            front = (self.rtc.read() + bytes(RTC_RECORD))[:RTC_RECORD]
            self.rtc.write(front + sealed(text.encode()[:_MOST]))
        except MemoryError:
            # The heap is for the alert; there is another second.
            self.log.count("app.not_kept")

    def _end(self, why):
        self.log.say("E", why)
        self.keep(why)
        self.board.restart()

    def watch(self, ticks):
        """In service: feed the watchdog while all go on, keep the log, and see when this start was a good one."""
        if self.safe:
            # An alert goes out without them.
            clock.due.pop("haptics", None)
        late = clock.late()
        if late or ticks % _KICK == 0:
            for part in (self.board.button, self.haptics, self.link):
                part.kick()
        for name, uart in self.ears:
            if not uart.any():
                clock.expect(name, _HEARD_MS)
        # At two looks: what kept all from going on (a name that is looked up) excuses each once.
        if late and late == self._late:
            self._end("watchdog: %s is late" % (late if isinstance(late, str) else "session"))
        self._late = late
        self.feed()  # type: ignore[misc]  # in service it is there
        if self.log.lines[-1:] != self._kept:
            self._kept = self.log.lines[-1:]
            self.keep("")
        # Leaving safe mode is a restart: not while anything is under way.
        if (
            self.healthy_s
            and ticks * _TICK_MS >= self.healthy_s * 1000
            and not (self.safe and (self.tag.incident or not self.tag.settled()))
        ):
            self.healthy_s = 0
            try:
                self.board.nvs.put("starts", sealed(bytes((self.starts | _TRIAL if self.safe else 0,))))
            except OSError:
                pass
            if self.safe:
                self._end("left safe mode")

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
            if self.feed and ticks % _WATCH == 0:
                self.watch(ticks)
            try:
                self.tag.tick(now_ms)
                if self.tag.drill.feed(self.board.charging(), now_ms):
                    self.arm_test()
                if beat >= self._every_s() * 1000 // _TICK_MS:
                    beat = 0
                    self.tag.heartbeat()
            except Exception as error:  # noqa: BLE001 - judged there
                self.wrong(error)
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
            clock.expect("button", _BUTTON_LATE_MS)
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


def run(*service):
    """
    Run the tag, for ever. What keeps it from running is said on the console, by name, and by the light.

    `service`, True: it is worn, no technician waits for a prompt. Then a watchdog runs, which nothing stops, and a
    start that fails is followed by the next; after three of them that is in safe mode (guard.py).
    """
    # What importing left behind lies all over the heap: tidy up before it fills.
    gc.collect()
    log = Log(clock.ticks_ms)
    app = App(log)
    built = False
    import board

    try:
        if service:
            app.feed = board.WDT(timeout=_WATCHDOG_MS).feed
            try:
                import guard

                guard.begin(app)
                del sys.modules["guard"], guard
            except Exception as error:  # noqa: BLE001 - an alert needs none of it
                log.say("E", "app: starts are not counted: %s" % error)
        import build

        build.begin(app)
        build.join(app)
        del sys.modules["build"], build
        built = True
        # Made once: what made them need not stay in the heap either.
        for part in app.once:
            type(part).__init__ = None  # type: ignore[misc]
        app.once = ()
        gc.collect()
        asyncio.run(app.run())
    except BaseException as error:
        if not service and not isinstance(error, Exception):
            # Ctrl-C
            raise
        if not built:
            log.say("E", "app: not in service: %s: %s" % (type(error).__name__, error))
            if app.safe or not service:
                if app.haptics:
                    # The board is known, so its light can say it too. In service the watchdog ends it: it may pass.
                    asyncio.run(app.blink())
                return
        # A part died: start again, and go on from flash.
        sys.print_exception(error)
        try:
            if app.rtc:
                import guard

                guard.end(app, error)
        finally:
            board.Board.restart()
