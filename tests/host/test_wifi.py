"""firmware/lib/wifi.py: joining on a fake station in virtual time, streams against real sockets on this computer."""

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager

import clock
import pytest
from log import Log
from wifi import Wifi, WifiError

from tests.host.fakes import Now, run, ticking

HOST = "127.0.0.1"
# network.STAT_WRONG_PASSWORD and STAT_CONNECTING of the ESP32 port
WRONG_PASSWORD, CONNECTING, GOT_IP, IDLE = 202, 1001, 1010, 1000


class FakeWLAN:
    """The station interface: `air` maps the names of networks to their keys; joining takes `takes_s`."""

    def __init__(self, now: Now, air: dict[str, str], takes_s: float = 2.0) -> None:
        self._now = now
        self._air = air
        self._takes_s = takes_s
        self._joined_s: float | None = None
        self._status = IDLE
        self.calls: list[tuple] = []
        self.busy = False  # connect() says that it is at it already

    def active(self, on: bool) -> None:
        self.calls.append(("active", on))

    def connect(self, name: str, key: str) -> None:
        self.calls.append(("connect", name))
        if self.busy:
            raise OSError("Wifi Internal State Error")
        self._status = CONNECTING
        if self._air.get(name) == key:
            self._joined_s = self._now.s + self._takes_s
        elif name in self._air:
            self._status = WRONG_PASSWORD

    def disconnect(self) -> None:
        self.calls.append(("disconnect",))
        self._joined_s = None

    def isconnected(self) -> bool:
        return self._joined_s is not None and self._now.s >= self._joined_s

    def status(self) -> int:
        return GOT_IP if self.isconnected() else self._status


@pytest.fixture
def now(monkeypatch) -> Now:
    return ticking(monkeypatch, Now())


def wifi(now: Now, wlan: FakeWLAN, *networks: tuple[str, str]) -> Wifi:
    return Wifi(
        wlan, [list(network) for network in networks], None, None, Log(now.ticks_ms, lambda line: None)
    )


# ---------------------------------------------------------------------------------------------------------- joining


def test_it_joins_a_known_network_and_says_so(now):
    wlan = FakeWLAN(now, {"home": "12345678"})
    bearer = wifi(now, wlan, ("home", "12345678"))
    run(now, bearer.attach(20000))
    assert bearer.attached()
    assert wlan.calls == [("active", True), ("connect", "home")]


def test_what_is_joined_is_not_joined_again(now):
    wlan = FakeWLAN(now, {"home": "12345678"})
    bearer = wifi(now, wlan, ("home", "12345678"))
    run(now, bearer.attach(20000))
    wlan.calls.clear()
    run(now, bearer.attach(20000))
    assert wlan.calls == []


def test_a_wrong_key_is_named_by_its_status_at_the_deadline(now):
    began_s = now.s
    bearer = wifi(now, FakeWLAN(now, {"home": "12345678"}), ("home", "wrong-key"))
    with pytest.raises(WifiError, match=r"no known network lets us in \(status 202\)"):
        run(now, bearer.attach(20000))
    assert 20 <= now.s - began_s < 20.2


def test_a_network_that_is_not_there_ends_at_the_deadline_and_frees_the_station(now):
    began_s = now.s
    wlan = FakeWLAN(now, {})
    with pytest.raises(WifiError, match="status 1001"):
        run(now, wifi(now, wlan, ("home", "12345678")).attach(20000))
    assert 20 <= now.s - began_s < 20.2
    assert wlan.calls[-1] == ("disconnect",)


def test_the_networks_are_tried_in_their_order_within_one_deadline(now):
    began_s = now.s
    wlan = FakeWLAN(now, {"school": "abcdefgh"})
    run(now, wifi(now, wlan, ("home", "12345678"), ("school", "abcdefgh")).attach(20000))
    assert [call[1] for call in wlan.calls if call[0] == "connect"] == ["home", "school"]
    assert now.s - began_s < 20


def test_a_station_that_is_at_it_already_may_still_join(now):
    wlan = FakeWLAN(now, {"home": "12345678"})
    wlan.connect("home", "12345678")
    wlan.busy = True
    bearer = wifi(now, wlan, ("home", "12345678"))
    run(now, bearer.attach(20000))
    assert bearer.attached()


def test_without_a_network_in_config_json_it_says_so_at_once(now):
    with pytest.raises(WifiError, match=r"config\.json names no Wi-Fi network"):
        run(now, wifi(now, FakeWLAN(now, {})).attach(20000))


# ---------------------------------------------------------------------------------------------------------- streams


@asynccontextmanager
async def server(on_client):
    """A real server; what handles a client ends with it."""
    tasks = []

    async def handle(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            await on_client(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, HOST, 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()


def bearer(context=None) -> Wifi:
    return Wifi(None, [], context, "broker.example", Log(clock.ticks_ms, lambda line: None))


async def opened(port: int, context=None):
    return await bearer(context).open(HOST, port, 2000)


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()


async def mute(reader, writer):
    await asyncio.Event().wait()


def test_bytes_go_there_and_back():
    async def main():
        async with server(echo) as port:
            stream = await opened(port)
            stream.write(b"a press")
            await stream.drain(2000)
            assert await stream.read(512) == b"a press"
            await stream.close()

    asyncio.run(main())


def test_a_read_gives_at_most_what_was_asked_for():
    async def main():
        async with server(echo) as port:
            stream = await opened(port)
            stream.write(b"a press")
            await stream.drain(2000)
            assert await stream.read(3) == b"a p"
            await stream.close()

    asyncio.run(main())


def test_the_end_of_the_stream_reads_as_nothing():
    async def hang_up(reader, writer):
        pass

    async def main():
        async with server(hang_up) as port:
            stream = await opened(port)
            assert await stream.read(512) == b""
            await stream.close()

    asyncio.run(main())


def test_a_peer_that_reads_nothing_holds_up_drain_and_not_the_write():
    async def main():
        async with server(mute) as port:
            stream = await opened(port)
            stream.write(bytes(20_000_000))
            with pytest.raises(TimeoutError):
                await stream.drain(100)
            stream._writer.transport.abort()
            await stream.close()

    asyncio.run(main())


def test_a_refused_port_is_an_error_that_names_it():
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    with pytest.raises(WifiError, match=f"{HOST}:{port}: "):
        asyncio.run(opened(port))


def test_a_server_that_does_not_answer_ends_at_the_deadline():
    """Its backlog is full, so no connection comes about."""

    async def main():
        with socket.socket() as listening:
            listening.bind((HOST, 0))
            listening.listen(0)
            port = listening.getsockname()[1]
            began_s = time.monotonic()
            with socket.create_connection((HOST, port)), pytest.raises(WifiError, match="does not answer"):
                await bearer().open(HOST, port, 150)
            assert time.monotonic() - began_s < 2

    asyncio.run(main())


def test_a_server_that_is_mute_under_tls_ends_at_the_deadline():
    async def main():
        async with server(mute) as port:
            with pytest.raises(WifiError, match="does not answer"):
                await bearer(ssl.create_default_context()).open(HOST, port, 150)

    asyncio.run(main())


def test_a_server_that_speaks_no_tls_is_an_error():
    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def main():
        async with server(plain) as port:
            with pytest.raises(WifiError):
                await opened(port, ssl.create_default_context())

    asyncio.run(main())


def test_a_mute_server_hears_our_goodbye():
    async def main():
        gone = asyncio.Event()

        async def listen(reader, writer):
            await reader.read()
            gone.set()

        async with server(listen) as port:
            stream = await opened(port)
            await stream.close()
            await asyncio.wait_for(gone.wait(), 2)

    asyncio.run(main())


@pytest.mark.parametrize("error", [OSError(104), ValueError("TLS"), TimeoutError()], ids=repr)
def test_close_raises_nothing_and_never_hangs(monkeypatch, error):
    async def main():
        async with server(mute) as port:
            stream = await opened(port)
            wait_closed = stream._writer.wait_closed

            async def failing():
                raise error

            stream._writer.wait_closed = failing
            await stream.close()
            await wait_closed()

    asyncio.run(main())


def test_a_peer_that_never_takes_our_goodbye_is_left_after_a_second(now):
    class Writer:
        def close(self):
            pass

        async def wait_closed(self):
            await asyncio.Event().wait()

    from wifi import Stream

    began_s = now.s
    run(now, Stream(None, Writer()).close())
    assert now.s - began_s == pytest.approx(1)


@pytest.mark.parametrize(
    ("said", "doubted"),
    [
        ("The certificate validity has expired", [None]),
        ("The certificate validity starts in the future", [None]),
        ("The certificate is not correctly signed by the trusted CA", []),
    ],
)
def test_a_certificate_that_is_out_of_date_makes_the_clock_doubt_itself(said, doubted):
    from wifi import Stream

    class Writer:
        async def drain(self):
            raise ValueError(said)

    told: list[None] = []
    with pytest.raises(ValueError, match=said):
        asyncio.run(Stream(None, Writer(), told.append).drain(1000))
    assert told == doubted
