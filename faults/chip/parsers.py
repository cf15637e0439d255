"""
What the fuzz feeds, on both interpreters: each takes bytes, and returns what came of them in a word.

    PARSERS["cbor"](b"\\xff")      # "CBORError", "ok ..."

One error type each; anything else comes out and is a violation. Those that keep a state live as long as the process.
"""

import json

import alert
import at
import at_gnss
import cbor
import config
import envelope
import gnss
import incident
import journal
import mqtt
import nmea

KEY = bytes(range(32))
KID = b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01"
# What may be kept of a line, a sentence or a packet that has not ended.
_MOST = 2000
_COMMANDS = ("", "AT", "AT+CARECV=0,1460", "AT+CEREG?", "AT+CASEND=0,5", "AT+CGNSINF")


class Broken(Exception):
    """A parser has done what it must not."""


def parts(data):
    """Cut the bytes as their length says."""
    size = 1 + len(data) * 7 % 45
    return [data[n : n + size] for n in range(0, len(data), size)]


def check(right, what):
    if not right:
        raise Broken(what)


_at = at.Parser()
_receiver = gnss.Receiver()


def read_at(data):
    _at.sent(_COMMANDS[len(data) % 6])
    kinds = {}
    for part in parts(data):
        for kind, value in _at.feed(part):
            check(len(value) <= 1460, "%d bytes in one event" % len(value))
            check(isinstance(value, bytes) == (kind == "data"), "a value of another type")
            kinds[kind] = kinds.get(kind, 0) + 1
    return " ".join(["%s %d" % (kind, kinds[kind]) for kind in sorted(kinds)])


def read_fix(data):
    """A line of AT+CGNSINF, as at.py tells it."""
    line = "".join([chr(byte) if 31 < byte < 127 else "?" for byte in data])
    fix = at_gnss.parse(line, 1)
    if fix is None:
        return "none"
    check(abs(fix.lat_e7) <= 900000000 and abs(fix.lon_e7) <= 1800000000, "not on earth")
    check(0 < fix.accuracy_m <= 150, "not to be trusted")
    return "%d %d %d %d" % (fix.lat_e7, fix.lon_e7, fix.accuracy_m, fix.utc_s)


def read_nmea(data):
    reader = nmea.NMEAReader()
    said = []
    for part in parts(data):
        _receiver.feed(part, 1)
        for sentence in reader.feed(part):
            check(len(sentence) <= 160, "a sentence of %d" % len(sentence))
            try:
                part = nmea.parse(sentence)
                said.append("none" if part is None else "part")
            except nmea.NMEAError as error:
                said.append(str(error))
    fix = _receiver.fix()
    if fix:
        check(abs(fix.lat_e7) <= 900000000 and abs(fix.lon_e7) <= 1800000000, "not on earth")
        check(fix.accuracy_m >= 0, "an accuracy below 0")
    _receiver.utc()
    return " ".join(said)


def read_cbor(data):
    try:
        value = cbor.decode(data)
    except cbor.CBORError as error:
        return "CBORError %s" % error
    # There is one encoding of each value, so what was taken must be it.
    check(cbor.encode(value) == data, "taken, and not deterministic")
    return "ok"


def read_envelope(data):
    """Without the key nothing is ever right."""
    try:
        envelope.open(data, KEY, KID)
    except envelope.EnvelopeError as error:
        return "EnvelopeError %s" % error
    raise Broken("an envelope that nobody has sealed is opened")


def sealed(payload):
    """An envelope with a right MAC around any bytes."""
    protected = cbor.encode({1: 5, 4: KID})
    mac = envelope.hmac_sha256(KEY, cbor.encode(["MAC0", protected, b"", payload]))
    return cbor.encode(cbor.Tag(61, cbor.Tag(17, [protected, {}, payload, mac])))


def read_claims(data):
    """What somebody with the key may say."""
    try:
        ack = alert.parse_down(envelope.open(sealed(data), KEY, KID))
    except envelope.EnvelopeError as error:
        return "EnvelopeError %s" % error
    except alert.AlertError as error:
        return "AlertError %s" % error
    if ack.level is None:
        return "command"
    check(
        0 <= ack.level <= 5 and len(ack.of) == len(ack.digest) == len(ack.nonce) == 8,
        "an ack of another form",
    )
    return "ok %d %d" % (ack.level, ack.rev)


def session():
    made = mqtt.MQTTSession("0123456789abcdef", "user", "password", 18000, "will", b"\0")
    made.connect()
    made.subscribe("down")
    made.publish("up", b"1")
    made.to_send()
    return made


_session = [session(), 0]


def read_mqtt(data):
    """One session takes what comes until it is over: an error, or a hundred inputs."""
    said = []
    try:
        for part in parts(data):
            for event, value in _session[0].receive(part):
                said.append(event)
                check(event != "message" or len(value[1]) <= 1024, "a message that is too long")
        _session[1] += 1
    except mqtt.MQTTError as error:
        said.append("MQTTError %s" % error)
        _session[1] = 100
    written = _session[0].to_send()
    # It answers messages of QoS 1, and says nothing else.
    check(len(written) % 4 == 0 and written[:1] in (b"", b"\x40"), "it wrote %d bytes" % len(written))
    if _session[1] >= 100:
        _session[:] = [session(), 0]
    return " ".join(said)


def read_config(data):
    try:
        value = json.loads(data)
    except Exception:
        return "no JSON"
    try:
        settings = config.load(value)
    except config.ConfigError as error:
        return "ConfigError %s" % error
    check(0 <= settings.hold_ms <= 5000 and 1 <= settings.broker_port <= 65535, "settings out of range")
    check(60 <= settings.heartbeat_s < settings.keep_alive_s <= 65535, "heartbeats out of range")
    return "ok"


def read_record(data):
    """A record of the incident on flash, whole by its CRC."""
    body = journal.unpack(journal.pack(data))
    check(body == data, "a record is not what was written")
    check(journal.unpack(data) is None or data[:4] == b"OBR1", "no record, and read")
    try:
        opened = incident.unpack(data)
    except incident.IncidentError:
        return "IncidentError"
    return "ok %s" % opened.state


PARSERS = {
    "at": read_at,
    "fix": read_fix,
    "nmea": read_nmea,
    "cbor": read_cbor,
    "envelope": read_envelope,
    "claims": read_claims,
    "mqtt": read_mqtt,
    "config": read_config,
    "record": read_record,
}
