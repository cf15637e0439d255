"""
A wire that loses segments: real TCP of this computer through a TUN device, no proxy.

The near and the far end of a lane live on one computer, which would not send its own packets out. So the tag calls
10.9.N.2; what it sends leaves by the device, has its two addresses exchanged here, and comes back as if 10.9.N.2 had
called the broker at 10.9.N.1. Exchanging addresses changes no checksum. Each packet may be lost, each way on its own,
is late by the latency, and is counted as it leaves its sender.

It needs Linux, /dev/net/tun and the right to set up a network: `python -m bench` runs itself in a network namespace of
its own for that, so nothing of the computer's own network is touched.
"""

import asyncio
import fcntl
import os
import random
import struct
import subprocess

from sim.common import SimError

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_NAME = "obereg0"
_MTU = 1500
_TCP = 6


class WireError(SimError):
    """The computer gives us no TUN device."""


class Lane:
    """
    One way from a tag to a broker. `address` is what the tag calls.

    loss: share of packets lost, each way. bytes and segments: sent by both sides, lost ones included; the bytes are
    those of IP packets.
    """

    def __init__(self, wire: "Wire", number: int, port: int, seed: int) -> None:
        self.address = (f"10.9.{number}.2", port)
        self.loss = 0.0
        self.bytes = self.segments = self.lost = 0
        self._wire = wire
        self._random = random.Random(seed)
        self._seen: set[int] = set()
        self._dead: set[int] = set()

    def half_open(self) -> None:
        """From now on the connections of now lose everything, for ever, and nobody is told; new ones pass."""
        self._dead |= self._seen

    async def stop(self) -> None:
        """Nothing to end: the device is the wire's."""

    def _carry(self, packet: bytes) -> bool:
        """Count a packet; return whether it arrives."""
        head = (packet[0] & 15) * 4
        source, target = struct.unpack_from("!HH", packet, head)
        client = source if target == self.address[1] else target
        self._seen.add(client)
        self.bytes += len(packet)
        self.segments += 1
        if client in self._dead or self._random.random() < self.loss:
            self.lost += 1
            return False
        return True


class Wire:
    """The device and its lanes. It lives as long as this process."""

    def __init__(self, latency_ms: float, seed: int) -> None:
        self._latency_s = latency_ms / 1000
        self._seed = seed
        self._lanes: dict[int, Lane] = {}
        try:
            self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            wanted = struct.pack("16sH22x", _NAME.encode(), _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(self._device, _TUNSETIFF, wanted)
        except OSError as error:
            raise WireError(f"no TUN device: {error.strerror}. Say --way proxy for the slower, milder proxy")
        _ip("link", "set", "lo", "up")
        _ip("link", "set", _NAME, "mtu", str(_MTU), "up")
        asyncio.get_running_loop().add_reader(self._device, self._read)

    async def lane(self, port: int) -> Lane:
        """Return a new lane to the broker that listens at `port` on all addresses."""
        number = len(self._lanes) + 1
        _ip("address", "add", f"10.9.{number}.1/24", "dev", _NAME)
        lane = self._lanes[number] = Lane(self, number, port, self._seed + number)
        return lane

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._device)
        os.close(self._device)
        self._device = -1

    def _read(self) -> None:
        while True:
            try:
                packet = os.read(self._device, _MTU + 100)
            except BlockingIOError:
                return
            lane = self._lanes.get(packet[18]) if packet[0] >> 4 == 4 and packet[9] == _TCP else None
            if lane and lane._carry(packet):
                turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                asyncio.get_running_loop().call_later(self._latency_s, self._write, turned)

    def _write(self, packet: bytes) -> None:
        if self._device >= 0:
            os.write(self._device, packet)


def _ip(*words: str) -> None:
    try:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=10)
    except FileNotFoundError:
        raise WireError("there is no `ip` (package iproute2). Say --way proxy, or install it")
    except subprocess.CalledProcessError as error:
        raise WireError(f"ip {' '.join(words)}: {error.stderr.strip()}")
