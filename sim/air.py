"""
The way between the tag and the broker: a TCP proxy with delay, and failures that are switched at run time.

What is delayed is not reordered. What is in flight while the air is silent arrives when it is up again, as
TCP itself would deliver it; what is in flight at a reset is lost and counted. A proxy cannot make TCP lose bytes:
`loss` delays them as retransmissions would.

    python -m sim air --listen 127.0.0.1:1884 --target 127.0.0.1:1883 --latency-ms 150
"""

import argparse
import asyncio
import random
import socket
import struct

from sim.common import SimError, listen_problem, parse_address

_CHUNK = 16 * 1024
_IN_FLIGHT = 64  # chunks per direction; the sender is slowed beyond
MODES = ("refuse", "blackhole", "reset")
# Linux: the first retransmission of data and of a SYN; each further one waits twice as long, up to the longest.
_RTO_S, _SYN_RTO_S, _LONGEST_RTO_S = 0.2, 1.0, 120.0
_MOST_REPEATS = 15


class AirError(SimError):
    """An address where the proxy cannot listen, or a mode that does not exist."""


class Air:
    """
    The proxy. latency_ms is one way; rate is bytes per second and direction, None = without limit.

    loss is the share of segments that the air would lose; `seed` makes it the same again. All three may be
    changed at run time. Counters: connections, refused (by us or by the target), bytes_up (to the target), bytes_down,
    lost (bytes).
    """

    def __init__(
        self,
        listen: tuple[str, int],
        target: tuple[str, int],
        *,
        latency_ms: float = 0.0,
        rate: float | None = None,
        loss: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self.address = listen
        self.target = target
        self.latency_ms = latency_ms
        self.rate = rate
        self.loss = loss
        self._random = random.Random(seed)
        self.connections = 0
        self.refused = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.lost = 0
        self.mode = "up"
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._links: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._deaf: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; port 0 takes a free one, `address` says which. AirError when it cannot."""
        try:
            self._server = await asyncio.start_server(self._accept, *self.address)
        except OSError as error:
            raise AirError(listen_problem(*self.address, error))
        self.address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Close the listener and every connection."""
        await self._close_server()
        await self._end_links()

    async def up(self) -> None:
        """Let everything through again."""
        self.mode = "up"
        self._flows.set()
        if self._server is None:
            await self.start()

    async def down(self, mode: str = "refuse") -> None:
        """
        Fail, until up(). "refuse" and "reset" reset open connections, with "blackhole" they fall silent.

        A new connection is refused ("refuse"), is opened and never answered ("blackhole"), or is opened and
        reset at once ("reset"). A proxy cannot drop the first SYN: "blackhole" is nearest to that.
        """
        if mode not in MODES:
            raise AirError(f"no mode {mode!r}; there are: {', '.join(MODES)}")
        self.mode = mode
        if mode == "refuse":
            await self._close_server()
        elif self._server is None:
            await self.start()
        if mode == "blackhole":
            self._flows.clear()
        else:
            await self._end_links()
            self._flows.set()

    def half_open(self) -> None:
        """From now on the connections of now lose everything, and neither end is told; new ones are as before."""
        self._deaf |= self._links.keys()

    async def _close_server(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    async def _end_links(self) -> None:
        tasks = list(self._links)
        for task, writer in list(self._links.items()):
            _reset(writer)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.mode == "reset":
            self.refused += 1
            _reset(writer)
            return
        # A task of our own: one that asyncio.start_server made reports its cancellation as an error.
        task = asyncio.create_task(self._link(reader, writer))
        self._links[task] = writer
        task.add_done_callback(self._links.pop)
        task.add_done_callback(self._deaf.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = None
        link = asyncio.current_task()
        try:
            await self._flows.wait()
            await asyncio.sleep(self._repeats_s(_SYN_RTO_S))
            far_reader, target = await asyncio.open_connection(*self.target)
            pumps = [
                asyncio.create_task(self._pump(reader, target, "bytes_up", link)),
                asyncio.create_task(self._pump(far_reader, writer, "bytes_down", link)),
            ]
            try:
                # One direction may end before the other (half close); an error in one ends both.
                await asyncio.gather(*pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            if target is None:
                self.refused += 1
            _reset(writer)
        finally:
            for end in (writer, target):
                if end is not None:
                    end.close()

    def _repeats_s(self, rto_s: float) -> float:
        """Return how long TCP repeats a segment until it is not lost; its ACK never is."""
        waited_s = 0.0
        for _ in range(_MOST_REPEATS):
            if self._random.random() >= self.loss:
                break
            waited_s += rto_s
            rto_s = min(rto_s * 2, _LONGEST_RTO_S)
        return waited_s

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        counter: str,
        link: asyncio.Task[None] | None,
    ) -> None:
        """Carry one direction: read at once, write when the delay is over."""
        loop = asyncio.get_running_loop()
        flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)
        waiting = 0

        async def take() -> None:
            nonlocal waiting
            sent_at = 0.0
            while True:
                data = await reader.read(_CHUNK)
                sent_at = max(sent_at, loop.time())
                if self.rate:
                    sent_at += len(data) / self.rate
                waiting += len(data)
                # What comes after a lost segment waits for it: the flight is in order.
                late_s = self.latency_ms / 1000 + self._repeats_s(_RTO_S)
                await flight.put((sent_at + late_s, data))
                if not data:
                    return

        taker = asyncio.create_task(take())
        try:
            while True:
                getter = asyncio.ensure_future(flight.get())
                await asyncio.wait((getter, taker), return_when=asyncio.FIRST_COMPLETED)
                if not getter.done() and taker.exception():
                    getter.cancel()
                    await taker  # the sender's connection broke: raises
                due, data = await getter
                await asyncio.sleep(due - loop.time())
                await self._flows.wait()
                if link in self._deaf:
                    continue  # the end of the stream, too, is not told
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
                waiting -= len(data)
                setattr(self, counter, getattr(self, counter) + len(data))
        finally:
            self.lost += waiting
            taker.cancel()
            await asyncio.gather(taker, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    try:
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass  # closed already
    writer.transport.abort()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where the tag connects")
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="the broker")
    parser.add_argument("--latency-ms", type=float, default=0.0, metavar="N", help="one way")
    parser.add_argument("--rate", type=float, metavar="B", help="bytes per second and direction")
    parser.add_argument("--loss", type=float, default=0.0, metavar="SHARE", help="0 to 1 (default: 0)")


async def run(arguments: argparse.Namespace) -> None:
    air = Air(
        parse_address(arguments.listen),
        parse_address(arguments.target),
        latency_ms=arguments.latency_ms,
        rate=arguments.rate,
        loss=arguments.loss,
    )
    await air.start()
    print(
        f"air at {air.address[0]}:{air.address[1]} to {arguments.target}, {air.latency_ms:g} ms one way",
        flush=True,
    )
    try:
        await asyncio.Event().wait()
    finally:
        await air.stop()
        print(f"{air.connections} connections, {air.bytes_up} bytes up, {air.bytes_down} down", flush=True)
