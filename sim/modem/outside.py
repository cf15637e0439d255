"""What lies behind the modem's radio: here real hosts, over this computer's sockets and OpenSSL, and its clock."""

import asyncio
import datetime
import socket
import ssl
import time
from typing import Any

Streams = tuple[Any, Any]  # a StreamReader, and of a StreamWriter what link.py uses


class Outside:
    """
    Real hosts. Another world may stand here: one in memory knows no time but its loop's.

    A host is found, then called; what that call gives is made streams, plain or with TLS. OSError and ValueError say
    that one of these does not work.
    """

    async def find(self, host: str, port: int) -> Any:
        """Return where `host` is."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return min(found, key=lambda item: item[0])  # IPv4 first

    async def call(self, where: Any) -> Any:
        """Connect; return the line to whoever answers. ConnectionRefusedError: nobody listens."""
        family, kind, protocol, _, address = where
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def plain(self, line: Any) -> Streams:
        return await asyncio.open_connection(sock=line, limit=4096)

    async def secure(self, line: Any, settings: ssl.SSLContext, sni: str) -> Streams:
        """Shake hands; the writer's extra info `peercert` is what the server showed."""
        return await asyncio.open_connection(sock=line, ssl=settings, server_hostname=sni, limit=4096)

    def utc(self) -> datetime.datetime:
        """What time the network says it is."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def hang_up(self, line: Any) -> None:
        """Let go of a line that did not become streams."""
        line.close()
