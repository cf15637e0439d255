"""One connection of the modem: its buffers and the two tasks that carry bytes through the radio."""

import asyncio
import ssl
from collections.abc import Callable

from sim.modem.core import Core
from sim.modem.outside import Streams
from sim.modem.radio import Radio
from sim.modem.timings import DOWNLINK

CLOSED, CONNECTED = 0, 1
MAX_BYTES = 1460
_BUFFER = 10240  # bytes, SNDBUF and RCVBUF unless CACFG says else (sheet 6)
_BROKEN = (OSError, ssl.SSLError)


class Link:
    """
    received: not yet read by the host. total, unacked: of the bytes CASEND took. ended: the peer's FIN has come.

    arrived: called with bytes from the peer. gone: called when the peer's end is to be told.
    """

    def __init__(self, core: Core, radio: Radio, streams: Streams, pdp: int, push: bool) -> None:
        self.pdp, self.push = pdp, push
        self.reader, self.writer = streams
        self.state = CONNECTED
        self.armed = True  # the next bytes are worth a +CADATAIND, since the host has read to 0
        self.ended = False
        self.received = bytearray()
        self.total = self.unacked = 0
        self.arrived: Callable[[bytes], None] = self.received.extend
        self.gone: Callable[[], None] = lambda: None
        self.edrx_cycle_ms: Callable[[], float] = lambda: 0.0
        self._core, self._radio = core, radio
        self._waiting = bytearray()  # taken by CASEND, not yet with the network
        self._to_send, self._room = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [self._core.spawn(self._pump_up()), self._core.spawn(self._pump_down())]

    def halt(self) -> None:
        """Carry nothing any more. The connection itself stays as it is."""
        self.state = CLOSED
        for task in self._tasks:
            task.cancel()

    @property
    def free(self) -> int:
        """Bytes that the send buffer still takes."""
        return max(0, int(self._core.memory.get("ca_sndbuf", _BUFFER)) - self.unacked)

    def send(self, data: bytes) -> None:
        self._waiting += data
        self.total += len(data)
        self.unacked += len(data)
        self._to_send.set()

    def read(self, size: int) -> bytes:
        data = bytes(self.received[:size])
        del self.received[:size]
        self._room.set()
        return data

    async def _pump_up(self) -> None:
        # Not 0: under TLS asyncio pauses at `size >= high`, so drain() would wait with nothing left to send.
        self.writer.transport.set_write_buffer_limits(high=1, low=0)
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._waiting:
                await self._radio.uplink()
                data = bytes(self._waiting)
                self._waiting.clear()
                try:
                    self.writer.write(data)
                    await self.writer.drain()
                except _BROKEN:
                    return  # _pump_down tells
                await self._core.wait(DOWNLINK)  # of the peer's acknowledgement
                self.unacked -= len(data)

    async def _pump_down(self) -> None:
        while True:
            room = int(self._core.memory.get("ca_rcvbuf", _BUFFER)) - len(self.received)
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            try:
                data = await self.reader.read(min(room, MAX_BYTES))
            except _BROKEN:
                # A reset, unlike an orderly end, takes what was not yet read with it.
                await self._radio.downlink(self.edrx_cycle_ms())
                self.received.clear()
                break
            await self._radio.downlink(self.edrx_cycle_ms())
            if not data:
                self.ended = True
                break
            self.arrived(data)
        if not self.received:
            asyncio.get_running_loop().call_soon(self.gone)  # which halts us
