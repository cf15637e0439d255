"""The embedded broker: who may enter, who may say and hear what, and that a will is published."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import aiomqtt
import pytest

from sim import certs
from sim.broker import Broker, BrokerError, allowed, read_users

TAG, OTHER = "0123456789abcdef", "fedcba9876543210"
USERS = {"desk": "desk-password", TAG: "tag-password", OTHER: "other-password"}
UP, DOWN = f"obereg/{TAG}/up/alert", f"obereg/{TAG}/down"


def with_broker(
    story: Callable[[Broker], Coroutine[Any, Any, None]], tls: tuple[str, str] | None = None
) -> None:
    async def whole() -> None:
        broker = Broker("127.0.0.1", 0, USERS, tls)
        await broker.start()
        try:
            async with asyncio.timeout(15):
                await story(broker)
        finally:
            await broker.stop()

    asyncio.run(whole())


def client(broker: Broker, user: str | None, password: str | None = None, **options: Any) -> aiomqtt.Client:
    host, port = broker.address
    password = USERS.get(user or "") if password is None else password
    return aiomqtt.Client(host, port, username=user, password=password, timeout=3, **options)


async def exchange(broker: Broker, data: bytes) -> bytes:
    """Send raw bytes; return what comes until the broker closes or 0.3 s pass."""
    reader, writer = await asyncio.open_connection(*broker.address)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(64), 2)
    finally:
        writer.close()


def connect_packet(
    name: str, user: str | None, password: str | None, keep_alive_s: int = 0, will: bytes = b""
) -> bytes:
    def text(value: bytes) -> bytes:
        return len(value).to_bytes(2, "big") + value

    flags = (
        2 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0) | (0x0C if will else 0)
    )
    body = text(b"MQTT") + bytes((4, flags)) + keep_alive_s.to_bytes(2, "big") + text(name.encode())
    if will:
        body += text(UP.encode()) + text(will)
    for value in (user, password):
        if value is not None:
            body += text(value.encode())
    return bytes((0x10, len(body))) + body


@pytest.mark.parametrize(
    ("user", "password"),
    [(TAG, "wrong"), (TAG, ""), (TAG, None), ("nobody", "x"), ("nobody", ""), ("", ""), (None, None)],
)
def test_who_has_no_right_password_gets_connack_5(user, password):
    async def story(broker: Broker) -> None:
        assert await exchange(broker, connect_packet("c", user, password)) == b"\x20\x02\x00\x05"

    with_broker(story)


def test_the_right_password_gets_connack_0():
    async def story(broker: Broker) -> None:
        assert await exchange(broker, connect_packet(TAG, TAG, "tag-password")) == b"\x20\x02\x00\x00"

    with_broker(story)


@pytest.mark.parametrize(
    ("user", "topic", "write", "read"),
    [
        (TAG, UP, True, False),
        (TAG, DOWN, False, True),
        (TAG, f"obereg/{OTHER}/up/alert", False, False),
        (TAG, f"obereg/{OTHER}/down", False, False),
        (TAG, "obereg/+/down", False, False),
        (TAG, "#", False, False),
        (TAG, f"obereg/{TAG}/up", False, False),
        (TAG, f"obereg/{TAG}/down/x", False, False),
        ("desk", "obereg/+/up/#", False, True),
        ("desk", UP, False, True),
        ("desk", DOWN, True, False),
        ("desk", "obereg/+/down", True, False),  # a filter; as a topic the broker refuses it by itself
        ("desk", "#", False, False),
        ("desk", "other/x/down", False, False),
        ("+", "obereg/+/down", False, False),
    ],
)
def test_the_access_list_is_the_protocols(user, topic, write, read):
    assert (allowed(user, topic, write=True), allowed(user, topic, write=False)) == (write, read)


def test_alerts_reach_the_desk_acks_reach_their_tag_and_nothing_else_passes():
    async def story(broker: Broker) -> None:
        async with client(broker, "desk") as desk, client(broker, TAG) as tag, client(broker, OTHER) as other:
            await desk.subscribe("obereg/+/up/#", 1)
            await tag.subscribe(DOWN, 1)
            for topic in (DOWN, "obereg/+/up/#", UP):
                assert (await other.subscribe(topic, 1))[0].value == 0x80
            await other.publish(UP, b"forged", 1)
            await other.publish(DOWN, b"forged", 1)
            await tag.publish(UP, b"alert", 1)
            assert (await anext(desk.messages)).payload == b"alert"
            await desk.publish(DOWN, b"ack", 1)
            assert (await anext(tag.messages)).payload == b"ack"

    with_broker(story)


def test_connect_subscribe_and_publish_in_one_write_all_work():
    """As a tag does; the answer to the publish must find the subscription."""

    async def story(broker: Broker) -> None:
        async with client(broker, "desk") as desk:
            await desk.subscribe("obereg/+/up/#", 1)
            topic = DOWN.encode()
            subscribe = b"\x00\x01" + len(topic).to_bytes(2, "big") + topic + b"\x01"
            topic = UP.encode()
            publish = len(topic).to_bytes(2, "big") + topic + b"\x00\x02" + b"alert"
            reader, writer = await asyncio.open_connection(*broker.address)
            writer.write(
                connect_packet(TAG, TAG, "tag-password")
                + bytes((0x82, len(subscribe)))
                + subscribe
                + bytes((0x32, len(publish)))
                + publish
            )
            assert (await anext(desk.messages)).payload == b"alert"
            await desk.publish(DOWN, b"ack", 1)
            heard = b""
            while not heard.endswith(b"ack"):
                heard += await reader.read(100)
            assert heard.startswith(b"\x20\x02\x00\x00")
            writer.close()

    with_broker(story)


def test_no_message_is_lost_while_others_subscribe():
    async def story(broker: Broker) -> None:
        async with (
            client(broker, "desk") as desk,
            client(broker, TAG) as tag,
            client(broker, "desk") as second,
        ):
            # The broker comes to this filter first, and waits there.
            await second.subscribe(f"obereg/{TAG}/up/#", 1)
            await desk.subscribe("obereg/+/up/#", 1)

            async def restless() -> None:
                for number in range(100):
                    await second.subscribe(f"obereg/{number}/up/#", 1)

            task = asyncio.create_task(restless())
            while not task.done():
                await tag.publish(UP, b"alert", 1)
                assert (await asyncio.wait_for(anext(desk.messages), 2)).payload == b"alert"
            await task

    with_broker(story)


@pytest.mark.parametrize("end", ["broken off", "keep-alive over", "taken over"])
def test_a_will_is_published_when_a_session_ends_without_disconnect(end):
    async def story(broker: Broker) -> None:
        async with client(broker, "desk") as desk:
            await desk.subscribe("obereg/+/up/#", 1)
            keep_alive_s = 1 if end == "keep-alive over" else 0
            packet = connect_packet(TAG, TAG, "tag-password", keep_alive_s, b"gone")
            reader, writer = await asyncio.open_connection(*broker.address)
            writer.write(packet)
            assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
            if end == "broken off":
                writer.transport.abort()
            if end == "taken over":
                async with client(broker, TAG, identifier=TAG):
                    pass
            assert (await asyncio.wait_for(anext(desk.messages), 3)).payload == b"gone"
            writer.close()

    with_broker(story)


def test_after_a_takeover_the_new_connection_hears_what_comes():
    async def story(broker: Broker) -> None:
        async with client(broker, "desk") as desk:
            reader, writer = await asyncio.open_connection(*broker.address)
            writer.write(connect_packet(TAG, TAG, "tag-password"))
            await reader.readexactly(4)
            async with client(broker, TAG, identifier=TAG) as tag:
                assert await reader.read() == b""
                await tag.subscribe(DOWN, 1)
                await desk.publish(DOWN, b"ack", 1)
                assert (await anext(tag.messages)).payload == b"ack"
            writer.close()

    with_broker(story)


def test_tls_with_a_certificate_of_our_own_ca(tmp_path):
    ca = certs.make_ca()
    (tmp_path / "ca.pem").write_bytes(ca.pem)

    async def story(broker: Broker) -> None:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        async with client(broker, TAG, tls_context=context) as tag:
            await tag.publish(UP, b"alert", 1)

    with_broker(story, ca.issue("localhost", "127.0.0.1").write(tmp_path / "broker"))


def test_an_address_in_use_and_a_bad_certificate_are_named(tmp_path):
    async def story(broker: Broker) -> None:
        with pytest.raises(BrokerError, match="is in use"):
            await Broker(*broker.address, USERS).start()
        with pytest.raises(BrokerError, match="cannot use certificate"):
            await Broker("127.0.0.1", 0, USERS, (str(tmp_path / "a"), str(tmp_path / "b"))).start()

    with_broker(story)


def test_a_users_file_is_read_and_its_wrong_line_is_named(tmp_path):
    users = tmp_path / "users"
    users.write_text("# names\n\ndesk:a:b\n0123456789abcdef:x\n")
    assert read_users(users) == {"desk": "a:b", "0123456789abcdef": "x"}
    users.write_text("desk:a\nnonsense\n")
    with pytest.raises(BrokerError, match="line 2"):
        read_users(users)
