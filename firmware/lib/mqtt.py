"""
An MQTT 3.1.1 session without I/O, over the packets of umqtt.simple.

    session = MQTTSession(client_id, user, password, keep_alive_s, will_topic, will_payload)
    session.connect(); session.subscribe(topic); packet_id = session.publish(topic, payload)
    stream.write(session.to_send())            # one write, nothing waited for
    for event, value in session.receive(data): # or MQTTError
        ...

Events: ("connack", code: 0 is yes, 4 and 5 a wrong password, section 3.2.2.3), ("suback", packet id),
("puback", packet id), ("pingresp", None), ("message", (topic, payload)), all bytes. A refused subscription and a wrong
length are MQTTError.

umqtt.simple is frozen in the stock ESP32 image, so its packets cost no flash. It is handed a pipe in memory instead of
a socket: it writes whole packets into it and is given whole packets to read, and where it would wait for an answer
(its waits have no deadline) the empty pipe raises and ends the wait. Written for the API that umqtt.simple 1.3.4 and
1.8 share.

What umqtt lacks is here: packets are taken from any cut of the stream and checked before umqtt reads them (it trusts
lengths), PUBACK, SUBACK and PINGRESP are matched, the packet id wraps at 65535. QoS 1 out, QoS 0 and 1 in, clean
session always. It has no clock, so no time-outs, and it never reconnects: a session that raised MQTTError is over.
"""

import umqtt.simple
from micropython import const

# OASIS MQTT 3.1.1, table 2.1: the packet types a client receives. The flags of all but PUBLISH are 0.
_PUBLISH = const(0x30)
_SUBACK = const(0x90)
# What the others are called and how long they are, beyond the fixed header.
_OTHERS = {0x20: ("connack", 2), 0x40: ("puback", 2), 0x90: ("suback", 3), 0xD0: ("pingresp", 0)}
_REFUSED = const(0x80)

# A downlink is some 150 bytes. A longer packet is not for us, and reading it would only fill the heap.
_MAX_BYTES = const(1024)


class MQTTError(Exception):
    """The peer does not speak MQTT 3.1.1 as a broker does to this client. The session is over."""


class _EmptyError(Exception):
    """umqtt asks for bytes that are not there yet."""


class _Pipe:
    """What umqtt takes for a socket, and for the module that makes sockets."""

    def __init__(self):
        self.sent = b""
        self.packet = b""

    def write(self, data, size=None):
        self.sent += bytes(data[:size])

    def read(self, size):
        if size > len(self.packet):
            raise _EmptyError
        data = self.packet[:size]
        self.packet = self.packet[size:]
        return data

    def close(self, *_):
        pass

    setblocking = settimeout = connect = close

    def socket(self, *_):
        return self

    def getaddrinfo(self, *_):
        return (((),),)


class MQTTSession:
    """One session, from CONNECT to the end of its stream. Names and topics are text, the rest bytes."""

    def __init__(self, client_id, user, password, keep_alive_s, will_topic, will_payload):
        self._pipe = _Pipe()
        self._client = client = umqtt.simple.MQTTClient(
            client_id.encode(), "", user=user.encode(), password=password.encode(), keepalive=keep_alive_s
        )
        client.set_callback(self._on_publish)
        client.set_last_will(will_topic.encode(), will_payload, qos=1)
        self._buffer = b""
        self._message = None
        self._waiting = set()
        # PUBACKs and SUBACKs that belong to nothing we sent
        self.unmatched = 0
        # Whether a PINGREQ is unanswered
        self.pinging = False

    def connect(self):
        umqtt.simple.socket = self._pipe  # type: ignore[attr-defined]
        self._written(self._client.connect)

    def subscribe(self, topic):
        """Ask for `topic` at QoS 1; return the packet id that its suback will carry."""
        return self._written(self._client.subscribe, topic.encode(), qos=1)

    def publish(self, topic, payload):
        """Say `payload` at QoS 1, not retained; return the packet id that its puback will carry."""
        return self._written(self._client.publish, topic.encode(), payload, qos=1)

    def ping(self):
        self._client.ping()
        self.pinging = True

    def disconnect(self):
        """Say goodbye, so that the broker does not publish the will."""
        self._client.disconnect()

    def to_send(self):
        """Return the bytes to write, and forget them."""
        data = self._pipe.sent
        self._pipe.sent = b""
        return data

    def receive(self, data):
        """Take any number of bytes; yield the events they complete. MQTTError where they are no packet for us."""
        self._buffer += data
        while True:
            size = self._packet_size()
            if size is None:
                return
            packet = self._buffer[:size]
            self._buffer = self._buffer[size:]
            event = self._read(packet)
            if event:
                yield event

    def _written(self, call, *arguments, **keywords):
        """Make a umqtt call that writes a packet and then waits; end the wait at once. Return its packet id."""
        # umqtt counts up before each use and never wraps: 65535 would be followed by 0, which section 2.3.1 forbids.
        client = self._client
        if client.pid >= 65535:
            client.pid = 0
        before = client.pid
        try:
            call(*arguments, **keywords)
        except _EmptyError:
            pass
        if client.pid != before:
            self._waiting.add(client.pid)
        return client.pid

    def _packet_size(self):
        """Return the size of the whole packet at the buffer's start, checked; None while it is not all there."""
        buffer = self._buffer
        if not buffer:
            return None
        publish = buffer[0] & 0xF0 == _PUBLISH
        if not publish and buffer[0] not in _OTHERS:
            raise MQTTError("packet type 0x%02x" % buffer[0])
        # Remaining length (section 2.2.3): 7 bits a byte. Three bytes say more than we would ever read.
        length = 0
        for start in range(1, 4):
            if start >= len(buffer):
                return None
            length |= (buffer[start] & 0x7F) << 7 * (start - 1)
            if buffer[start] < 0x80:
                break
        else:
            length = _MAX_BYTES + 1
        start += 1
        # The short ones are read by position, so a length spread over more bytes than it needs is refused in them.
        if length > _MAX_BYTES or (not publish and buffer[1] != _OTHERS[buffer[0]][1]):
            raise MQTTError("packet type 0x%02x with a wrong length" % buffer[0])
        if len(buffer) < start + length:
            return None
        if publish:
            self._check_publish(buffer[0] >> 1 & 3, buffer[start : start + length])
        return start + length

    def _check_publish(self, qos, body):
        end = 2 + int.from_bytes(body[:2], "big")
        if qos > 1 or len(body) < end + 2 * qos or (qos and body[end : end + 2] == b"\0\0"):
            raise MQTTError("malformed PUBLISH")

    def _on_publish(self, topic, payload):
        self._message = ("message", (topic, payload))

    def _read(self, packet):
        """Let umqtt read one whole packet; return its event, or None."""
        self._pipe.packet = packet
        self._client.wait_msg()
        # umqtt leaves the rest of an answer unread, and would take it for the answer to its next packet.
        self._pipe.packet = b""
        if packet[0] & 0xF0 == _PUBLISH:
            return self._message
        name = _OTHERS[packet[0]][0]
        if name == "pingresp":
            self.pinging = False
            return name, None
        if name == "connack":
            return name, packet[3]
        packet_id = packet[2] << 8 | packet[3]
        if packet_id not in self._waiting:
            self.unmatched += 1
            return None
        self._waiting.remove(packet_id)
        if packet[0] == _SUBACK and packet[4] == _REFUSED:
            raise MQTTError("the broker refuses our subscription")
        return name, packet_id
