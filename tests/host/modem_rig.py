"""
The driver on this interpreter, at the other end of the emulated modem's wire, both at their real pace in virtual time:
a CAOPEN that is mute for 75 s costs a test nothing. The sockets behind the modem are real, and so is their TLS.
"""

import asyncio
import contextlib
import datetime
import pathlib
import selectors
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from at_line import ModemError
from at_socket import AtSocket, Stream
from log import Log
from sim7080 import SIM7080

from sim import certs
from sim.modem import Coverage, Modem
from tests.host.fakes import Jump, Now, Uart, end, run, ticking

FIELDS = (2026, 11, 21, 12, 0, 0)
CA = certs.make_ca()
GOOD = CA.issue("localhost")
EXPIRED = CA.issue("localhost", not_after=certs.EXPIRED)
OTHER = CA.issue("elsewhere.example")
_REAL_S = 0.0001  # for bytes that are on their way through this computer


class _Jump(Jump):
    """Where nothing arrives from a real socket either, time jumps."""

    def select(self, timeout: float | None = None) -> list[Any]:
        # The loop's own and the one that listens are always there: only more than these can have bytes under way.
        wait_s = _REAL_S if timeout and len(self.get_map()) > 2 else 0
        return selectors.SelectSelector.select(self, wait_s) or super().select(timeout)


class Wire(Uart):
    """
    The modem's serial line without a PTY. Host's side: read(n), write(data), as a UART; the other is a PtyLine's.

    `watch[text]()` is called, once, when the host sends a command that begins so. `said`: all commands in order, as
    (ms, text).
    """

    def __init__(self, now: Now) -> None:
        super().__init__()
        self.dropped = 0
        self.received: Callable[[bytes], None] = lambda data: None
        self.watch: dict[str, Callable[[], object]] = {}
        self.said: list[tuple[float, str]] = []
        self._now = now

    def open(self) -> None: ...

    def close(self) -> None: ...

    def to_host(self, data: bytes) -> int:
        self.arrive(data)
        return len(data)

    def write(self, data: bytes) -> None:
        if data[:2] == b"AT" and data[-1:] == b"\r":
            text = data[:-1].decode()
            self.said.append((self._now.s * 1000, text))
            for begin in [begin for begin in self.watch if text.startswith(begin)]:
                self.watch.pop(begin)()
        self.received(data)


class Peer:
    """A server that says back what it hears. reading: cleared = it takes nothing; accepted: connections so far."""

    def __init__(self, pair: certs.Pair | None, folder: pathlib.Path) -> None:
        self.heard = b""
        self.accepted = 0
        self.echoes = True
        self.reading = asyncio.Event()
        self.reading.set()
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self._context: ssl.SSLContext | None = None
        if pair:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*pair.write(folder / "peer"))

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._context, limit=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.writers.append(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while True:
                await self.reading.wait()
                data = await reader.read(4096)
                if not data:
                    break
                self.heard += data
                if self.echoes:
                    writer.write(data)
        writer.close()

    async def stop(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


class ModemRig:
    """
    `modem`: the emulator; `driver`: the firmware's SIM7080; `bearer`: its AtSocket; `peer`: the server it calls;
    `utc`: what the network told; `keys`: PWRKEY as the driver moved it; `supply`: (ms, on).
    """

    def __init__(self, now: Now, folder: pathlib.Path, options: dict[str, Any]) -> None:
        pair = options.pop("pair", GOOD)
        ca_der = options.pop("ca_der", CA.der)
        self.powered = options.pop("powered", False)
        self.coverage = options.get("coverage", Coverage())
        apn, bands = options.pop("apn", "obereg"), options.pop("bands", None)
        self.now = now
        self.wire = Wire(now)
        # What the emulator writes goes there in place of a PTY, at the wire's pace.
        self.modem = Modem(_Far(self.wire), **options)
        self.wire.received = self.modem.received
        self.peer = Peer(pair if ca_der else None, folder)
        self.lines: list[str] = []
        self.log = Log(lambda: int(now.s * 1000), self.lines.append)
        self.utc: list[int] = []
        self.keys: list[bool] = []
        self.supply: list[tuple[float, bool]] = []
        self.driver = SIM7080(
            self.wire,
            self.wire.write,
            self._power,
            self.powered,
            self._pwrkey,
            apn,
            bands,
            lambda: FIELDS,
            self.utc.append,
            self.log,
        )
        ca_path = None
        if ca_der:
            ca_path = str(folder / "ca.der")
            pathlib.Path(ca_path).write_bytes(ca_der)
        self.bearer = AtSocket(self.driver, ca_path, "localhost", self.log)

    def _power(self, on: bool) -> None:
        self.supply.append((self.ms, on))
        self.modem.supply(on)

    def _pwrkey(self, on: bool) -> None:
        self.keys.append(on)
        self.modem.pwrkey_level(on)

    @property
    def ms(self) -> float:
        """Virtual time."""
        return self.now.s * 1000

    def commands(self, since: int = 0) -> list[str]:
        """What the driver said, without the times."""
        return [text for _, text in self.wire.said[since:]]

    def stored(self, **settings: Any) -> None:
        """What the modem's flash holds from an earlier life."""
        memory = self.modem._core.memory
        for key, value in settings.items():
            memory._ram.pop(key, None)
            memory._later.pop(key, None)
            memory.set(key, value, "auto_save")

    async def boot(self) -> None:
        """Have the modem on already, as an earlier life of the tag left it (with powered=True)."""
        self.modem.pwrkey(1100)
        await asyncio.sleep(8)

    async def attach(self) -> None:
        await self.bearer.attach(self.bearer.attach_ms)

    async def open(self, host: str = "localhost") -> Stream:
        return await self.bearer.open(host, self.peer.port, self.bearer.open_ms)

    async def call(self) -> Stream:
        """Attach, open, and see that bytes come back."""
        await self.attach()
        stream = await self.open()
        try:
            await self.ping(stream)
        except BaseException:
            await stream.close()
            raise
        return stream

    async def ping(self, stream: Stream, data: bytes = b"ping") -> None:
        stream.write(data)
        await stream.drain(3000)
        heard = b""
        async with asyncio.timeout(20):
            while len(heard) < len(data):
                heard += await stream.read(512)
        if heard != data:
            raise OSError(f"heard {heard!r}")

    async def recover(self, limit_s: float = 180) -> float:
        """Try again as a link does in an incident until bytes come back; return the seconds that took."""
        began_s = self.now.s
        pauses = iter((0.3, 0.7, 1.5, 3, 5, 10))
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    await (await self.call()).close()
                    return self.now.s - began_s
                except (ModemError, OSError):  # Silence is one, too.
                    await asyncio.sleep(next(pauses, 15))

    def idle(self) -> None:
        """Nothing is held, nothing is left: who comes next finds all free."""
        driver = self.driver
        assert not driver.line.lock.locked(), "the line is held"
        assert not driver.radio.locked(), "the radio is held"
        assert not driver.sockets, f"left: {driver.sockets}"
        assert not self.keys or self.keys[-1] is False, "PWRKEY is held"


class _Far:
    """The modem's end of the wire."""

    def __init__(self, wire: Wire) -> None:
        self.open, self.close, self.write = wire.open, wire.close, wire.to_host
        self.dropped = 0


def play(
    tmp_path: pathlib.Path,
    monkeypatch: Any,
    story: Callable[[ModemRig], Awaitable[Any]],
    limit_s: float = 4000,
    **options: Any,
) -> Any:
    """Run a story in virtual time; return its result. No task may fail, none may take longer than `limit_s`."""
    now = ticking(monkeypatch, Now())

    async def lookup(host: str, port: Any, **_: Any) -> Any:
        # In the loop's own thread: time must not jump meanwhile.
        if host not in ("localhost", "127.0.0.1"):
            raise socket.gaierror(-2, "no such host")
        return socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)

    async def whole() -> Any:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
        rig = ModemRig(now, tmp_path, options)
        rig.modem.supply(rig.powered)
        await rig.modem.start()
        await rig.peer.start()
        task = asyncio.create_task(rig.driver.run())
        try:
            async with asyncio.timeout(limit_s):
                return await story(rig)
        finally:
            await end([task])
            await rig.peer.stop()
            await rig.modem.stop()

    return run(now, whole(), _Jump)


def pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


def utc_s(*fields: int) -> int:
    return int(datetime.datetime(*fields, tzinfo=datetime.UTC).timestamp())  # type: ignore[arg-type, misc]
