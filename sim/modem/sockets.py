"""
The sockets: CAOPEN to real hosts, the send buffer, the receive buffer, what a peer's end looks like. Sheet 6.

When the modem loses its network, its power or its context, the peer hears nothing: such connections are kept open,
untouched, until the emulator stops.
"""

import asyncio
import functools
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from sim.modem import timings
from sim.modem.core import Core, Reply, lines
from sim.modem.line import NOT_ALLOWED, AtError, info
from sim.modem.link import CLOSED, CONNECTED, Link
from sim.modem.outside import Outside, Streams
from sim.modem.params import Arg, Int, Name, Param, Word, values
from sim.modem.pdp import Pdp
from sim.modem.radio import Radio
from sim.modem.tls import ServerRefused, Tls

OK, NO_PDP, NO_MEMORY, UNSUPPORTED, NO_NAME, NO_NETWORK, REFUSED, FAILED = 0, 1, 2, 7, 20, 21, 23, 27
MAX_ID = 12
_HANDSHAKE_S = 2.0
_ID = Int(0, MAX_ID)
_SIZE = Int(5840, 29200)
_SSL_KEYS: dict[str, Param] = {
    "SSL": Int(0, 1),
    "CRINDEX": Int(0, 5),
    "PROTOCOL": Int(0, 1),
    "CACERT": Name(0, 50),
    "CERT": Name(0, 50),
    "PSKTABLE": Name(0, 50),
}
_CONFIG_KEYS: dict[str, tuple[Param, ...]] = {
    "ASYNCOPEN": (Int(0, 1),),
    "KEEPALIVE": (Int(0, 1),),
    "TCP_NODELAY": (Int(0, 1),),
    "ATOCLOSE": (Int(0, 65535),),
    "SNDBUF": (_SIZE,),
    "RCVBUF": (_SIZE,),
    "TIMEOUT": (_ID, Int(1, 60000)),
}
SSL_WORD, CONFIG_WORD = Word(*_SSL_KEYS), Word(*_CONFIG_KEYS)


class Sockets:
    """Connections 0-12. edrx_cycle_ms: asked for each time data come to an idle modem."""

    def __init__(self, core: Core, radio: Radio, pdp: Pdp, tls: Tls, outside: Outside) -> None:
        self._core, self._radio, self._pdp, self._tls = core, radio, pdp, tls
        self._outside = outside
        self._links: dict[int, Link] = {}
        self._ssl: dict[tuple[int, str], Any] = {}
        self._lost: list[asyncio.StreamWriter] = []  # of which no peer was told
        self.edrx_cycle_ms: Callable[[], float] = lambda: 0.0

    def restart(self) -> None:
        for cid in list(self._links):
            self._abandon(cid)
        self._ssl.clear()

    def dropped(self, pdp: int) -> None:
        """The context is gone: its sockets are dead, and no URC says so (sheet 3.3 trap 7)."""
        for cid, link in list(self._links.items()):
            if link.pdp == pdp:
                self._abandon(cid)

    def _abandon(self, cid: int) -> None:
        link = self._links.pop(cid)
        link.halt()
        self._lost.append(link.writer)

    def closed(self) -> None:
        """Let go of everything. The emulator stops."""
        self.restart()
        for writer in self._lost:
            writer.transport.abort()
        self._lost.clear()

    # Commands

    def caopen(self, cid: int, pdp: int, kind: str, host: str, port: int, push: int | None) -> Any:
        if cid in self._links:
            raise AtError(NOT_ALLOWED)
        work = functools.partial(self._open, cid, pdp, kind, host, port, bool(push))
        if self._core.memory.get("ca_asyncopen", 0):
            return Reply(then=lambda: self._core.spawn(self._tell(cid, work)))
        return self._reply(cid, work)

    async def _reply(self, cid: int, work: Any) -> Reply:
        return lines(f"+CAOPEN: {cid},{await work()}")

    async def _tell(self, cid: int, work: Any) -> None:
        self._core.urc(f"+CAOPEN: {cid},{await work()}")

    async def _open(self, cid: int, pdp: int, kind: str, host: str, port: int, push: bool) -> int:
        mute = self._core.faults.take(("caopen_mute",), "+CAOPEN")
        if mute:
            await self._core.wait(mute.number("ms", int(timings.CAOPEN_MAX.ms)))
            return NO_MEMORY
        if not self._pdp.active(pdp):
            return NO_PDP
        if kind == "UDP":
            return UNSUPPORTED
        limit_s = timings.CAOPEN_MAX.ms / 1000 / self._core.speed
        try:
            async with asyncio.timeout(limit_s):
                await self._radio.flow.wait()
        except TimeoutError:
            return NO_NETWORK
        try:
            # The world outside is not sped up.
            async with asyncio.timeout(max(limit_s, _HANDSHAKE_S)):
                streams = await self._connect(cid, host, port)
        except ServerRefused as refused:
            return refused.result
        except TimeoutError:
            return FAILED
        if not self._pdp.active(pdp) or cid in self._links:
            self._lost.append(streams[1])
            return FAILED
        link = self._links[cid] = Link(self._core, self._radio, streams, pdp, push)
        link.arrived = lambda data: self._arrived(cid, data)
        link.gone = lambda: self._end(cid, link)
        link.edrx_cycle_ms = lambda: self.edrx_cycle_ms()
        link.start()
        return OK

    async def _connect(self, cid: int, host: str, port: int) -> Streams:
        outside = self._outside
        await self._radio.uplink()
        if not _is_address(host):
            await self._core.wait(timings.DNS)
        try:
            where = await outside.find(host, port)
        except (OSError, ValueError):
            raise ServerRefused(NO_NAME)
        await self._core.wait(timings.TCP)
        try:
            line = await outside.call(where)
        except ConnectionRefusedError:
            raise ServerRefused(REFUSED)
        except OSError:
            raise ServerRefused(FAILED)
        try:
            if not self._ssl.get((cid, "SSL"), 0):
                return await outside.plain(line)
            await self._core.wait(timings.TLS)
            context, ca = self._ssl.get((cid, "CRINDEX"), 0), self._ssl.get((cid, "CACERT"), "")
            return await self._tls.connect(line, host, context, ca)
        except OSError:
            outside.hang_up(line)
            raise ServerRefused(FAILED)
        except BaseException:
            outside.hang_up(line)
            raise

    async def casend(self, cid: int, size: int | None, ms: int | None) -> Reply:
        """AT+CASEND: OK means that the bytes are in the buffer. A full one costs the payload and says ERROR [T23]."""
        link = self._link(cid, CONNECTED)
        if size is None:
            return lines(f"+CASEND: {link.free}")
        data = await self._core.payload("+CASEND", b"\r\n>", size, ms or 5000, echo=True)
        if self._core.faults.take(("close_while_sending",), "+CASEND"):
            link.received.clear()
            self._end(cid, link)
        if len(data) < size or link.state != CONNECTED or size > link.free:
            raise AtError(NOT_ALLOWED)
        link.send(data)
        return Reply()

    def carecv(self, cid: int, size: int) -> Reply:
        link = self._link(cid, CONNECTED)
        data = link.read(size)
        if not data:
            link.armed = True
            then = (lambda: self._end(cid, link)) if link.ended else None
            return Reply(info("+CARECV: 0"), then=then)
        return Reply(info(b"+CARECV: %d,%s" % (len(data), data)))

    def caack(self, cid: int) -> Reply:
        link = self._link(cid)
        return lines(f"+CAACK: {link.total},{link.unacked}")

    def castate(self) -> Reply:
        return (
            lines(*states)
            if (states := [f"+CASTATE: {c},{link.state}" for c, link in self._each()])
            else Reply()
        )

    def caclose(self, cid: int) -> None:
        link = self._link(cid)
        link.halt()
        del self._links[cid]
        link.writer.close()

    def casslcfg(self, cid: int, key: str, rest: list[Arg]) -> None:
        (self._ssl[cid, key],) = values((_SSL_KEYS[key],), rest)

    def casslcfg_read(self) -> Reply:
        said = []
        for cid in sorted({cid for cid, _ in self._ssl}):
            on, context = (self._ssl.get((cid, key), 0) for key in ("SSL", "CRINDEX"))
            names = ",".join(f'"{self._ssl.get((cid, key), "")}"' for key in ("CACERT", "CERT", "PSKTABLE"))
            said.append(f"+CASSLCFG: {cid},{on},{context},{names}")
        return lines(*said) if said else Reply()

    def cacfg(self, key: str, rest: list[Arg]) -> None:
        *_, value = values(_CONFIG_KEYS[key], rest)
        self._core.memory.set(f"ca_{key.lower()}", value)

    async def cdnsgip(self, host: str, _retries: int | None, _ms: int | None) -> Reply:
        return Reply(then=lambda: self._core.spawn(self._resolve(host)))

    async def _resolve(self, host: str) -> None:
        await self._core.wait(timings.DNS)
        try:
            if not any(self._pdp.active(index) for index in range(4)):
                raise OSError
            found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
        except (OSError, ValueError):
            self._core.urc("+CDNSGIP: 0,8")
            return
        self._core.urc(f'+CDNSGIP: 1,"{host}","{found[0][4][0]}"')

    # Inside

    def _each(self) -> list[tuple[int, Link]]:
        return sorted(self._links.items())

    def _link(self, cid: int, state: int | None = None) -> Link:
        link = self._links.get(cid)
        if link is None or (state is not None and link.state != state):
            raise AtError(NOT_ALLOWED)
        return link

    def _end(self, cid: int, link: Link) -> None:
        """Tell the host of the peer's end, in the order of T16."""
        if link.state == CONNECTED:
            link.halt()
            link.writer.transport.abort()
            self._core.urc(f"+CADATAIND: {cid}")
            self._core.urc(f"+CASTATE: {cid},{CLOSED}")

    def _arrived(self, cid: int, data: bytes) -> None:
        link = self._links[cid]
        if link.push:
            self._core.push(f'+CAURC: "recv",{cid},{len(data)}', data)
            return
        link.received += data
        if link.armed:
            link.armed = False
            if not self._core.faults.take(("cadataind_lost",)):
                self._core.urc(f"+CADATAIND: {cid}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
