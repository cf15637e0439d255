"""
The composition root: makes the parts and joins them. Nothing of it is left behind once the tag runs.

    build.begin(app)         # config, board, haptics: enough to say with the light what is wrong
    build.join(app)          # all else; opens an epoch

What cannot be built is said by name (ConfigError, BoardError, IdentityError ...); nothing on flash is touched by that.
"""

import asyncio
import json
import random
import sys

import clock
import config
import envelope
import identity
from board import Board
from counters import Counters
from haptics import Haptics
from journal import Journal
from link import Dial, Link
from outbox import Outbox
from tag import Tag

VERSION = "0.2.0"


class BuildError(Exception):
    """A file is missing or not readable, or nothing leads to the desk. The text says what to do."""


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        raise BuildError("%s is missing: install this tag again" % path)


def _json(path):
    try:
        return json.loads(_read(path))
    except ValueError:
        raise BuildError("%s is not JSON" % path)


def begin(app):
    """Read config.json, claim the board's pins."""
    app.config = config.load(_json("/config.json"))
    app.board = board = Board(app.config.board, clock.ticks_ms)
    app.haptics = Haptics(board.vibration, board.light, app.config.discreet, app.log)
    app.hold_ms = app.config.hold_ms
    app.heartbeat_s = app.config.heartbeat_s


def join(app):
    """Build what talks, and join it to the board."""
    settings, board, log = app.config, app.board, app.log
    del app.config
    journal = Journal("/data")
    me = identity.load(board.nvs, journal)
    counters = Counters(board.nvs, journal, board.rtc_memory, random.getrandbits)
    utc = clock.Clock(board.set_rtc, _json("/build.json")["built_s"], counters.clock_trusted)
    bearers = _bearers(app, settings, utc)
    app.sky = _sky(app)
    app.tag = tag = Tag(
        me,
        counters,
        utc,
        Outbox(Journal("/data/outbox"), envelope.digest, log),
        journal,
        log,
        app.sky.fix,
        board.battery_mv,
        app.haptics.feel,
        app.hurry,
        app.cell,
        16 if settings.discreet else 0,
    )
    dial = Dial(settings.broker_host, settings.broker_port, me.tag, me.password, settings.keep_alive_s)
    app.link = tag.link = Link(
        bearers, dial, tag.outbox, tag.will, tag.on_down, tag.on_trouble, log, random.getrandbits
    )
    log.say("I", "app: obereg %s, tag %s, board %s" % (VERSION, me.tag, settings.board))
    # What checks the fields need not stay in the heap.
    del sys.modules["config"], sys.modules["identity"]


def _bearers(app, settings, utc):
    """Return the ways to the desk, the preferred one first. Only what this tag uses is loaded."""
    board, log = app.board, app.log
    name = settings.broker_name or settings.broker_host
    ca_path = settings.broker_ca if settings.broker_tls else None
    ca = _read(ca_path) if ca_path else None
    bearers: list = []
    if settings.apn is not None and board.modem_uart:
        from at_socket import AtSocket
        from sim7080 import SIM7080

        uart = board.modem_uart
        app.modem = SIM7080(
            asyncio.StreamReader(uart),
            uart.write,
            board.modem_power,
            board.modem_powered,
            board.modem_pwrkey,
            settings.apn,
            settings.bands,
            utc.fields,
            app.on_utc,
            log,
        )
        bearers.append(AtSocket(app.modem, ca_path, name, log))
    if settings.wifi:
        from wifi import Wifi, tls_context

        # After the clock: a certificate is checked against it.
        context = tls_context(ca) if ca else None
        bearers.append(Wifi(board.station(), settings.wifi, context, name, log))
    if not bearers:
        raise BuildError("config.json: no way to the desk: neither apn (and a board with a modem) nor wifi")
    return bearers


def _sky(app):
    """Return the receiver: one of its own, or the modem's."""
    board = app.board
    if board.gnss_uart:
        from own_sky import OwnSky

        return OwnSky(asyncio.StreamReader(board.gnss_uart), board.gnss_power)
    from shared_sky import SharedSky

    return SharedSky(app.modem, app.log)
