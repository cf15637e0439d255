"""
The composition root: build the parts, join them, run.

What cannot be built is said by name (ConfigError, BoardError, IdentityError ...) on the console and by the fault
light, and the tag stays reachable for the technician. Nothing on flash is touched by such a failure.
"""

import asyncio
import json
import random
import sys

import clock
import envelope
import signals
from board import Board, BoardError
from button import Button
from config import ConfigError, load
from gnss import Receiver
from identity import Counters, IdentityError
from identity import load as load_identity
from journal import Journal
from link import Dial, Link
from log import Log
from outbox import Outbox
from tag import Tag
from wifi import Wifi, WifiError, tls_context

VERSION = "0.1.0"
DATA = "/data"
_TICK_S = 0.2
_BUTTON_S = 0.01


class BuildError(Exception):
    """A file that the firmware needs is missing or not readable. The text names it and says what to do."""


class Haptics:
    """Plays signals one after the other: none is cut short, a touch is felt at once if nothing plays."""

    # More than that is a pattern nobody could tell apart.
    _MAX_QUEUE = 4

    def __init__(self, vibration, light, discreet, log):
        self._vibration = vibration
        self._light = light
        self._discreet = discreet
        self._log = log
        self._queue = []
        self._woken = asyncio.Event()

    def feel(self, signal):
        """Play a signal soon. When too many wait, the newest of the small ones give way."""
        if len(self._queue) >= self._MAX_QUEUE:
            small = [s for s in self._queue if s in (signals.TOUCH, signals.STILL_TRYING)]
            if small:
                self._queue.remove(small[-1])
            elif signal in (signals.TOUCH, signals.STILL_TRYING):
                self._log.count("haptics.dropped")
                return
        self._queue.append(signal)
        self._woken.set()

    async def run(self):
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._queue:
                vibration, light = signals.pattern(self._queue.pop(0), self._discreet)
                await asyncio.gather(self._play(self._vibration, vibration), self._play(self._light, light))
                # So that two patterns do not melt into one.
                await asyncio.sleep(0.15)

    @staticmethod
    async def _play(output, steps_ms):
        on = True
        for step_ms in steps_ms:
            output(on)
            await asyncio.sleep(step_ms / 1000)
            on = not on
        output(False)


def _json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:
        raise BuildError("%s is missing: install and provision this tag again" % path)
    except ValueError:
        raise BuildError("%s is not JSON" % path)


def _context(config):
    if not config.broker_tls:
        return None
    try:
        with open(config.broker_ca, "rb") as file:
            ca_der = file.read()
    except OSError:
        raise BuildError("config.json: broker.ca: there is no %s" % config.broker_ca)
    return tls_context(ca_der)


class App:
    """All parts of a tag, joined. Constructing it opens an epoch but sends nothing."""

    def __init__(self):
        self.log = log = Log(clock.ticks_ms)
        config = load(_json("/config.json"))
        self.config = config
        self.board = board = Board(config.board, clock.ticks_ms)
        journal = Journal(DATA)
        me = load_identity(board.nvs, journal)
        self.counters = counters = Counters(board.nvs, journal, board.rtc_memory, random.getrandbits)
        build = _json("/build.json")
        utc = clock.Clock(board.set_rtc, build["built_s"], counters.clock_trusted)
        # After the clock: a certificate is checked against it.
        context = _context(config)
        self.haptics = Haptics(board.vibration, board.light, config.discreet, log)
        self.receiver = Receiver()
        outbox = Outbox(Journal(DATA + "/outbox"), envelope.digest, log)
        self.tag = tag = Tag(
            me,
            counters,
            utc,
            self._fix,
            board.battery_mv,
            self.haptics.feel,
            self._gnss_power,
            outbox,
            journal,
            log,
            config.discreet,
        )
        host = config.broker_host
        dial = Dial(
            host,
            config.broker_port,
            context,
            config.broker_name or host,
            me.tag,
            me.password,
            config.keep_alive_s,
        )
        wifi = Wifi(board.station(), config.wifi, log)
        self.link = tag.link = Link(wifi, dial, outbox, tag.will, tag.on_down, log, random.getrandbits)
        log.info("app", "obereg %s, tag %s, board %s" % (VERSION, me.tag, board.name))

    def _fix(self):
        return self.receiver.fix()

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

    async def _watch_button(self):
        pin = self.board.button
        gesture = Button(hold_ms=self.config.hold_ms)
        # Down already: the press is older than this code.
        if pin.pressed():
            self._press_events(gesture.feed(True, clock.ticks_ms()))
        while True:
            if gesture.busy():
                await asyncio.sleep(_BUTTON_S)
            else:
                await pin.wait()
            for level, at_ms in pin.edges():
                self._press_events(gesture.feed(level, at_ms))
            self._press_events(gesture.poll(clock.ticks_ms()))

    def _press_events(self, events):
        for event, at_ms in events:
            self.tag.on_button(event, at_ms)

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
            await asyncio.sleep(_TICK_S)

    async def _heartbeat(self):
        while True:
            await asyncio.sleep(self.config.heartbeat_s)
            self.tag.heartbeat()


async def _blink_fault():
    """Say with the light that this tag cannot call for help, for ever or until the technician comes."""
    # The map may be what is missing, so any board's light would be a guess: only a known board blinks.
    config = load(_json("/config.json"))
    board = Board(config.board, clock.ticks_ms)
    haptics = Haptics(board.vibration, board.light, False, Log(clock.ticks_ms))
    playing = asyncio.create_task(haptics.run())
    while True:
        haptics.feel(signals.FAULT)
        await asyncio.sleep(3)
        if playing.done():
            return


def run():
    """Run the tag, for ever. What keeps it from running is said on the console, named, and by the light."""
    try:
        app = App()
    except (BuildError, BoardError, ConfigError, IdentityError, WifiError) as error:
        print("%d E app: not in service: %s" % (clock.ticks_ms(), error))
        try:
            asyncio.run(_blink_fault())
        except Exception as second:  # noqa: BLE001 - no light to say it with
            print("%d E app: no light either: %s" % (clock.ticks_ms(), second))
        return

    try:
        asyncio.run(app.run())
    except Exception as error:  # noqa: BLE001 - a part of the tag died: start again, and go on from flash
        sys.print_exception(error)
        app.board.restart()
