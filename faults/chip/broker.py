"""
A place where Wi-Fi leads to one broker and the desk behind it: in memory, in the tag's own loop.

Only the right networks, address, name and password get there; a Violation says what was wrong, in the link's log.
"""

import asyncio

import stand_ins
from files import Violation


class Stream:
    """The broker's end of one connection, in memory; behind it the desk that answers with level 1."""

    warning = ""

    def __init__(self, w):
        self._w = w
        self._out = b""
        self._in = b""
        self._news = asyncio.Event()

    def write(self, data):
        self._in += bytes(data)

    async def drain(self, deadline_ms):
        while len(self._in) > 1:
            size, shift, at = 0, 0, 1
            while True:
                size |= (self._in[at] & 0x7F) << shift
                shift += 7
                at += 1
                if self._in[at - 1] < 0x80:
                    break
            packet, self._in = self._in[: at + size], self._in[at + size :]
            self._take(packet[0] >> 4, packet[at:])
        self._news.set()

    async def read(self, size):
        while not self._out:
            await self._news.wait()
            self._news.clear()
        data, self._out = self._out, b""
        return data

    async def close(self):
        pass

    def _take(self, kind, body):
        me = self._w.me
        if kind == 1:
            if me.tag.encode() not in body or me.password.encode() not in body:
                raise Violation("another name or password")
            self._out += b"\x20\x02\0\0"
        elif kind == 8:
            self._out += b"\x90\x03" + body[:2] + b"\0"
        elif kind == 12:
            self._out += b"\xd0\0"
        elif kind == 3:
            at = 2 + (body[0] << 8 | body[1])
            self._out += b"\x40\x02" + body[at : at + 2]
            self._hear(body[:at], body[at + 2 :])

    def _hear(self, topic, token):
        w = self._w
        claims = w.open(token)
        if topic.endswith(b"alert"):
            w.heard[claims[7]] = claims
            said = {0: 32, 1: claims[7], 3: 1, 9: len(w.heard)}
        else:
            said = {0: 34, 1: claims[7]}
        down = w.ack(token, said)
        topic = b"obereg/%s/down" % w.me.tag.encode()
        body = bytes((0, len(topic))) + topic + down
        self._out += b"\x30" + bytes((len(body) & 0x7F | 0x80, len(body) >> 7)) + body


class Wifi:
    """Stands where wifi.Wifi does; a place where only the right settings lead to the broker."""

    name = "wifi"
    attach_ms = open_ms = 3000

    def __init__(self, station, networks, context, name, log, on_utc):
        self._name = name
        if [["home", "12345678"], ["school", "secret-of-school"]] != networks:
            raise Violation("other networks: %r" % networks)

    async def attach(self, deadline_ms):
        pass

    async def open(self, host, port, deadline_ms):
        if (host, port, self._name) != ("a.example", 8883, "a.example"):
            raise Violation("another broker: %s:%d" % (host, port))
        return Stream(stand_ins.world)
