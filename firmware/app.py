"""
The composition root: build the parts, join them, run.

What cannot be built is said by name (ConfigError, BoardError, IdentityError ...) on the console and by the fault
light. Nothing on flash is touched by such a failure.
"""

import asyncio
import gc
import json
import random
import sys

import clock
import envelope
import identity
from board import Board
from button import Button
from gnss import Receiver
from haptics import Haptics
from journal import Journal
from link import Dial, Link
from log import Log
from micropython import const
from outbox import Outbox
from tag import Tag
from wifi import Wifi, tls_context

VERSION = "0.1.0"
_TICK_MS = const(200)
_BUTTON_MS = const(10)
_BLINK_MS = const(3000)


class AppError(Exception):
    """A file that the firmware needs is missing or not readable. The text names it and says what to do."""


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        raise AppError("%s is missing: install this tag again" % path)


def _json(path):
    try:
        return json.loads(_read(path))
    except ValueError:
        raise AppError("%s is not JSON" % path)


class App:
    """All parts of a tag. `join` opens an epoch, `run` begins to talk."""

    def __init__(self, log):
        import config

        self.log = log
        self.config = config.load(_json("/config.json"))
        # Read once: what checks the fields need not stay in the heap.
        del sys.modules["config"]
        self.board = board = Board(self.config.board, clock.ticks_ms)
        self.haptics = Haptics(board.vibration, board.light, self.config.discreet, log)
        self.receiver = Receiver()

    def join(self):
        """Build what talks, and join it to the board."""
        board, config, log = self.board, self.config, self.log
        journal = Journal("/data")
        me = identity.load(board.nvs, journal)
        counters = identity.Counters(board.nvs, journal, board.rtc_memory, random.getrandbits)
        utc = clock.Clock(board.set_rtc, _json("/build.json")["built_s"], counters.clock_trusted)
        # After the clock: a certificate is checked against it.
        context = tls_context(_read(config.broker_ca)) if config.broker_tls else None
        outbox = Outbox(Journal("/data/outbox"), envelope.digest, log)
        self.tag = tag = Tag(
            me,
            counters,
            utc,
            outbox,
            journal,
            log,
            lambda: self.receiver.fix(),
            board.battery_mv,
            self.haptics.feel,
            self._gnss_power,
            16 if config.discreet else 0,
        )
        host = config.broker_host
        name = config.broker_name or host
        dial = Dial(host, config.broker_port, context, name, me.tag, me.password, config.keep_alive_s)
        wifi = Wifi(board.station, config.wifi, log)
        self.link = tag.link = Link(wifi, dial, outbox, tag.will, tag.on_down, log, random.getrandbits)
        log.say("I", "app: obereg %s, tag %s, board %s" % (VERSION, me.tag, config.board))

    def _gnss_power(self, on):
        if not on:
            # A fix must not outlive the receiver that had it; the tag keeps the last one with its age.
            self.receiver = Receiver()
        self.board.gnss_power(on)

    async def run(self):
        self.tag.start(self.board.start_reason())
        await asyncio.gather(
            self._watch_button(),
            self._listen_to_sky(),
            self._tick(),
            self._heartbeat(),
            self.haptics.run(),
            self.link.run(),
        )

    async def blink(self):
        """Say with the light that this tag cannot call for help, until the technician comes."""
        await asyncio.gather(self.haptics.run(), self._fault())

    async def _fault(self):
        while True:
            self.haptics.feel("fault")
            await asyncio.sleep_ms(_BLINK_MS)

    async def _watch_button(self):
        pin = self.board.button
        gesture = Button(self.config.hold_ms)
        # Down already: the press is older than this code.
        events = gesture.feed(pin.pressed(), clock.ticks_ms())
        while True:
            for level, at_ms in pin.edges():
                events += gesture.feed(level, at_ms)
            for event, at_ms in events + gesture.poll(clock.ticks_ms()):
                self.tag.on_button(event, at_ms)
            events = []
            if gesture.busy():
                await asyncio.sleep_ms(_BUTTON_MS)
            else:
                await pin.wait()

    async def _listen_to_sky(self):
        reader = asyncio.StreamReader(self.board.gnss_uart)
        while True:
            # A receiver may be silent for ever (it is off most of the time); the fix's age tells.
            data = await reader.read(256)
            if data:
                self.receiver.feed(data, clock.ticks_ms())
                utc_s = self.receiver.utc()
                if utc_s is not None:
                    self.tag.on_time(utc_s)

    async def _tick(self):
        while True:
            self.tag.tick(clock.ticks_ms())
            await asyncio.sleep_ms(_TICK_MS)

    async def _heartbeat(self):
        while True:
            await asyncio.sleep(self.config.heartbeat_s)
            self.tag.heartbeat()


def run():
    """Run the tag, for ever. What keeps it from running is said on the console, by name, and by the light."""
    # What importing left behind lies all over the heap: tidy up before it fills.
    gc.collect()
    log = Log(clock.ticks_ms)
    app = None
    try:
        app = App(log)
        app.join()
    except Exception as error:  # noqa: BLE001 - whatever it is, the technician must read it
        log.say("E", "app: not in service: %s: %s" % (type(error).__name__, error))
        if app:
            # The board is known, so its light can say it too.
            asyncio.run(app.blink())
        return
    try:
        asyncio.run(app.run())
    except Exception as error:  # noqa: BLE001 - a part died: start again, and go on from flash
        sys.print_exception(error)
        app.board.restart()
