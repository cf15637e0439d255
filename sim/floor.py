"""
The floor: how fast the same bytes reach the same desk over the same link when nothing of ours is in the way.

A scripted minimal dialogue on a socket: CONNECT, SUBSCRIBE, wait; then one PUBLISH, and the clock runs until the desk
says that it has answered. It is measured in the same run as the tag, so a busy computer slows both. Over the modem:
sim/modem_floor.py.
"""

import asyncio
import ssl
import struct
import time

_TIMEOUT_S = 20.0


def _text(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _packet(first: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while rest > 0x7F:
        length += bytes([rest & 0x7F | 0x80])
        rest >>= 7
    return bytes([first]) + length + bytes([rest]) + body


def connect(tag: str, password: str) -> bytes:
    """Return CONNECT as `tag` and SUBSCRIBE to what is said to it: OASIS MQTT 3.1.1 sections 3.1 and 3.8."""
    body = _text(b"MQTT") + b"\x04\xc2" + struct.pack("!H", 60)
    body += _text(tag.encode()) + _text(tag.encode()) + _text(password.encode())
    return _packet(0x10, body) + _packet(0x82, b"\0\x01" + _text(f"obereg/{tag}/down".encode()) + b"\x01")


def publish(tag: str, packet_id: int, token: bytes) -> bytes:
    """Return PUBLISH of `token` at QoS 1, as an alert of `tag`: section 3.3."""
    return _packet(0x32, _text(f"obereg/{tag}/up/alert".encode()) + struct.pack("!H", packet_id) + token)


class Caller:
    """A living MQTT session of the tag's, made by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tag: str) -> None:
        self._reader = reader
        self._writer = writer
        self._tag = tag
        self._packet_id = 1

    @classmethod
    async def open(
        cls, address: tuple[str, int], context: ssl.SSLContext | None, name: str, tag: str, password: str
    ) -> "Caller":
        """Connect as `tag`, subscribe, wait for both answers. TimeoutError or OSError when that fails."""
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                *address, ssl=context, server_hostname=name if context else None
            )
            caller = cls(reader, writer, tag)
            writer.write(connect(tag, password))
            connack = await reader.readexactly(4)
            if connack[3]:
                raise OSError(f"the broker refuses the scripted caller: CONNACK {connack[3]}")
            await reader.readexactly(5)
            return caller

    async def publish(self, token: bytes) -> float:
        """Say `token` at QoS 1; return when it was written, ms on the clock of time.monotonic."""
        self._packet_id += 1
        packet = publish(self._tag, self._packet_id, token)
        began_ms = time.monotonic() * 1000
        self._writer.write(packet)
        await self._writer.drain()
        return began_ms

    async def close(self) -> None:
        self._writer.write(b"\xe0\0")
        self._writer.close()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass
