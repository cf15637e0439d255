"""
What the firmware's pure modules make of the vectors, as lines of JSON: the same script on CPython and on MicroPython.

    micropython replay.py protocol.json

It is written for MicroPython and checks nothing: test_vectors.py and test_micropython.py compare.
"""

import json
import sys
from binascii import hexlify, unhexlify

import alert
import cbor
import config
import envelope
import hkdf
import identity
import incident
import journal
import signals
import umqtt.simple
from backoff import Backoff
from button import Button
from mqtt import MQTTError, MQTTSession


def shown(data):
    return str(hexlify(data), "ascii")


def up_claims(message):
    """The claims of one of the vectors' upward messages, by the firmware."""
    said = {}
    for name in ("iat_s", "battery_mv", "flags", "cell", "presses", "text", "rev"):
        if name in message:
            said[name] = message[name]
    for name in ("incident", "nonce"):
        if name in message:
            said[name] = unhexlify(message[name])
    place = message.get("location")
    if place:
        said["location"] = alert.Location(
            place["lat_e7"], place["lon_e7"], place["accuracy_m"], place["age_s"]
        )
    return alert.up_claims(message["kind"], unhexlify(message["cti"]), **said)


def envelopes(vectors):
    me = identity.derive(unhexlify(vectors["id"]), unhexlify(vectors["root"]), vectors["generation"])
    yield [me.tag, shown(me.kid), shown(me.up), shown(me.down), me.password]
    yield shown(identity.pack(unhexlify(vectors["id"]), unhexlify(vectors["root"]), vectors["generation"]))
    for message in vectors["up"]:
        claims = up_claims(message)
        token = envelope.seal(claims, me.up, me.kid)
        yield [shown(cbor.encode(claims)), shown(token), shown(envelope.digest(token))]
        yield envelope.open(token, me.up, me.kid) == claims
        yield refusal(envelope.open, token, me.down, me.kid)
        yield refusal(envelope.open, token[:-1], me.up, me.kid)
    for message in vectors["down"]:
        ack = alert.parse_down(envelope.open(unhexlify(message["token"]), me.down, me.kid))
        yield [shown(part) if isinstance(part, bytes) else part for part in ack]
    yield shown(hkdf.hkdf_sha256(b"root" * 40, b"salt", b"info", 100))


def refusal(call, *arguments):
    """What the firmware's own error says, or "accepted"; any other error goes on."""
    try:
        call(*arguments)
        return "accepted"
    except (
        alert.AlertError,
        cbor.CBORError,
        config.ConfigError,
        envelope.EnvelopeError,
        incident.IncidentError,
        MQTTError,
    ) as error:
        return type(error).__name__ + ": " + str(error)


def numbers(_):
    """Positions over the whole earth, every last digit among them; halves and edges."""
    for e7 in range(-1800000000, 1800000001, 3599987):
        yield shown(cbor.float64(e7, 10000000).raw)
    for numerator, denominator in (
        (0, 1),
        (1, 3),
        (-1, 1),
        (2**53 + 1, 1),
        (2**54 - 1, 1),
        (2**54 - 1, 2**54),
    ):
        yield shown(cbor.float64(numerator, denominator).raw)
    for value in (0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1):
        for number in (value, -1 - value):
            data = cbor.encode(number)
            yield [shown(data), cbor.decode(data) == number]


REFUSED = """
1817 1900ff 1a0000ffff 1b00000000ffffffff 5f4100ff 9fff bfff ff f7 f97e00 fa3f800000 a200000000 a201000000 a1f500
a1f600 a18000 61ff 61c3 5affffffff00 5bffffffffffffffff00 9bffffffffffffffff00 bbffffffffffffffff0000 a1 19 a10102
81818181818181818100
"""


def malformed(_):
    for data in REFUSED.split():
        yield refusal(cbor.decode, unhexlify(data))
    for claims in (
        {},
        {-65537: {}},
        {-65537: {0: 32}},
        {-65537: {0: 32, 3: 1, 9: -1}},
        {-65537: {0: 34}},
        {-65537: 5},
    ):
        yield refusal(alert.parse_down, claims)
    yield refusal(alert.up_claims, 4, b"", 0, alert.Location(0, 0, 0, 0))
    for data in (
        b"",
        b"\x85",
        cbor.encode(["lost", b"x" * 8, b"y" * 8, 0, 1]),
        cbor.encode(5),
        cbor.encode([1]),
    ):
        yield refusal(incident.unpack, data)
    for data in (
        None,
        {},
        {"board": "x", "broker": {"host": ""}},
        {"board": "x", "broker": {"host": "h"}, "wifi": [["n", "short"]]},
        {"board": "x", "broker": {"host": "h"}, "wifi": [], "hold": 1},
        {"board": "x", "broker": {"host": "h"}, "wifi": [], "heartbeat_s": 20000},
    ):
        yield refusal(config.load, data)


def tables(_):
    for state in ("idle", "calling", "received", "seen", "coming"):
        for event in ("press", "cancel", "received", "seen", "coming", "closed", "declined", "sent"):
            try:
                yield list(incident.step(state, event))
            except incident.IncidentError as error:
                yield str(error)
    record = incident.Incident("coming", b"12345678", b"87654321", 4294967295, 3)
    yield [shown(incident.pack(record)), incident.unpack(incident.pack(record)) == record]
    for row in signals.TABLE.strip().split("\n"):
        yield [signals.pattern(row.split()[0], discreet) for discreet in (False, True)]
    told = config.load({"board": "x", "broker": {"host": "h"}, "wifi": [["дім", "12345678"]]})
    yield [
        [name, getattr(told, name.replace(".", "_"))]
        for name in [row.split()[0] for row in rows(config.FIELDS)]
    ]
    backoff = Backoff((1, 2), 60000, 20, lambda bits: (1 << bits) - 1)
    yield [backoff.delay_ms() for _ in range(4)]
    yield [shown(journal.pack(b"abc")), shown(journal.unpack(journal.pack(b"abc"))), journal.unpack(b"OBR1")]


def rows(table):
    return table.strip().split("\n")


def gestures(_):
    for start in (0, (1 << 30) - 300):
        for edges in (
            (0, 599),
            (0, 600),
            (0, 5),
            (0, 9, 12, 700),
            (0, 100, 300, 400, 2000, 2050),
            (0, 40000),
        ):
            button = Button(600)
            events = []
            level = False
            for at_ms in edges:
                level = not level
                events += button.feed(level, (start + at_ms) % (1 << 30))
            yield events + button.poll((start + edges[-1] + 20) % (1 << 30))
        yield Button(600).woken(True, 900, start)
        yield Button(600).woken(False, 450, start)


def sessions(_):
    for size in (1, 2, 3, 7, 1000):
        session = MQTTSession("0123456789abcdef", "0123456789abcdef", "pw", 18000, "up/state", b"will" * 30)
        session.connect()
        ids = [
            session.subscribe("down"),
            session.publish("up/alert", b"x" * 119),
            session.publish("up/alert", b"y"),
        ]
        session.ping()
        yield [ids, shown(session.to_send())]
        stream = b"\x20\2\0\0\x90\3\0\1\1\x40\2\0\2\x40\2\0\x09\xd0\0\x32\x08\0\4downAB\x30\7\0\4down!"
        stream += b"\x30\x86\1\0\4down" + b"z" * 128
        events = []
        for at in range(0, len(stream), size):
            for name, value in session.receive(stream[at : at + size]):
                if name == "message":
                    value = [shown(part) for part in value]
                events.append([name, value])
        yield [events, session.unmatched, shown(session.to_send())]
    for data in (
        b"\x21",
        b"\x30\x81\x08",
        b"\x34\4\0\1t\1",
        b"\x32\3\0\1t",
        b"\xd0\x80\0",
        b"\x90\3\0\1\x80",
        b"HTTP",
    ):
        yield refusal(lambda: list(session.receive(data)))  # noqa: B023 - called at once
        session = MQTTSession("c", "u", "p", 60, "t", b"")
        session.connect()
        session.subscribe("down")
    make_client = umqtt.simple.MQTTClient
    umqtt.simple.MQTTClient = lambda *said, **named: after_65533(make_client(*said, **named))
    session = MQTTSession("c", "u", "p", 60, "t", b"")
    umqtt.simple.MQTTClient = make_client
    session.connect()
    for _ in range(4):
        packet_id = session.publish("t", b"")
        yield [packet_id, shown(session.to_send()[-2:])]


def after_65533(client):
    """As if so many messages had been said before."""
    client.pid = 65533
    return client


PARTS = (envelopes, numbers, malformed, tables, gestures, sessions)


def replay(vectors):
    """Yield [name of a part, one thing the firmware made in it]."""
    for part in PARTS:
        for result in part(vectors):
            yield [part.__name__, result]


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        loaded = json.load(file)
    for line in replay(loaded):
        print(json.dumps(line))
