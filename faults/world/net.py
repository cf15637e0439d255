"""
The way between tag and desk: two bearers over bad air, and a broker that forgets.

TCP loses no bytes: what the air loses arrives late, or its connection falls silent at both ends (half open). Messages
are lost by the broker, which has said PUBACK by then.
"""

import asyncio
from typing import Any

from faults.world.flash import PowerCut

_RTO_S = 0.5
_RTO_MAX_S = 20.0


class Air:
    """What lies between one bearer and the broker. `loss`: share of segments; `stalled`: nothing more is taken."""

    def __init__(self, dice: Any) -> None:
        self._dice = dice
        self.covered = True
        self.stalled = False
        self.loss = 0.0
        self.delay_s = (0.02, 0.1)
        self.attach_s = 1.0

    def heal(self) -> None:
        self.covered, self.stalled, self.loss = True, False, 0.0
        self.delay_s, self.attach_s = (0.02, 0.1), 1.0

    def takes_s(self) -> float | None:
        """How long a segment is on its way; None: its connection has died of it."""
        takes_s = self._dice.uniform(*self.delay_s)
        rto_s = _RTO_S
        while self._dice.random() < self.loss:
            takes_s += rto_s
            rto_s *= 2
            if rto_s > _RTO_MAX_S:
                return None
        return takes_s


class Stream:
    """The tag's end of a connection, as link.py expects it, and the connection itself."""

    warning = None

    def __init__(self, bearer: "Bearer", broker: "Broker") -> None:
        self._bearer = bearer
        self._broker = broker
        self._out = b""
        self._in = b""
        self._eof = False
        self._news = asyncio.Event()
        self._up_at_s = self._down_at_s = 0.0
        self.silent = False  # half open: both ends believe in it
        self.closed = False
        self.peer = Client(broker, self)

    # The tag's side

    def write(self, data: bytes) -> None:
        if self.closed:
            raise OSError(9, "EBADF")
        self._bearer.power.draw(lambda: None)
        self._out += data

    async def drain(self, deadline_ms: int) -> None:
        if self._bearer.air.stalled:
            await asyncio.sleep(deadline_ms / 1000)
            raise TimeoutError
        data, self._out = self._out, b""
        await asyncio.sleep(0)
        if not self._bearer.power.on:
            raise PowerCut
        self._up_at_s = self._send(data, self._up_at_s, self.peer.hear)

    async def read(self, size: int) -> bytes:
        while not self._in and not self._eof:
            self._news.clear()
            await self._news.wait()
        data, self._in = self._in[:size], self._in[size:]
        return data

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self._bearer.power.on:
                self._up_at_s = self._send(b"", self._up_at_s, self.peer.hear)

    def abandon(self) -> None:
        """The tag has lost its power: it says nothing more, and nobody knows."""
        self.silent = self.closed = True

    # The broker's side

    def say(self, data: bytes) -> None:
        """Bytes from the broker; none: it closes."""
        self._down_at_s = self._send(data, self._down_at_s, self._arrive)

    def _arrive(self, data: bytes) -> None:
        if not self.closed:
            self._in += data
            self._eof = self._eof or not data
            self._news.set()

    def _send(self, data: bytes, after_s: float, hear: Any) -> float:
        air = self._bearer.air
        takes_s = air.takes_s()
        if takes_s is None or not air.covered:
            self.silent = True
        if self.silent:
            return after_s
        loop = asyncio.get_running_loop()
        at_s = max(after_s, loop.time() + (takes_s or 0.0))
        loop.call_at(at_s, self._hand, hear, data)
        return at_s

    def _hand(self, hear: Any, data: bytes) -> None:
        if not self.silent:
            hear(data)


class Bearer:
    """As link.py expects it."""

    def __init__(self, name: str, world: Any, attach_ms: int, open_ms: int) -> None:
        self.name = name
        self.attach_ms = attach_ms
        self.open_ms = open_ms
        self.air = Air(world.dice)
        self._world = world

    @property
    def power(self) -> Any:
        return self._world.body.power

    async def attach(self, deadline_ms: int) -> None:
        if not self.air.covered:
            await asyncio.sleep(min(self.air.attach_s * 10, deadline_ms / 1000))
            raise OSError("no coverage")
        await asyncio.sleep(self.air.attach_s)

    async def open(self, host: str, port: int, deadline_ms: int) -> Stream:
        broker = self._world.broker
        takes_s = self.air.takes_s()
        if takes_s is None or self.air.stalled or not self.air.covered:
            await asyncio.sleep(deadline_ms / 1000)
            raise OSError(110, "ETIMEDOUT")
        await asyncio.sleep(2 * takes_s)
        if not broker.up:
            raise OSError(111, "ECONNREFUSED")
        stream = Stream(self, broker)
        self._world.body.streams.append(stream)
        return stream


class Client:
    """The broker's end of one connection: MQTT 3.1.1 as a broker speaks it."""

    def __init__(self, broker: "Broker", stream: Stream) -> None:
        self._broker = broker
        self._stream = stream
        self._buffer = b""
        self.name = b""
        self.will: tuple[str, bytes] | None = None
        self.topics: list[str] = []
        self.open = True

    def hear(self, data: bytes) -> None:
        if not data:
            self.end()
        self._buffer += data
        try:
            while self.open and (packet := self._packet()):
                self._take(*packet)
        except ValueError:
            self.end()  # that was no MQTT

    def publish(self, topic: str, payload: bytes) -> None:
        body = _text(topic.encode()) + b"\0\7" + payload
        self._stream.say(b"\x32" + _length(len(body)) + body)

    def end(self, say: bool = True, will: bool = True) -> None:
        """The broker is done with it; `will`: it did not say goodbye."""
        if self.open:
            self.open = False
            if say:
                self._stream.say(b"")
            self._broker.ended(self, self.will if will else None)

    def silence(self) -> None:
        self.open = False
        self._stream.silent = True

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
        kind = head & 0xF0
        if kind == 0x10:
            self.name, topic, will, *_ = _texts(body[10:])
            self.will = topic.decode(), will
            code = self._broker.connack
            self._stream.say(b"\x20\x02\x00" + bytes((code,)))
            if code:
                self.end(will=False)
            else:
                self._broker.connected(self)
        elif kind == 0x80:
            size = int.from_bytes(body[2:4], "big")
            self.topics.append(body[4 : 4 + size].decode())
            self._stream.say(b"\x90\x03" + body[:2] + b"\x01")
        elif kind == 0x30:
            size = 2 + int.from_bytes(body[:2], "big")
            self._stream.say(b"\x40\x02" + body[size : size + 2])
            self._broker.published(body[2:size].decode(), body[size + 2 :])
        elif kind == 0xC0:
            self._stream.say(b"\xd0\x00")
        elif kind == 0xE0:
            self.end(say=False, will=False)


class Broker:
    """`lose_up`, `lose_down`, `twice`: shares of messages; `delay_s`: of one message to or from the desk."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._clients: list[Client] = []
        self._life = 0
        self.up = True
        self.heal()

    def heal(self) -> None:
        self.connack = 0
        self.lose_up = self.lose_down = self.twice = 0.0
        self.delay_s = (0.001, 0.01)

    def clients(self) -> list[Client]:
        return list(self._clients)

    def kill(self, silently: bool) -> None:
        """Nothing of what it held is left; `silently`: the tag is not told (its host is gone)."""
        self.up = False
        self._life += 1
        clients, self._clients = self._clients, []
        for client in clients:
            client.will = None
            if silently:
                client.silence()
            else:
                client.end()

    def connected(self, client: Client) -> None:
        for other in list(self._clients):
            if other.name == client.name:
                other.end()
        self._clients.append(client)

    def ended(self, client: Client, will: tuple[str, bytes] | None) -> None:
        if client in self._clients:
            self._clients.remove(client)
            if will:
                self._from_tag(*will)

    def published(self, topic: str, payload: bytes) -> None:
        """From the tag."""
        self._world.judge.said(payload)
        self._from_tag(topic, payload)

    def _from_tag(self, topic: str, payload: bytes) -> None:
        if not self._world.attacker.saw_up(payload):
            self._carry(self.lose_up, self.to_desk, topic, payload)

    def from_desk(self, topic: str, payload: bytes) -> bool:
        """From the desk; False: there is no broker to take it."""
        if not self.up:
            return False
        self._world.attacker.saw_down(payload)
        self._carry(self.lose_down, self.to_tag, topic, payload)
        return True

    def to_desk(self, topic: str, payload: bytes) -> None:
        self._world.office.hear(topic, payload)

    def to_tag(self, topic: str, payload: bytes) -> None:
        for client in self._clients:
            if topic in client.topics:
                client.publish(topic, payload)

    def _carry(self, lose: float, hand: Any, topic: str, payload: bytes) -> None:
        dice = self._world.dice
        if not self.up or dice.random() < lose:
            return
        for _ in range(2 if dice.random() < self.twice else 1):
            asyncio.get_running_loop().call_later(
                dice.uniform(*self.delay_s), self._hand, self._life, hand, topic, payload
            )

    def _hand(self, life: int, hand: Any, topic: str, payload: bytes) -> None:
        if life == self._life:
            hand(topic, payload)


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _texts(data: bytes) -> list[bytes]:
    texts = []
    while data:
        size = 2 + int.from_bytes(data[:2], "big")
        texts.append(data[2:size])
        data = data[size:]
    return texts


def _length(size: int) -> bytes:
    return bytes((size & 127 | 128, size >> 7)) if size > 127 else bytes((size,))
