"""
A bearer whose streams end in a small MQTT broker, all in memory and in virtual time.

The stream drains as MicroPython's does; the broker parses what comes with its own code and can be mute, refuse, drop,
delay or go half open.
"""

import asyncio
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from tests.host.fakes import Now

# -------------------------------------------------------------------------------------------------------- bearer


class FakeStream:
    """A stream of lib/wifi.py whose other end is a LoopBroker. `writes` holds (at_s, bytes) as they were written."""

    def __init__(self, bearer: "FakeBearer") -> None:
        self.bearer = bearer
        self._out = b""
        self._in = bytearray()
        self._news = asyncio.Event()
        self._eof = False
        self.writes: list[tuple[float, bytes]] = []
        self.drained = b""
        self.closed = False
        self.warning: str | None = None  # what is wrong although it is open
        self.takes = True  # False: the send buffer is full, and stays so
        self.error: Exception | None = None  # what a write raises
        self.end = Connection(bearer.broker, self)

    def write(self, data: bytes) -> None:
        if self.closed:
            raise OSError(9, "EBADF")
        if self.error:
            raise self.error
        self._out += data
        self.writes.append((self.bearer.broker.now.s, data))

    async def drain(self, deadline_ms: int) -> None:
        await asyncio.wait_for(self._drain(), deadline_ms / 1000)

    async def _drain(self) -> None:
        # As on MicroPython: while one task drains, the buffer stands, and a second task sends it once more.
        data = self._out
        await asyncio.sleep(0.01)
        if not self.takes:
            await asyncio.Event().wait()
        if self.closed:
            raise OSError(9, "EBADF")
        self._out = b""
        self.drained += data
        self.end.deliver(data)

    async def read(self, size: int) -> bytes:
        while not self._in and not self._eof:
            self._news.clear()
            await self._news.wait()
        data = bytes(self._in[:size])
        del self._in[:size]
        return data

    async def close(self) -> None:
        self.closed = True
        self.end.open = False
        await asyncio.sleep(0)
        self.bearer.log.append((self.bearer.broker.now.s, "close", self))

    def arrive(self, data: bytes) -> None:
        """Bytes from the broker; none: its FIN."""
        self._in += data
        self._eof = self._eof or not data
        self._news.set()


class FakeBearer:
    """
    A bearer over `broker`. Attaching takes `attach_s`, opening `open_s` (None: it never returns); `error` is what
    either raises. `log` holds (at_s, "attach" | "open" | "close", stream), `streams` all that were opened, and
    `most_open` (`most_attaching`) how many were open (attaching) at one time.
    """

    attach_ms = 20000
    open_ms = 60000

    def __init__(self, broker: "LoopBroker", name: str = "fake") -> None:
        self.broker = broker
        self.name = name
        self.attach_s: float | None = 0.0
        self.open_s: float | None = 0.02
        self.attach_error: Exception | None = None
        self.open_error: Exception | None = None
        self.log: list[tuple[float, str, Any]] = []
        self.streams: list[FakeStream] = []
        self.most_open = 0
        self.attaching = self.most_attaching = 0
        self.prepare: Callable[[FakeStream], None] = lambda stream: None

    async def attach(self, deadline_ms: int) -> None:
        self.log.append((self.broker.now.s, "attach", None))
        self.attaching += 1
        self.most_attaching = max(self.most_attaching, self.attaching)
        try:
            await self._take(self.attach_s, self.attach_error)
        finally:
            self.attaching -= 1

    async def open(self, host: str, port: int, deadline_ms: int) -> FakeStream:
        self.log.append((self.broker.now.s, "open", None))
        await self._take(self.open_s, self.open_error)
        stream = FakeStream(self)
        self.prepare(stream)
        self.streams.append(stream)
        self.most_open = max(self.most_open, sum(not stream.closed for stream in self.streams))
        return stream

    def times(self, what: str) -> list[float]:
        """When "attach", "open" or "close" happened, in s."""
        return [at_s for at_s, event, _ in self.log if event == what]

    @staticmethod
    async def _take(takes_s: float | None, error: Exception | None) -> None:
        if takes_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(takes_s)
        if error:
            raise error


# -------------------------------------------------------------------------------------------------------- broker

Published = namedtuple("Published", ("at_s", "connection", "topic", "packet_id", "payload", "flags"))


class Connection:
    """The broker's end of one stream."""

    def __init__(self, broker: "LoopBroker", stream: FakeStream) -> None:
        self._broker = broker
        self._stream = stream
        self._buffer = b""
        self._up: list[bytes] = []  # on the way to the broker
        self._down: list[bytes] = []
        self.open = True
        self.half_open = False  # both ends believe in it, and nothing gets through
        self.client: dict[str, Any] | None = None  # what its CONNECT said
        self.subscribed: list[str] = []
        self.pings: list[float] = []
        broker.connections.append(self)

    @property
    def bearer(self) -> FakeBearer:
        return self._stream.bearer

    def deliver(self, data: bytes) -> None:
        """Bytes that leave the tag."""
        self._up.append(data)
        asyncio.get_running_loop().call_later(self._broker.latency_s, self._hear)

    def say(self, data: bytes) -> None:
        """Bytes that leave the broker; none: it closes."""
        if self.open:
            self._down.append(data)
            asyncio.get_running_loop().call_later(self._broker.latency_s, self._arrive)
            self.open = self.open and bool(data)

    def publish(self, topic: str, payload: bytes, packet_id: int = 7) -> None:
        body = len(topic).to_bytes(2, "big") + topic.encode() + packet_id.to_bytes(2, "big") + payload
        size = len(body)
        self.say(b"\x32" + (bytes((size & 127 | 128, size >> 7)) if size > 127 else bytes((size,))) + body)

    def _arrive(self) -> None:
        data = self._down.pop(0)
        if not self.half_open:
            self._stream.arrive(data)

    def _hear(self) -> None:
        data = self._up.pop(0)
        if self.half_open or not self.open:
            return
        self._buffer += data
        while self.open and (packet := self._packet()):
            self._take(*packet)

    def _packet(self) -> tuple[int, bytes] | None:
        size = shift = 0
        for at in range(1, len(self._buffer)):
            size |= (self._buffer[at] & 127) << shift
            shift += 7
            if self._buffer[at] < 128:
                break
        else:
            return None
        head, body = self._buffer[0], self._buffer[at + 1 : at + 1 + size]
        if len(body) < size:
            return None
        self._buffer = self._buffer[at + 1 + size :]
        return head, body

    def _take(self, head: int, body: bytes) -> None:
        broker = self._broker
        kind = head & 0xF0
        if kind == 0x10:
            self._connect(body)
        elif kind == 0x80:
            topic, rest = _text(body[2:])
            self.subscribed.append(topic)
            if not broker.mute:
                self.say(b"\x90\x03" + body[:2] + rest[:1])
        elif kind == 0x30:
            topic, rest = _text(body)
            published = Published(
                broker.now.s, self, topic, int.from_bytes(rest[:2], "big"), rest[2:], head & 15
            )
            broker.published.append(published)
            if broker.pubacks and not broker.mute:
                self.say(b"\x40\x02" + rest[:2])
            broker.on_publish(published)
        elif kind == 0xC0:
            self.pings.append(broker.now.s)
            if not broker.mute:
                self.say(b"\xd0\x00")
        elif kind == 0x40:
            broker.pubacked.append(int.from_bytes(body, "big"))

    def _connect(self, body: bytes) -> None:
        broker = self._broker
        texts = []
        rest = body[10:]
        while rest:
            size = 2 + int.from_bytes(rest[:2], "big")
            texts.append(rest[2:size])
            rest = rest[size:]
        names = ("client_id", "will_topic", "will", "user", "password")
        self.client = dict(zip(names, texts, strict=True), flags=body[7], keep_alive_s=body[8] << 8 | body[9])
        if broker.mute:
            return
        self.say(b"\x20\x02\x00" + bytes((broker.connack,)))
        if broker.connack:
            # MQTT 3.1.1, section 3.1.4: what came with a refused CONNECT is not processed.
            self.say(b"")
            return
        for other in broker.connections:
            if other is not self and other.open and other.client and other.client["client_id"] == texts[0]:
                other.say(b"")  # the same client id: the older connection goes


def _text(data: bytes) -> tuple[str, bytes]:
    size = 2 + int.from_bytes(data[:2], "big")
    return data[2:size].decode(), data[size:]


class LoopBroker:
    """
    The broker's end of MQTT 3.1.1. `connack`: the code it answers; `mute`: it answers nothing; `pubacks`: whether it
    confirms; `latency_s` one way. `on_publish(published)` is the desk behind it.
    """

    def __init__(self, now: Now) -> None:
        self.now = now
        self.connack = 0
        self.mute = False
        self.pubacks = True
        self.latency_s = 0.05
        self.on_publish: Callable[[Published], None] = lambda published: None
        self.connections: list[Connection] = []
        self.published: list[Published] = []
        self.pubacked: list[int] = []

    def payloads(self, topic_end: str = "alert") -> list[bytes]:
        """What was published to .../up/`topic_end`, in order."""
        return [published.payload for published in self.published if published.topic.endswith(topic_end)]
