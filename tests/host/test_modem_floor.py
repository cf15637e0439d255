"""The scripted dialogue against the emulated modem, sped up, with a server that is real."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable

import pytest

from sim import certs
from sim.floor import connect, publish
from sim.modem import Fault, Modem
from sim.modem_floor import FloorError, ModemCaller, Server

SPEED = 40
TAG = "0123456789abcdef"
HELLO = connect(TAG, "secret")
ANSWER = b"\x20\x02\0\0\x90\x03\0\x01\x01"  # CONNACK and SUBACK


def floor(
    tmp_path, story: Callable[[ModemCaller, bytearray], Awaitable[None]], *, tls: bool = False, **options
) -> Modem:
    """Run a story with a caller on a fresh modem; the server answers the CONNECT and keeps what it hears."""

    async def whole() -> Modem:
        heard = bytearray()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.extend(await reader.readexactly(len(HELLO)))
            writer.write(ANSWER)  # and nothing more
            while data := await reader.read(4096):
                heard.extend(data)
            writer.close()

        context, pem = None, None
        if tls:
            authority = certs.make_ca()
            pem = authority.pem
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.issue("localhost", "127.0.0.1").write(tmp_path / "server"))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        modem = Modem(tmp_path / "modem", speed=SPEED, **options)
        await modem.start()
        modem.supply(False)
        port = server.sockets[0].getsockname()[1]
        caller = ModemCaller(modem, tmp_path / "modem", Server("127.0.0.1", port, "localhost", pem, "obereg"))
        try:
            async with asyncio.timeout(15):
                await story(caller, heard)
        finally:
            caller.close()
            await modem.stop()
            server.close()
        return modem

    return asyncio.run(whole())


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_from_a_factory_fresh_modem_to_the_server_in_one_casend(tmp_path, tls):
    whole = HELLO + publish(TAG, 2, b"the token")

    async def story(caller: ModemCaller, heard: bytearray) -> None:
        before_ms = time.monotonic() * 1000
        began_ms = await caller.attach()
        assert abs(began_ms - before_ms) < 100
        await caller.open()
        await caller.say(whole)
        assert await caller.hear(len(ANSWER)) == ANSWER
        async with asyncio.timeout(1):
            while len(heard) < len(whole):
                await asyncio.sleep(0.01)
        assert bytes(heard) == whole

    modem = floor(tmp_path, story, tls=tls)
    commands = [exchange["command"] for exchange in modem.recorder.exchanges()]
    assert sum(command.startswith("AT+CASEND") for command in commands) == 1
    assert not any(command.startswith("AT+CFUN") for command in commands)
    # The key and the boot, a cold registration, the context, the socket: what remains is the dialogue itself.
    least_ms = 1000 + 2500 + 500 + 11_000 + 490 + 250 + (1900 if tls else 0)
    took_ms = modem.recorder.entries[-1].at_ms - modem.recorder.entries[0].at_ms
    assert least_ms < took_ms + 1000 < least_ms + 4000  # a millisecond of this computer is 40 here


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_on_a_living_session_each_say_arrives_at_once(tmp_path, tls):
    async def story(caller: ModemCaller, heard: bytearray) -> None:
        await caller.attach()
        await caller.open()
        await caller.say(HELLO)
        await caller.hear(len(ANSWER))
        for number in range(8):
            packet = publish(TAG, number, b"again")
            began_ms = await caller.say(packet)
            assert 0 <= time.monotonic() * 1000 - began_ms < 500
            async with asyncio.timeout(1):
                while not bytes(heard).endswith(packet):
                    await asyncio.sleep(0.01)

    floor(tmp_path, story, tls=tls)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coverage": None}, "finds no network within three minutes"),
        ({"faults": [Fault("pdp_refused", count=0)]}, "gives no PDP context for the APN 'obereg'"),
        ({"faults": [Fault("error", on="+CNCFG")]}, r"\+CNCFG=0,1,\"obereg\": the modem says ERROR"),
    ],
    ids=["no coverage", "no context", "error"],
)
def test_what_the_modem_refuses_is_named(tmp_path, options, message):
    async def story(caller: ModemCaller, heard: bytearray) -> None:
        with pytest.raises(FloorError, match=message):
            await caller.attach()

    floor(tmp_path, story, **options)


def test_a_server_of_another_ca_is_not_called(tmp_path):
    async def story(caller: ModemCaller, heard: bytearray) -> None:
        caller._server = caller._server._replace(ca_pem=certs.make_ca().pem)
        await caller.attach()
        with pytest.raises(FloorError, match=r"CAOPEN to 127\.0\.0\.1:\d+: \+CAOPEN: 0,27"):
            await caller.open()
        assert not heard

    floor(tmp_path, story, tls=True)
