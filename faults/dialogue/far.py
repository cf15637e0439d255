"""
The world behind the modem's sockets, in memory: a broker (faults/world/net.py) and the real desk behind it.

What the desk refuses and what it breaks of is kept in `refused` and `crashes`.
"""

import asyncio
import datetime
import ssl
from typing import Any

from faults.dialogue.authority import CA_DER, CERTIFICATE, HOST
from faults.world.net import Client
from sim.modem.outside import Outside, Streams
from tests.host.fakes import BUILT_S

PORT = 8883


class _Call:
    """One connection: what the modem takes for its streams, and what the broker says things to."""

    def __init__(self, broker: Any) -> None:
        self.reader = asyncio.StreamReader(limit=4096)
        self.silent = False
        self.transport = self  # of the writer
        self._client = Client(broker, self)  # type: ignore[arg-type]
        self._over = False

    # The broker's side

    def say(self, data: bytes) -> None:
        if self.silent or self._over:
            return
        if data:
            self.reader.feed_data(data)
        else:
            self._over = True
            self.reader.feed_eof()

    # The modem's side

    def write(self, data: bytes) -> None:
        if self._over:
            raise ConnectionResetError(104, "ECONNRESET")
        self._client.hear(data)

    async def drain(self) -> None: ...

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def close(self) -> None:
        if not self._over:
            self._over = True
            self._client.end(say=False)

    abort = close

    def get_extra_info(self, name: str) -> Any:
        return CERTIFICATE if name == "peercert" else None


class Far(Outside):
    """Knows one host and one port, and trusts one authority."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def monotonic_s(self) -> float:
        return float(self._world.now.s)

    def utc(self) -> datetime.datetime:
        at_s = BUILT_S + 1000 + self._world.now.s - self._world.began_s
        return datetime.datetime.fromtimestamp(at_s, datetime.UTC)

    async def find(self, host: str, port: int) -> Any:
        if host != HOST:
            raise OSError(-2, "no such host")
        return port

    async def call(self, where: Any) -> Any:
        if where != PORT:
            raise ConnectionRefusedError(111, "ECONNREFUSED")
        return _Call(self._world.broker)

    async def plain(self, line: Any) -> Streams:
        return line.reader, line

    async def secure(self, line: Any, settings: ssl.SSLContext, sni: str) -> Streams:
        if settings.verify_mode != ssl.CERT_NONE and settings.get_ca_certs(True) != [CA_DER]:
            raise ssl.SSLError("another authority")
        return line.reader, line


class Witness:
    """What the broker and the desk tell, in the place of faults/world's judge and attacker."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.crashes: list[str] = []
        self.copies = 0  # messages that have reached the broker

    def desk_says(self, events: Any) -> None:
        self.refused += [str(event["reason"]) for event in events if event["what"] == "refused"]

    def crashed(self, error: BaseException) -> None:
        self.crashes.append(f"{type(error).__name__} at the desk: {error}")

    def said(self, payload: bytes) -> None:
        self.copies += 1

    def answered(self, answer: Any) -> None: ...

    def cti_of(self, payload: bytes) -> None: ...

    def saw_up(self, payload: bytes) -> bool:
        return False

    def saw_down(self, payload: bytes) -> bool:
        return False
