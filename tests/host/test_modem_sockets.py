"""The emulated modem's sockets to real hosts, by sheet 6 and the certificates of sheet 4. No driver."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import pytest

from sim import certs
from sim.modem import Coverage, Fault
from tests.host.modem_bench import ERROR, OK, Host, cme, said, speak, until, urc

IND, CLOSED = urc("+CADATAIND: 0"), urc("+CASTATE: 0,0")
CA = certs.make_ca()


class Peer:
    """A real server: it keeps what it hears and says what the test wants."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = False
        self.writer: asyncio.StreamWriter | None = None
        self.reading = asyncio.Event()
        self.reading.set()
        self.port = 0

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context, limit=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while True:
                await self.reading.wait()
                data = await reader.read(4096)
                if not data:
                    break
                self.heard += data
        except OSError:
            pass
        self.ended = True
        writer.close()

    def say(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    async def stop(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
        self._server.close()
        await asyncio.sleep(0)


def with_peer(
    tmp_path: Any,
    story: Callable[[Host, Peer], Any],
    context: ssl.SSLContext | None = None,
    opened: bool = True,
    **options: Any,
) -> Any:
    async def whole(host: Host) -> None:
        peer = Peer()
        await peer.start(context)
        try:
            if opened:
                assert await host.ask(open_(peer)) == said("+CAOPEN: 0,0")
                await until(lambda: peer.writer)
            await story(host, peer)
        finally:
            await peer.stop()

    return speak(tmp_path, "pdp", whole, speed=options.pop("speed", 50), **options)


def open_(peer: Peer, cid: int = 0, host: str = "127.0.0.1", mode: str = "") -> str:
    return f'AT+CAOPEN={cid},0,"TCP","{host}",{peer.port}{mode}'


async def send(host: Host, data: bytes, answer: bytes = OK) -> None:
    host.send(b"AT+CASEND=0,%d\r" % len(data))
    await host.expect(b"\r\n>")
    host.send(data)
    await host.expect(answer)


def test_bytes_go_both_ways_whatever_they_are(tmp_path):
    """Sheet 6: the prompt is > without a newline, CARECV is raw and may hold an OK."""
    mean = b"\r\nOK\r\n\x00\xff>+CADATAIND: 0\r\n"

    async def story(host: Host, peer: Peer) -> None:
        await send(host, mean)
        await until(lambda: peer.heard == mean)
        assert await host.ask("AT+CAACK=0") == said(f"+CAACK: {len(mean)},0")
        peer.say(mean)
        await host.expect(IND)
        host.send(b"AT+CARECV=0,1460\r")
        await host.expect(b"\r\n+CARECV: %d," % len(mean) + mean + b"\r\n" + OK)
        assert await host.ask("AT+CARECV=0,1460") == said("+CARECV: 0")

    with_peer(tmp_path, story)


def test_with_echo_the_payload_is_echoed_too(tmp_path):
    """Sheet 1 trap 6."""

    async def story(host: Host, peer: Peer) -> None:
        await host.ask("ATE1")
        host.send(b"AT+CASEND=0,3\r\n")
        await host.expect(b"AT+CASEND=0,3\r\r\n>")
        host.send(b"abc")
        await host.expect(b"abc" + OK)
        await until(lambda: peer.heard == b"abc")

    with_peer(tmp_path, story)


def test_data_are_announced_again_only_after_a_read_of_nothing(tmp_path):
    """Sheet 6 trap 8: edge-like, read until 0."""

    async def story(host: Host, peer: Peer) -> None:
        peer.say(b"12345")
        await host.expect(IND)
        assert await host.ask("AT+CARECV=0,2") == said("+CARECV: 2,12")
        assert await host.ask("AT+CARECV=0,9") == said("+CARECV: 3,345")
        peer.say(b"6")
        await host.silence(1000)
        assert await host.ask("AT+CARECV=0,9") == said("+CARECV: 1,6")
        assert await host.ask("AT+CARECV=0,9") == said("+CARECV: 0")
        peer.say(b"7")
        await host.expect(IND)

    with_peer(tmp_path, story)


def test_a_peers_end_is_told_in_the_order_of_the_sheet_when_all_is_read(tmp_path):
    """Sheet 6 trap 7; afterwards CARECV is refused and the cid is taken until CACLOSE."""

    async def story(host: Host, peer: Peer) -> None:
        peer.say(b"bye")
        assert peer.writer is not None
        peer.writer.close()
        await host.expect(IND)
        await host.silence(1000)
        assert await host.ask("AT+CARECV=0,100") == said("+CARECV: 3,bye")
        host.send(b"AT+CARECV=0,100\r")
        await host.expect(said("+CARECV: 0") + IND + CLOSED)
        assert await host.ask("AT+CASTATE?") == said("+CASTATE: 0,0")
        assert await host.ask("AT+CARECV=0,100") == cme(3)
        assert await host.ask("AT+CASEND=0,1") == cme(3)
        assert await host.ask(open_(peer)) == cme(3)
        assert await host.ask("AT+CACLOSE=0") == OK
        assert await host.ask("AT+CACLOSE=0") == cme(3)
        assert await host.ask("AT+CMEE=0") == OK
        assert await host.ask("AT+CARECV=0,100") == ERROR

    with_peer(tmp_path, story)


def test_a_reset_takes_unread_data_with_it(tmp_path):
    async def story(host: Host, peer: Peer) -> None:
        peer.say(b"lost")
        await host.expect(IND)
        assert peer.writer is not None
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.writer.transport.abort()
        await host.expect(IND + CLOSED)
        assert await host.ask("AT+CARECV=0,9") == cme(3)

    with_peer(tmp_path, story)


def test_the_host_closes_and_the_peer_hears_it(tmp_path):
    async def story(host: Host, peer: Peer) -> None:
        assert await host.ask("AT+CASTATE?") == said("+CASTATE: 0,1")
        assert await host.ask("AT+CACLOSE=0") == OK
        assert await host.ask("AT+CASTATE?") == OK
        await until(lambda: peer.ended)

    with_peer(tmp_path, story)


def test_a_full_send_buffer_costs_the_payload(tmp_path):
    """Sheet 6 trap 3: 10240 bytes unless configured; with no coverage nothing drains."""

    async def story(host: Host, peer: Peer) -> None:
        assert await host.ask("AT+CASEND=0") == said("+CASEND: 10240")
        host.modem.set_coverage(None)
        for _ in range(7):
            await send(host, b"x" * 1460)
        assert await host.ask("AT+CASEND=0") == said("+CASEND: 20")
        assert await host.ask("AT+CAACK=0") == said("+CAACK: 10220,10220")
        await send(host, b"y" * 21, cme(3))
        await send(host, b"y" * 20)
        assert await host.ask("AT+CASEND=0") == said("+CASEND: 0")
        host.modem.set_coverage(Coverage())
        await until(lambda: len(peer.heard) == 10240)
        assert peer.heard.endswith(b"x" + b"y" * 20)
        await host.silence(1000)
        assert await host.ask("AT+CASEND=0") == said("+CASEND: 10240")

    with_peer(tmp_path, story)


LIMITS = {
    "CASEND of 0": "AT+CASEND=0,0",
    "CASEND over 1460": "AT+CASEND=0,1461",
    "CASEND with too little time": "AT+CASEND=0,1,99",
    "CARECV over 1460": "AT+CARECV=0,1461",
    "a cid over 12": 'AT+CAOPEN=13,0,"TCP","h",1',
    "a host over 64": f'AT+CAOPEN=1,0,"TCP","{"h" * 65}",1',
    "a buffer below 5840": 'AT+CACFG="SNDBUF",5839',
}


def test_the_limits_of_the_sheet(tmp_path):
    async def story(host: Host, peer: Peer) -> None:
        for what, command in LIMITS.items():
            assert await host.ask(command) == cme(792), what
        assert await host.ask("AT+CASEND=?") == said("+CASEND: (0-12),(1-1460),(100-10000)")
        assert await host.ask("AT+CASEND=5,1") == cme(3)
        host.send(b"AT+CASEND=0,9,1000\r")
        await host.expect(b"\r\n>")
        host.send(b"few")
        await host.expect(cme(3))
        assert await host.ask("AT+CAACK=0") == said("+CAACK: 0,0")

    with_peer(tmp_path, story)


def test_thirteen_at_once(tmp_path):
    async def story(host: Host, peer: Peer) -> None:
        for cid in range(13):
            assert await host.ask(open_(peer, cid)) == said(f"+CAOPEN: {cid},0")
        assert await host.ask("AT+CASTATE?") == said(*(f"+CASTATE: {cid},1" for cid in range(13)))

    with_peer(tmp_path, story, opened=False, speed=200)


def test_recv_mode_1_pushes(tmp_path):
    async def story(host: Host, peer: Peer) -> None:
        assert await host.ask(open_(peer, mode=",1")) == said("+CAOPEN: 0,0")
        await until(lambda: peer.writer)
        peer.say(b"a\r\nb")
        await host.expect(urc('+CAURC: "recv",0,4') + b"a\r\nb")

    with_peer(tmp_path, story, opened=False)


def test_asyncopen_says_ok_first(tmp_path):
    async def story(host: Host, peer: Peer) -> None:
        assert await host.ask('AT+CACFG="ASYNCOPEN",1') == OK
        assert await host.ask(open_(peer)) == OK
        await host.expect(urc("+CAOPEN: 0,0"))

    with_peer(tmp_path, story, opened=False)


def test_failures_to_open_have_their_numbers(tmp_path):
    """Sheet 6: 1 no context, 7 unsupported, 20 DNS, 23 refused; CDNSGIP."""

    async def story(host: Host, peer: Peer) -> None:
        asked = {
            'AT+CAOPEN=0,1,"TCP","127.0.0.1",1': 1,
            'AT+CAOPEN=0,0,"UDP","127.0.0.1",1': 7,
            'AT+CAOPEN=0,0,"TCP","no.such.invalid",1': 20,
            'AT+CAOPEN=0,0,"TCP","127.0.0.1",1': 23,
        }
        for command, result in asked.items():
            assert await host.ask(command) == said(f"+CAOPEN: 0,{result}")
        assert await host.ask("AT+CACLOSE=0") == cme(3)
        assert await host.ask('AT+CDNSGIP="localhost"') == OK
        await host.expect(urc('+CDNSGIP: 1,"localhost","127.0.0.1"'))
        assert await host.ask('AT+CDNSGIP="no.such.invalid"') == OK
        await host.expect(urc("+CDNSGIP: 0,8"))

    with_peer(tmp_path, story, opened=False)


def test_without_coverage_it_blocks_75_s_and_says_no_network(tmp_path):
    async def story(host: Host, peer: Peer) -> None:
        host.modem.set_coverage(None)
        before_ms = host.modem.now_ms
        assert await host.ask(open_(peer)) == said("+CAOPEN: 0,21")
        assert 75_000 <= host.modem.now_ms - before_ms < 90_000

    with_peer(tmp_path, story, opened=False, speed=300)


DEATHS = {
    "the network drops the context": ("pdp_drop", urc("+APP PDP: 0,DEACTIVE")),
    "the modem resets": ("reset", urc("SMS Ready")),
}


@pytest.mark.parametrize(("death", "heard"), DEATHS.values(), ids=DEATHS.keys())
def test_sockets_die_silently_and_the_peer_hears_nothing(tmp_path, death, heard):
    """Sheet 3.3 trap 7: DEACTIVE comes alone."""

    async def story(host: Host, peer: Peer) -> None:
        host.modem.fault(Fault(death))
        await host.find(heard)
        await host.silence(1000)
        assert await host.ask("ATE0;+CMEE=1;+CASTATE?") == (
            OK if b"APP" in heard else b"ATE0;+CMEE=1;+CASTATE?\r" + OK
        )
        assert await host.ask("AT+CARECV=0,1") == cme(3)
        peer.say(b"anyone?")
        await host.silence(1000)
        assert not peer.ended

    with_peer(tmp_path, story)


# TLS


def context(*names: str, **options: Any) -> Callable[[Any], ssl.SSLContext]:
    def make(tmp_path: Any) -> ssl.SSLContext:
        paths = CA.issue(*(names or ("127.0.0.1", "localhost")), **options).write(tmp_path / "server")
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*paths)
        return made

    return make


GOOD, EXPIRED = context(), context("127.0.0.1", not_after=certs.EXPIRED)
WRONG_NAME, WRONG_BOTH = context("other.example"), context("other.example", not_after=certs.EXPIRED)


def only_13(tmp_path: Any) -> ssl.SSLContext:
    made = GOOD(tmp_path)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


CLOCK, IGNORE = 'AT+CCLK="26/11/21,12:00:00+08"', 'AT+CSSLCFG="IGNORERTCTIME",0,1'
TRUST = 'AT+CASSLCFG=0,"CACERT","ca.crt"'
TLS = {
    "good": (GOOD, [TRUST, CLOCK], 0),
    "cold clock: 1980": (GOOD, [TRUST], 24),
    "cold clock ignored": (GOOD, [TRUST, IGNORE], 0),
    "expired": (EXPIRED, [TRUST, CLOCK], 24),
    "expired, but the clock is old enough": (EXPIRED, [TRUST, 'AT+CCLK="20/11/21,12:00:00+00"'], 0),
    "wrong name": (WRONG_NAME, [TRUST, CLOCK], 25),
    "wrong name and expired": (WRONG_BOTH, [TRUST, CLOCK], 26),
    "wrong name and cold": (WRONG_NAME, [TRUST], 26),
    "wrong CA": (GOOD, ['AT+CASSLCFG=0,"CACERT","other.crt"', CLOCK], 27),
    "wrong CA, clock ignored": (GOOD, ['AT+CASSLCFG=0,"CACERT","other.crt"', IGNORE], 27),
    "a CA never converted": (GOOD, ['AT+CASSLCFG=0,"CACERT","none.crt"', CLOCK], 27),
    "no CA: every server is trusted": (WRONG_BOTH, [], 0),
    "TLS 1.3 only": (only_13, [TRUST, CLOCK], 27),
    "no SSLVERSION": (GOOD, [TRUST, CLOCK, 'AT+CSSLCFG="SSLVERSION",0,0'], 27),
}


async def upload(host: Host, name: str, pem: bytes) -> None:
    assert await host.ask("AT+CFSINIT") == OK
    host.send(b'AT+CFSWFILE=3,"%s",0,%d,10000\r' % (name.encode(), len(pem)))
    await host.expect(urc("DOWNLOAD"))
    host.send(pem)
    await host.expect(OK)
    assert await host.ask("AT+CFSTERM") == OK
    assert await host.ask(f'AT+CSSLCFG="CONVERT",2,"{name}"') == OK


@pytest.mark.parametrize(("make", "commands", "result"), TLS.values(), ids=TLS.keys())
def test_a_server_is_checked_as_the_sheet_says(tmp_path, make, commands, result):
    async def story(host: Host, peer: Peer) -> None:
        if any("other.crt" in command for command in commands):
            await upload(host, "other.crt", certs.make_ca("another").pem)
        if TRUST in commands:
            await upload(host, "ca.crt", CA.pem)
        for command in (
            'AT+CSSLCFG="SSLVERSION",0,3',
            'AT+CASSLCFG=0,"SSL",1',
            'AT+CASSLCFG=0,"CRINDEX",0',
            *commands,
        ):
            assert await host.ask(command) == OK
        assert await host.ask(open_(peer)) == said(f"+CAOPEN: 0,{result}")
        if result == 0:
            await send(host, b"secret")
            await until(lambda: peer.heard == b"secret")
        else:
            assert await host.ask("AT+CACLOSE=0") == cme(3)
            assert peer.heard == b""

    with_peer(tmp_path, story, make(tmp_path), opened=False, speed=100)


def test_a_converted_certificate_survives_a_restart_and_its_original(tmp_path):
    """Sheet 4: the context does not."""

    async def story(host: Host, peer: Peer) -> None:
        await upload(host, "ca.crt", CA.pem)
        assert await host.ask('AT+CFSINIT;+CFSDFILE=3,"ca.crt";+CFSTERM') == OK
        assert await host.ask('AT+CSSLCFG="SSLVERSION",0,3;+CASSLCFG=0,"SSL",1') == OK
        assert await host.ask("AT+CASSLCFG?") == said('+CASSLCFG: 0,1,0,"","",""')
        await host.ask("AT+CREBOOT")
        await host.find(urc("SMS Ready"))
        assert (await host.ask("ATE0;+CMEE=1")).endswith(OK)
        assert await host.ask("AT+CASSLCFG?") == OK
        shown = "+CSSLCFG: 0,0," + "0x0000," * 8 + '0,1,""'
        assert await host.ask('AT+CSSLCFG="CTXINDEX",0') == said(shown)
        for command in ('AT+CSSLCFG="SSLVERSION",0,3', 'AT+CASSLCFG=0,"SSL",1', TRUST, CLOCK):
            assert await host.ask(command) == OK
        await asyncio.sleep(0.3)
        assert await host.ask("AT+CNACT=0,1") == OK
        await host.expect(re.compile(rb"\r\n\+APP PDP: 0,ACTIVE\r\n"))
        assert await host.ask(open_(peer)) == said("+CAOPEN: 0,0")

    with_peer(tmp_path, story, GOOD(tmp_path), opened=False)
