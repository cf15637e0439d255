"""
An MQTT 3.1.1 session without I/O: the bytes it writes, the bytes it reads, and whatever else a peer may send.

Other people's code reads what it writes (amqtt) and writes the same (paho); amqtt writes what it reads.
"""

import asyncio
import socket
import tracemalloc
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from amqtt.adapters import BufferReader
from amqtt.mqtt import packet_class
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from hypothesis import given
from hypothesis import strategies as st
from mqtt import MQTTError, MQTTSession

TAG = "0123456789abcdef"
PASSWORD = "9e" * 32
UP, STATE, DOWN = (f"obereg/{TAG}/{end}" for end in ("up/alert", "up/state", "down"))
WILL = bytes(range(93))
TOKEN = b"\xd8\x3d" + bytes(121)
KEEP_ALIVE_S = 18000


def a_session() -> MQTTSession:
    return MQTTSession(TAG, TAG, PASSWORD, KEEP_ALIVE_S, STATE, WILL)


def connected() -> MQTTSession:
    """A session that has said CONNECT and nothing else."""
    session = a_session()
    session.connect()
    session.to_send()
    return session


def opened() -> MQTTSession:
    """A session that has said CONNECT, SUBSCRIBE (packet id 1) and PUBLISH (packet id 2)."""
    session = connected()
    session.subscribe(DOWN)
    session.publish(UP, TOKEN)
    session.to_send()
    return session


def text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


def length(size: int) -> bytes:
    """OASIS MQTT 3.1.1 section 2.2.3."""
    return bytes([size]) if size < 128 else bytes([size % 128 | 128]) + length(size // 128)


def packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + length(len(body)) + body


# Sections 3.1, 3.8 and 3.3, field by field
CONNECT = packet(
    0x10,
    b"\0\4MQTT\4"
    + bytes([0b11001110])  # user, password, will of QoS 1, not retained, clean session
    + KEEP_ALIVE_S.to_bytes(2, "big")
    + text(TAG)
    + text(STATE)
    + len(WILL).to_bytes(2, "big")
    + WILL
    + text(TAG)
    + text(PASSWORD),
)
SUBSCRIBE = packet(0x82, b"\0\1" + text(DOWN) + b"\1")
PUBLISH = packet(0x32, text(UP) + b"\0\2" + TOKEN)


def test_connect_subscribe_and_publish_have_exactly_these_bytes_and_leave_in_one_write() -> None:
    session = a_session()
    assert session.to_send() == b""
    session.connect()
    assert session.subscribe(DOWN) == 1
    assert session.publish(UP, TOKEN) == 2
    assert session.to_send() == CONNECT + SUBSCRIBE + PUBLISH
    assert session.to_send() == b""


def test_ping_and_disconnect_have_exactly_these_bytes() -> None:
    session = opened()
    session.ping()
    session.disconnect()
    assert session.to_send() == b"\xc0\0\xe0\0"


def read_by_amqtt(data: bytes) -> Iterator[Any]:
    """Read the packets of a client with amqtt, one after the other."""

    async def read(reader: BufferReader) -> Any:
        header = await MQTTFixedHeader.from_stream(reader)
        return header and await packet_class(header).from_stream(reader, fixed_header=header)

    reader = BufferReader(data)
    while (found := asyncio.run(read(reader))) is not None:
        yield found


def test_amqtt_reads_what_we_write() -> None:
    session = a_session()
    session.connect()
    session.subscribe(DOWN)
    session.publish(UP, TOKEN)
    connect, subscribe, publish = read_by_amqtt(session.to_send())
    assert (connect.proto_name, connect.proto_level, connect.clean_session_flag) == ("MQTT", 4, True)
    assert (connect.client_id, connect.username, connect.password) == (TAG, TAG, PASSWORD)
    assert (connect.will_topic, connect.will_message, connect.keep_alive) == (STATE, WILL, KEEP_ALIVE_S)
    assert (connect.will_flag, connect.will_qos, connect.will_retain_flag) == (True, 1, False)
    assert (subscribe.variable_header.packet_id, subscribe.payload.topics) == (1, [(DOWN, 1)])
    assert (publish.packet_id, publish.topic_name, bytes(publish.data)) == (2, UP, TOKEN)
    assert (publish.qos, publish.retain_flag, publish.dup_flag) == (1, False, False)


def receive_all(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += peer.recv(size - len(data))
    return data


def test_paho_writes_the_same_bytes() -> None:
    """Eclipse's client, on a real socket, told the same things."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, TAG, clean_session=True, protocol=paho.MQTTv311)
    client.username_pw_set(TAG, PASSWORD)
    client.will_set(STATE, WILL, qos=1, retain=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        client.connect("127.0.0.1", server.getsockname()[1], KEEP_ALIVE_S)
        with server.accept()[0] as peer:
            peer.settimeout(5)
            client.loop_write()
            assert receive_all(peer, len(CONNECT)) == CONNECT
            peer.sendall(b"\x20\2\0\0")
            while not client.is_connected():
                assert client.loop(timeout=5) == paho.MQTT_ERR_SUCCESS
            client.subscribe(DOWN, 1)
            client.publish(UP, TOKEN, 1)
            client.loop_write()
            assert receive_all(peer, len(SUBSCRIBE + PUBLISH)) == SUBSCRIBE + PUBLISH
            client.disconnect()
            client.loop_write()
            assert receive_all(peer, 2) == b"\xe0\0"


@pytest.mark.parametrize("remaining", [126, 127, 128, 129, 255, 256, 16383, 16384])
def test_a_publish_of_any_length_is_framed_right(remaining: int) -> None:
    session = connected()
    payload = bytes(remaining - 4 - len(UP))
    session.publish(UP, payload)
    data = session.to_send()
    assert data == packet(0x32, text(UP) + b"\0\1" + payload)
    (publish,) = read_by_amqtt(data)
    assert bytes(publish.data) == payload


@pytest.mark.parametrize("size", [0, 18, 19, 20, 200])
def test_a_connect_of_any_length_is_framed_right(size: int) -> None:
    """A will of 19 bytes makes it 127, the last length of one byte."""
    session = MQTTSession("c", "u", "p" * 85, 60, "t", bytes(size))
    session.connect()
    data = session.to_send()
    assert data[0] == 0x10
    assert data[1:].startswith(length(108 + size))
    assert len(data) == 1 + len(length(108 + size)) + 108 + size
    (connect,) = read_by_amqtt(data)
    assert connect.will_message == bytes(size)


def test_packet_ids_wrap_from_65535_to_1_and_are_never_0() -> None:
    session = connected()
    ids = []
    for _ in range(65535 + 3):
        ids.append(session.publish("t", b""))
        assert session.to_send()[-2:] == ids[-1].to_bytes(2, "big")
    assert ids == [*range(1, 65536), 1, 2, 3]


def test_a_subscription_takes_its_packet_id_from_the_same_row() -> None:
    session = connected()
    assert [session.publish("t", b""), session.subscribe("s"), session.publish("t", b"")] == [1, 2, 3]


MESSAGE_0 = PublishPacket.build(DOWN, b"said once", None, False, 0, False).to_bytes()
MESSAGE_1 = PublishPacket.build(DOWN, TOKEN, 0x1234, True, 1, True).to_bytes()
STREAM = (
    ConnackPacket.build(0, 0).to_bytes()
    + SubackPacket.build(1, [1]).to_bytes()
    + PubackPacket.build(2).to_bytes()
    + MESSAGE_0
    + PubackPacket.build(77).to_bytes()
    + PingRespPacket().to_bytes()
    + MESSAGE_1
    + packet(0x30, text("t") + bytes(128))
)
EVENTS = [
    ("connack", 0),
    ("suback", 1),
    ("puback", 2),
    ("message", (DOWN.encode(), b"said once")),
    ("pingresp", None),
    ("message", (DOWN.encode(), TOKEN)),
    ("message", (b"t", bytes(128))),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_do_not_depend_on_how_the_bytes_are_cut(size: int) -> None:
    session = opened()
    session.ping()
    session.to_send()
    events = []
    for at in range(0, len(STREAM), size):
        events += session.receive(STREAM[at : at + size])
    assert events == EVENTS
    assert session.unmatched == 1
    assert not session.pinging
    assert session.to_send() == PubackPacket.build(0x1234).to_bytes()


PACKETS = [
    pytest.param(b"\x20\2\1\0", ("connack", 0), id="CONNACK"),
    pytest.param(b"\x90\3\0\1\1", ("suback", 1), id="SUBACK"),
    pytest.param(b"\x40\2\0\2", ("puback", 2), id="PUBACK"),
    pytest.param(b"\xd0\0", ("pingresp", None), id="PINGRESP"),
    pytest.param(MESSAGE_0, ("message", (DOWN.encode(), b"said once")), id="PUBLISH of QoS 0"),
    pytest.param(MESSAGE_1, ("message", (DOWN.encode(), TOKEN)), id="PUBLISH of QoS 1"),
    pytest.param(packet(0x30, text("t")), ("message", (b"t", b"")), id="PUBLISH of nothing"),
    pytest.param(packet(0x3B, text("t") + b"\0\1x"), ("message", (b"t", b"x")), id="PUBLISH, DUP and RETAIN"),
    pytest.param(
        b"\x30\x84\0" + text("t") + b"x", ("message", (b"t", b"x")), id="PUBLISH, length in two bytes"
    ),
    pytest.param(b"\x30\x84\x80\0" + text("t") + b"x", ("message", (b"t", b"x")), id="PUBLISH, in three"),
]


@pytest.mark.parametrize(("data", "event"), PACKETS)
def test_every_prefix_says_not_yet(data: bytes, event: tuple) -> None:
    for end in range(len(data)):
        session = opened()
        assert list(session.receive(data[:end])) == []
        assert session.to_send() == b""
        assert list(session.receive(data[end:])) == [event]


@pytest.mark.parametrize("code", range(6))
def test_the_connack_says_how_the_broker_likes_us(code: int) -> None:
    assert list(opened().receive(bytes([0x20, 2, 0, code]))) == [("connack", code)]


def test_what_acknowledges_nothing_of_ours_is_counted_and_no_event() -> None:
    session = opened()
    assert list(session.receive(b"\x40\2\0\3\x90\3\0\4\1\x40\2\0\0")) == []
    assert session.unmatched == 3
    assert list(session.receive(b"\x40\2\0\2\x40\2\0\2")) == [("puback", 2)]
    assert session.unmatched == 4


def test_pinging_ends_with_the_answer() -> None:
    session = opened()
    assert not session.pinging
    session.ping()
    assert session.pinging
    assert list(session.receive(b"\x40\2\0\2")) == [("puback", 2)]
    assert session.pinging
    assert list(session.receive(b"\xd0\0")) == [("pingresp", None)]
    assert not session.pinging


def test_a_message_of_qos_1_is_acknowledged_and_one_of_qos_0_is_not() -> None:
    session = opened()
    list(session.receive(MESSAGE_0))
    assert session.to_send() == b""
    list(session.receive(MESSAGE_1 + MESSAGE_1))
    assert session.to_send() == b"\x40\2\x12\x34" * 2


@pytest.mark.parametrize("remaining", [126, 127, 128, 129, 1023, 1024])
def test_a_message_of_any_length_up_to_1024_is_read(remaining: int) -> None:
    body = text("t") + bytes(remaining - 3)
    assert list(opened().receive(packet(0x30, body))) == [("message", (b"t", bytes(remaining - 3)))]


@pytest.mark.parametrize("packet_id", [1, 0x3005, 0x4005, 0x4002, 0x9003, 0xD005, 0xD000, 0xFFFF])
def test_no_puback_disturbs_what_is_said_after_it(packet_id: int) -> None:
    """umqtt reads one byte of a PUBACK; the others must not be taken for packets later."""
    session = connected()
    for _ in range(packet_id):
        said = session.publish("t", b"")
        session.to_send()
    assert list(session.receive(b"\x40\2" + packet_id.to_bytes(2, "big"))) == [("puback", said)]
    session.publish(UP, TOKEN)
    session.subscribe(DOWN)
    session.ping()
    assert [found.fixed_header.packet_type for found in read_by_amqtt(session.to_send())] == [3, 8, 12]
    assert list(session.receive(MESSAGE_0)) == [("message", (DOWN.encode(), b"said once"))]


MALFORMED = [
    *[
        pytest.param(bytes([head]), f"type 0x{head:02x}", id=f"type {head:02x}")
        for head in (
            0x00,
            0x10,
            0x21,
            0x2F,
            0x42,
            0x50,
            0x62,
            0x70,
            0x82,
            0x92,
            0xA2,
            0xB0,
            0xC0,
            0xD1,
            0xE0,
            0xF0,
        )
    ],
    pytest.param(b"\x20\1", "wrong length", id="CONNACK of 1"),
    pytest.param(b"\x20\3", "wrong length", id="CONNACK of 3, as in MQTT 5"),
    pytest.param(b"\x40\0", "wrong length", id="PUBACK of nothing"),
    pytest.param(b"\x40\3", "wrong length", id="PUBACK of 3"),
    pytest.param(b"\x90\2", "wrong length", id="SUBACK without a code"),
    pytest.param(b"\x90\4", "wrong length", id="SUBACK with two codes"),
    pytest.param(b"\xd0\1", "wrong length", id="PINGRESP with a body"),
    pytest.param(b"\x20\x82\0\0\5", "wrong length", id="CONNACK, length in two bytes"),
    pytest.param(b"\x40\x82\x80\0\0\2", "wrong length", id="PUBACK, length in three bytes"),
    pytest.param(b"\x90\x83\0\0\1\x80", "wrong length", id="SUBACK, length in two bytes"),
    pytest.param(b"\xd0\x80\0", "wrong length", id="PINGRESP, length in two bytes"),
    pytest.param(b"\x30\x81\x08", "wrong length", id="PUBLISH of 1025"),
    pytest.param(b"\x30\xff\xff\x7f", "wrong length", id="PUBLISH of 2 MB"),
    pytest.param(b"\x30\xff\xff\xff", "wrong length", id="PUBLISH of 256 MB"),
    pytest.param(b"\x30\x85\x80\x80\0", "wrong length", id="PUBLISH, length in four bytes"),
    pytest.param(packet(0x34, text("t") + b"\0\1xyz"), "malformed PUBLISH", id="QoS 2"),
    pytest.param(packet(0x36, text("t") + b"\0\1xyz123"), "malformed PUBLISH", id="QoS 3"),
    pytest.param(b"\x30\0", "malformed PUBLISH", id="PUBLISH of nothing at all"),
    pytest.param(b"\x30\1\0", "malformed PUBLISH", id="PUBLISH of one byte"),
    pytest.param(b"\x30\2\0\1", "malformed PUBLISH", id="topic beyond the packet"),
    pytest.param(b"\x30\5\xff\xffabc", "malformed PUBLISH", id="topic far beyond the packet"),
    pytest.param(b"\x32\3\0\1t", "malformed PUBLISH", id="QoS 1 without a packet id"),
    pytest.param(b"\x32\4\0\1t\1", "malformed PUBLISH", id="QoS 1 with half a packet id"),
    pytest.param(b"\x32\5\0\1t\0\0", "malformed PUBLISH", id="QoS 1 with packet id 0"),
    pytest.param(b"\x90\3\0\1\x80", "refuses our subscription", id="SUBACK that refuses"),
    pytest.param(b"HTTP/1.1 400 Bad Request\r\n", "type 0x48", id="not MQTT"),
    pytest.param(b"\x15\3\1\0\2\2\x28", "type 0x15", id="a TLS alert"),
]


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(("data", "reason"), MALFORMED)
def test_malformed_input_is_refused_with_its_reason(data: bytes, reason: str, size: int) -> None:
    session = opened()

    def receive() -> None:
        for at in range(0, len(data), size):
            assert list(session.receive(data[at : at + size])) == []

    with pytest.raises(MQTTError, match=reason):
        receive()


def test_what_came_before_a_malformed_packet_is_told() -> None:
    session = opened()
    events = session.receive(b"\x20\2\0\0\x40\2\0\2\xff")
    assert [next(events), next(events)] == [("connack", 0), ("puback", 2)]
    with pytest.raises(MQTTError):
        next(events)


@given(st.binary(max_size=300), st.integers(1, 300))
def test_any_bytes_are_events_or_an_mqtt_error(data: bytes, size: int) -> None:
    fuzz(data, size)


PIECES = st.sampled_from([param.values[0] for param in PACKETS] + [param.values[0] for param in MALFORMED])


@given(st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=8).map(b"".join), st.integers(1, 40))
def test_any_mixture_of_packets_is_events_or_an_mqtt_error(data: bytes, size: int) -> None:
    fuzz(data, size)


def fuzz(data: bytes, size: int) -> None:
    """Whatever the peer said and however it was cut, what we write stays whole packets."""
    session = opened()
    try:
        for at in range(0, len(data), size):
            for event, _ in session.receive(data[at : at + size]):
                assert event in ("connack", "suback", "puback", "pingresp", "message")
    except MQTTError:
        pass
    pubacks = len(session.to_send())
    assert pubacks % 4 == 0
    session.publish(UP, TOKEN)
    assert session.to_send() == packet(0x32, text(UP) + b"\0\3" + TOKEN)


ENDLESS = [
    pytest.param(b"\xd0\0", id="PINGRESP"),
    pytest.param(b"\x40\2\0\7", id="PUBACK of nothing"),
    pytest.param(b"\x20\2\0\0", id="CONNACK"),
    pytest.param(packet(0x30, text("t") + bytes(1021)), id="the longest message"),
]


@pytest.mark.parametrize("noise", ENDLESS)
def test_endless_packets_grow_no_memory(noise: bytes) -> None:
    session = opened()
    chunk = (noise * (4096 // len(noise) + 1))[: 4096 // len(noise) * len(noise)]
    list(session.receive(chunk))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(30):
        for _ in session.receive(chunk):
            pass
    # What stays is the last message; 30 chunks have 120 KB.
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 4096


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=100))
def test_what_waits_for_its_rest_never_exceeds_one_packet(chunks: list[bytes]) -> None:
    """A message of 1,024 bytes and its head of 3 are the most that is kept; all beyond is read or refused."""
    session = opened()
    list(session.receive(b"\x30\x80\x08" + text("t")))
    for chunk in chunks:
        try:
            list(session.receive(chunk))
        except MQTTError:
            return
        assert len(session._buffer) < 1027


def test_two_sessions_at_once_do_not_mix() -> None:
    first, second = a_session(), MQTTSession("x", "x", "p", 60, "w", b"w")
    first.connect()
    second.connect()
    first.subscribe(DOWN)
    second.publish("t", b"second")
    assert first.to_send() == CONNECT + SUBSCRIBE
    assert second.to_send().endswith(packet(0x32, text("t") + b"\0\1second"))
    assert list(first.receive(MESSAGE_1)) == [("message", (DOWN.encode(), TOKEN))]
    assert second.to_send() == b""
    assert first.to_send() == b"\x40\2\x12\x34"
