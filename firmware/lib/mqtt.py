"""
An MQTT 3.1.1 session without I/O, over the packets of umqtt.simple.

    session = MQTTSession(client_id, user, password, keep_alive_s, will=(topic, payload))
    session.connect(); session.subscribe(topic); packet_id = session.publish(topic, payload)
    stream.write(session.to_send())            # one write, nothing waited for
    for event in session.receive(data):        # Connack, Suback, Puback, Message, Pingresp; or MQTTError
        ...

umqtt.simple is frozen in the stock ESP32 image, so its packets cost no flash. It is handed a pipe in memory instead of
a socket: it writes whole packets into it and is given whole packets to read, and where it would wait for an answer
(its waits have no deadline) the empty pipe raises and ends the wait. Written for the API that umqtt.simple 1.3.4 and
1.8 share.

What umqtt lacks is here: packets are taken from any cut of the stream and checked before umqtt reads them (it trusts
lengths), PUBACK, SUBACK and PINGRESP are matched, the packet id wraps at 65535. QoS 1 out, QoS 0 and 1 in, clean
session always. It has no clock, so no time-outs, and it never reconnects: a session that raised MQTTError is over.
"""

from collections import namedtuple

import umqtt.simple

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        return value


# OASIS MQTT 3.1.1, table 2.1: the packet types a client receives, with their fixed flags
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)
# Their remaining lengths; PUBLISH varies.
_LENGTHS = {_CONNACK: 2, _PUBACK: 2, _SUBACK: 3, _PINGRESP: 0}

# A downlink is some 150 bytes. A longer packet is not for us, and reading it would only fill the heap.
MAX_PACKET_BYTES = 1024

# `code` 0 is accepted (section 3.2.2.3); 4 and 5 are a wrong password.
Connack = namedtuple("Connack", ("code",))
Suback = namedtuple("Suback", ("packet_id", "granted"))
Puback = namedtuple("Puback", ("packet_id",))
Message = namedtuple("Message", ("topic", "payload"))
Pingresp = namedtuple("Pingresp", ())


class MQTTError(Exception):
    """The peer does not speak MQTT 3.1.1 as a broker does to this client. The session is over."""


class _EmptyError(Exception):
    """umqtt asks for bytes that are not there yet."""


class _Pipe:
    """What umqtt takes for a socket."""

    def __init__(self):
        self.sent = bytearray()
        self.packet = b""

    def write(self, data, size=None):
        self.sent += data if size is None else data[:size]

    def read(self, size):
        if size > len(self.packet):
            raise _EmptyError
        data = self.packet[:size]
        self.packet = self.packet[size:]
        return data

    def setblocking(self, flag):
        pass

    def settimeout(self, timeout):
        pass

    def connect(self, address):
        pass

    def close(self):
        pass


class _Sockets:
    """What umqtt takes for the socket module: hands out the one pipe it was made for."""

    def __init__(self, pipe):
        self._pipe = pipe

    def socket(self, *_):
        return self._pipe

    def getaddrinfo(self, host, port, *_):
        return ((None, None, None, None, (host, port)),)


def _ended(call, *arguments, **keywords):
    """Make a umqtt call that writes a packet and then waits; end the wait at once."""
    try:
        call(*arguments, **keywords)
    except _EmptyError:
        pass


class MQTTSession:
    """One session, from CONNECT to the end of its stream. Text in, bytes out."""

    def __init__(self, client_id, user, password, keep_alive_s, will=None):
        self._pipe = _Pipe()
        self._client = umqtt.simple.MQTTClient(
            client_id.encode(), "", user=user.encode(), password=password.encode(), keepalive=keep_alive_s
        )
        self._client.set_callback(self._on_publish)
        if will:
            self._client.set_last_will(will[0].encode(), will[1], qos=1)
        self._buffer = bytearray()
        self._message = None
        self._publishes = set()
        self._subscribes = set()
        # PUBACKs and SUBACKs that belong to nothing we sent
        self.unmatched = 0
        # Whether a PINGREQ is unanswered
        self.pinging = False

    def connect(self):
        umqtt.simple.socket = _Sockets(self._pipe)
        _ended(self._client.connect, True)

    def subscribe(self, topic):
        """Ask for `topic` at QoS 1; return the packet id that its Suback will carry."""
        self._next_id()
        _ended(self._client.subscribe, topic.encode(), qos=1)
        self._subscribes.add(self._client.pid)
        return self._client.pid

    def publish(self, topic, payload):
        """Say `payload` (bytes) at QoS 1, not retained; return the packet id that its Puback will carry."""
        self._next_id()
        _ended(self._client.publish, topic.encode(), payload, qos=1)
        self._publishes.add(self._client.pid)
        return self._client.pid

    def ping(self):
        self._client.ping()
        self.pinging = True

    def disconnect(self):
        """Say goodbye, so that the broker does not publish the will."""
        self._client.disconnect()

    def to_send(self):
        """Return the bytes to write, and forget them."""
        data = bytes(self._pipe.sent)
        self._pipe.sent = bytearray()
        return data

    def receive(self, data):
        """Take any number of bytes; yield the events they complete. MQTTError where they are no packet for us."""
        self._buffer += data
        while True:
            size = self._packet_size()
            if size is None:
                return
            self._pipe.packet = bytes(self._buffer[:size])
            self._buffer[:size] = b""
            event = self._read(self._pipe.packet[0] & 0xF0)
            if event is not None:
                yield event

    def _next_id(self):
        # umqtt counts up before each use and never wraps: 65535 would be followed by 0, which section 2.3.1 forbids.
        if self._client.pid >= 65535:
            self._client.pid = 0

    def _packet_size(self):
        """Return the size of the whole packet at the buffer's start, checked; None while it is not all there."""
        buffer = self._buffer
        if not buffer:
            return None
        kind = buffer[0] & 0xF0
        # Section 2.2.2: the flags of all but PUBLISH are fixed, and 0 in what we receive.
        if kind != _PUBLISH and buffer[0] not in _LENGTHS:
            raise MQTTError("packet type 0x%02x" % buffer[0])
        length = 0
        for i in range(1, 5):
            if i >= len(buffer):
                return None
            length |= (buffer[i] & 0x7F) << 7 * (i - 1)
            if not buffer[i] & 0x80:
                break
        else:
            raise MQTTError("remaining length of more than 4 bytes")
        if length > MAX_PACKET_BYTES:
            raise MQTTError("a packet of %d bytes" % length)
        if kind != _PUBLISH and length != _LENGTHS[kind]:
            raise MQTTError("packet type 0x%02x of %d bytes" % (kind, length))
        start = i + 1
        if len(buffer) < start + length:
            return None
        if kind == _PUBLISH:
            self._check_publish(buffer[0], bytes(buffer[start : start + length]))
        return start + length

    def _check_publish(self, first, body):
        qos = first >> 1 & 3
        if qos > 1:
            raise MQTTError("PUBLISH with QoS %d" % qos)
        topic_end = 2 + int.from_bytes(body[:2], "big")
        if len(body) < 2 or len(body) < topic_end + 2 * qos:
            raise MQTTError("PUBLISH shorter than its topic")
        if qos and body[topic_end : topic_end + 2] == b"\0\0":
            raise MQTTError("PUBLISH with packet id 0")

    def _on_publish(self, topic, payload):
        self._message = Message(bytes(topic), bytes(payload))

    def _read(self, kind):
        """Let umqtt read the one packet in the pipe; return its event, or None."""
        self._client.wait_msg()
        if kind == _PUBLISH:
            return self._message
        if kind == _PINGRESP:
            self.pinging = False
            return Pingresp()
        # Of the others umqtt has read the type only.
        body = self._pipe.read(len(self._pipe.packet))[1:]
        if kind == _CONNACK:
            return Connack(body[1])
        packet_id = int.from_bytes(body[:2], "big")
        waiting = self._publishes if kind == _PUBACK else self._subscribes
        if packet_id not in waiting:
            self.unmatched += 1
            return None
        waiting.remove(packet_id)
        if kind == _PUBACK:
            return Puback(packet_id)
        return Suback(packet_id, body[2] < 3)
