"""
The composition root: makes the parts and joins them. Nothing of it is left behind once the tag runs.

    build.begin(app)         # settings, board, haptics: enough to say with the light what is wrong
    build.join(app)          # all else; opens an epoch

Settings that are damaged are taken from the spare beside the key (identity.py): the alert still goes out. What cannot
be built all the same is said by name (ConfigError, BoardError, IdentityError ...); nothing that waits on flash is lost
by that.
"""

import asyncio
import json
import random
import sys
from binascii import crc32

import clock
import config
import envelope
import identity
from board import NVS, Board
from counters import Counters, whole
from journal import Journal
from link import Dial, Link
from micropython import const
from outbox import Outbox
from tag import Tag

VERSION = "0.2.0"

_CONFIG = const("/config.json")
_BUILD = const("/build.json")
# Written by the technician's last step; boot.py reads it, too.
_SERVICE = const("/data/service")
# Before this firmware was written: when build.json cannot say how late it is at least.
_OLDEST_S = const(1790000000)
# docs/protocol.md section 4
_DISCREET = const(16)
# No firmware is used for longer: 20 years.
_LIFE_S = const(630720000)


class BuildError(Exception):
    """A file is missing or not readable, or nothing leads to the desk. The text says what to do."""


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        raise BuildError("%s is missing: install this tag again" % path)


def _json(path, raw):
    try:
        return json.loads(raw)
    except ValueError:
        raise BuildError("%s is not JSON" % path)


def _check(path, raw, data, more=b""):
    """The last field of `data` may be a CRC-32: of its text `raw` before that, followed by `more`."""
    at = raw.rfind(b', "crc"')
    crc = data.get("crc")
    if (at > 0 or crc is not None) and crc != crc32(more, crc32(raw[:at])):
        raise BuildError("%s is damaged: install this tag again" % path)


def _ca(settings):
    """Return the CA of the broker's certificate; b"" without TLS."""
    if not settings.broker_tls:
        return b""
    ca = _read(settings.broker_ca)
    if ca[:1] != b"0":
        # A SEQUENCE; a modem would say no more than ERROR.
        raise BuildError("%s is not a certificate in DER form" % settings.broker_ca)
    return ca


def _mend(path, data):
    """The modem is given the file."""
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError:
        pass


def _built_s():
    try:
        raw = _read(_BUILD)
        data = _json(_BUILD, raw)
        _check(_BUILD, raw, data)
        return max(_OLDEST_S, data["built_s"])
    except Exception:  # noqa: BLE001 - an alert needs no more than a time that is plausible
        return _OLDEST_S


def _floor_s(nvs):
    """Return the last time that was signed, or that of the build if there is none (or none that can be)."""
    built_s = _built_s()
    said_s = int.from_bytes(whole(nvs.get("time"), 5) or b"", "big")
    return said_s if built_s < said_s < built_s + _LIFE_S else built_s


def begin(app):
    """Read the settings, claim the board's pins."""
    try:
        app.in_service = bool(_read(_SERVICE))
    except BuildError:
        app.in_service = False
    trouble = settings = None
    try:
        raw = _read(_CONFIG)
        data = _json(_CONFIG, raw)
        settings = config.load(data)
        ca = _ca(settings)
        _check(_CONFIG, raw, data, ca)
    except Exception as error:
        trouble = error
        raw, _, ca = identity.spare(NVS(), Journal("/data")).partition(b"\0")
        if raw:
            settings = config.load(json.loads(raw))
        elif settings is None:
            raise error
    app.board = board = Board(settings.board, clock.ticks_ms)
    try:
        from haptics import Haptics

        discreet = settings.discreet and app.in_service
        app.haptics = Haptics(board.vibration, board.light, discreet, app.log)
    except Exception as error:  # noqa: BLE001 - judged there
        app.wrong(error)
        app.haptics = _Numb()
    if trouble:
        if not raw:
            raise trouble
        app.note += "; %s" % trouble
        app.log.say("W", "app: the last good settings are used: %s" % trouble)
        if ca:
            _mend(settings.broker_ca, ca)
    app.config = settings
    app.settings = raw, ca
    app.hold_ms = settings.hold_ms
    app.heartbeat_s = settings.heartbeat_s
    app.night = settings.night


def join(app):
    """Build what talks, and join it to the board."""
    settings, board, log = app.config, app.board, app.log
    raw, ca = app.settings
    del app.config, app.settings
    journal = Journal("/data")
    me = identity.load(board.nvs, journal)
    counters = Counters(board.nvs, journal, board.rtc_memory, random.getrandbits)
    utc = clock.Clock(board.set_rtc, _floor_s(board.nvs), counters.clock_trusted, counters.keep)
    bearers = _bearers(app, settings, ca, utc)
    # In safe mode nothing that an alert can do without. No function of this module: it would keep all of it.
    nothing = [].clear
    app.sky = None if app.safe else _sky(app)
    app.tag = tag = Tag(
        me,
        counters,
        utc,
        Outbox(Journal("/data/outbox"), envelope.digest, log),
        journal,
        log,
        app.sky.fix if app.sky else nothing,
        nothing if app.safe else board.battery_mv,
        app.haptics.feel,
        app.hurry,
        app.cell,
        _DISCREET if settings.discreet else 0,
    )
    dial = Dial(settings.broker_host, settings.broker_port, me.tag, me.password, settings.keep_alive_s)
    app.link = tag.link = Link(
        bearers, dial, tag.outbox, tag.will, tag.on_down, tag.on_trouble, log, random.getrandbits
    )
    # All could be built from them.
    identity.keep(board.nvs, journal, raw + b"\0" + ca)
    app.once = [app, board, counters, utc, tag, tag.outbox, app.link] + bearers
    if app.modem:
        app.once += [app.modem, app.modem.line]
    log.say("I", "app: obereg %s, tag %s, board %s" % (VERSION, me.tag, settings.board))
    # What checks the fields need not stay in the heap.
    del sys.modules["config"], sys.modules["identity"]


class _Numb:
    """Stands for haptics that do not load."""

    feel = kick = staticmethod(lambda *said: None)
    run = staticmethod(lambda: asyncio.sleep(3600))


def _bearers(app, settings, ca, utc):
    """Return the ways to the desk, the preferred one first. Only what this tag uses is loaded."""
    board, log = app.board, app.log
    name = settings.broker_name or settings.broker_host
    bearers: list = []
    try:
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
            bearers.append(AtSocket(app.modem, settings.broker_ca if ca else None, name, log))
            app.ears += (("modem", uart),)
    except Exception as error:  # noqa: BLE001 - judged there
        app.wrong(error)
    try:
        if settings.wifi:
            from wifi import Wifi, tls_context

            # After the clock: a certificate is checked against it.
            context = tls_context(ca) if ca else None
            bearers.append(Wifi(board.station(), settings.wifi, context, name, log, app.on_utc))
    except Exception as error:  # noqa: BLE001 - judged there
        app.wrong(error)
    if not bearers:
        raise BuildError("config.json: no way to the desk: neither apn (and a board with a modem) nor wifi")
    return bearers


def _sky(app):
    """Return the receiver: one of its own, or the modem's."""
    board = app.board
    if board.gnss_uart:
        from own_sky import OwnSky

        app.ears += (("sky", board.gnss_uart),)
        return OwnSky(asyncio.StreamReader(board.gnss_uart), board.gnss_power)
    from shared_sky import SharedSky

    return SharedSky(app.modem, app.log)
