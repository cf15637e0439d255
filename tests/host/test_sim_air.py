"""The emulated way: delay without reordering, and failures that are switched at run time."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sim.air import Air, AirError


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
        writer.write(b"end")
    except OSError:
        pass
    finally:
        writer.close()


def with_air(story: Callable[[Air], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        air = Air(("127.0.0.1", 0), server.sockets[0].getsockname()[:2], **options)
        await air.start()
        try:
            async with asyncio.timeout(10):
                await story(air)
        finally:
            await air.stop()
            server.close()
            await server.wait_closed()

    asyncio.run(whole())


def test_each_way_takes_the_latency():
    async def story(air: Air) -> None:
        reader, writer = await asyncio.open_connection(*air.address)
        start = time.monotonic()
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        assert 0.2 <= time.monotonic() - start < 0.4
        assert (air.connections, air.bytes_up, air.bytes_down) == (1, 4, 4)
        writer.close()

    with_air(story, latency_ms=100)


def test_bytes_keep_their_order_and_the_rate_is_kept():
    async def story(air: Air) -> None:
        reader, writer = await asyncio.open_connection(*air.address)
        sent = bytes(range(256)) * 80
        start = time.monotonic()
        for at in range(0, len(sent), 100):
            writer.write(sent[at : at + 100])
            await asyncio.sleep(0)
        writer.write_eof()
        assert await reader.read() == sent + b"end"
        assert time.monotonic() - start > len(sent) / 100_000
        writer.close()

    with_air(story, latency_ms=5, rate=100_000)


def test_refused_means_refused_and_up_lets_through_again():
    async def story(air: Air) -> None:
        reader, writer = await asyncio.open_connection(*air.address)
        await air.down("refuse")
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*air.address)
        await air.up()
        reader, writer = await asyncio.open_connection(*air.address)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        writer.close()

    with_air(story)


def test_silence_holds_bytes_back_and_up_delivers_them():
    """As TCP does: the sender sees no error, and what was on its way arrives late."""

    async def story(air: Air) -> None:
        reader, writer = await asyncio.open_connection(*air.address)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        await air.down("blackhole")
        writer.write(b"2")
        late_reader, late_writer = await asyncio.open_connection(*air.address)
        late_writer.write(b"3")
        for silent in (reader, late_reader):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(silent.readexactly(1), 0.15)
        await air.up()
        assert await reader.readexactly(1) == b"2"
        assert await late_reader.readexactly(1) == b"3"
        writer.close()
        late_writer.close()

    with_air(story)


def test_a_reset_ends_connections_with_an_error_and_counts_what_is_lost():
    async def story(air: Air) -> None:
        reader, writer = await asyncio.open_connection(*air.address)
        writer.write(b"in flight")
        await asyncio.sleep(0.05)
        await air.down("reset")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        assert air.lost == 9
        reader, writer = await asyncio.open_connection(*air.address)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        assert air.refused == 1

    with_air(story, latency_ms=500)


def test_a_target_that_is_not_there_resets_the_client_and_is_counted():
    async def story(air: Air) -> None:
        air.target = ("127.0.0.1", 1)
        reader, writer = await asyncio.open_connection(*air.address)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        assert air.refused == 1

    with_air(story)


def test_an_address_in_use_and_an_unknown_mode_are_named():
    async def story(air: Air) -> None:
        with pytest.raises(AirError, match=f"127.0.0.1:{air.address[1]} is in use"):
            await Air(air.address, air.target).start()
        with pytest.raises(AirError, match="refuse, blackhole, reset"):
            await air.down("fog")

    with_air(story)
