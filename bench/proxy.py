"""
The way where there is no TUN device: sim/air.py.

A proxy cannot make TCP lose bytes. It delays them as TCP's retransmissions would, which is milder: no ACK is ever lost,
and nobody sees a SYN go unanswered. Bytes are those of the stream, without headers; segments cannot be counted.
"""

import asyncio

from sim.air import Air


class ProxyLane:
    """A Lane of bench/wire.py, over a proxy."""

    segments = None

    def __init__(self, air: Air) -> None:
        self._air = air
        self.address = air.address

    @property
    def loss(self) -> float:
        return self._air.loss

    @loss.setter
    def loss(self, share: float) -> None:
        self._air.loss = share

    @property
    def bytes(self) -> int:
        return self._air.bytes_up + self._air.bytes_down

    def half_open(self) -> None:
        self._air.half_open()

    async def stop(self) -> None:
        await self._air.stop()


class Proxies:
    """A Wire of bench/wire.py, of proxies."""

    def __init__(self, latency_ms: float, seed: int) -> None:
        self._latency_ms = latency_ms
        self._seed = seed
        self._airs: list[Air] = []

    async def lane(self, port: int) -> ProxyLane:
        seed = self._seed + len(self._airs)
        air = Air(("127.0.0.1", 0), ("127.0.0.1", port), latency_ms=self._latency_ms, seed=seed)
        self._airs.append(air)
        await air.start()
        return ProxyLane(air)

    def stop(self) -> None:
        for air in self._airs:
            asyncio.get_running_loop().create_task(air.stop())
