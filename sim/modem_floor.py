"""
The floor over the modem: the shortest dialogue that the AT fact sheet allows, from PWRKEY to the desk.

It shares nothing with the firmware's driver. Told to a modem of the same make, with the same settings and in the same
run as the tag, at the same broker, it says what no driver can be quicker than.

    caller = ModemCaller(modem, "build/modem", server)
    began_ms = await caller.attach()        # PWRKEY is pressed at began_ms; done when the PDP context is up
    await caller.open()                     # the socket, with TLS where the server has it
    await caller.say(connect(...))          # one CASEND
    caller.close()
"""

import asyncio
import datetime
import os
import pathlib
import re
import time
from typing import NamedTuple

from sim.common import SimError
from sim.modem import Modem

_FINAL = rb"\r\n(OK|ERROR|\+CM[ES] ERROR: [^\r\n]+)\r\n"
_CA = "floor.pem"
_PROBE_MS, _LOOK_MS = 100, 100  # between two AT, two CEREG?
_ANSWER_MS = 15_000  # the longest of those that are not named below: CFUN, sheet 10
_BOOT_MS, _REGISTER_MS, _PDP_MS, _OPEN_MS = 15_000, 180_000, 60_000, 80_000  # sheet 10
_PDP_TRIES = 5  # sheet 3.3 trap 2
_SLACK_S = 2.0  # of this computer, whatever the modem's speed is


class FloorError(SimError):
    """The scripted dialogue got an answer it cannot go on with, or none in time. The text says to what."""


class Server(NamedTuple):
    """Where to: host as CAOPEN takes it, name as the SNI, ca_pem None = without TLS."""

    host: str
    port: int
    name: str
    ca_pem: bytes | None
    apn: str


class ModemCaller:
    """The far end of the modem's UART, and a finger on its PWRKEY. FloorError from all that it does."""

    def __init__(self, modem: Modem, link: str | pathlib.Path, server: Server) -> None:
        self._modem, self._server = modem, server
        self._heard = b""
        self._news = asyncio.Event()
        self._fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def close(self) -> None:
        """Let go of the line. The modem stays as it is."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    async def attach(self) -> float:
        """From PWRKEY to a PDP context; return when the key was pressed, ms on the clock of time.monotonic."""
        self._modem.supply(True)
        began_ms = time.monotonic() * 1000
        self._modem.pwrkey(1000)
        await self._boot()
        server = self._server
        # With the first two the search for a cell begins; it takes longer than all that is said meanwhile.
        settings = ("+CNMP=38", "+CMNB=1", f'+CGDCONT=1,"IP","{server.apn}"', f'+CNCFG=0,1,"{server.apn}"')
        for command in settings:
            await self._ask(command)
        if server.ca_pem is not None:
            await self._certify(server.ca_pem)
        end_ms = self._modem.now_ms + _REGISTER_MS
        while not re.search(rb"\+CEREG: \d,[15]", await self._ask("+CEREG?")):
            if self._modem.now_ms > end_ms:
                raise FloorError("the modem finds no network within three minutes: is there coverage?")
            await asyncio.sleep(_LOOK_MS / 1000 / self._modem.speed)
        for _ in range(_PDP_TRIES):
            await self._ask("+CNACT=0,1")
            state = await self._expect(rb"\+APP PDP: 0,(\w+)\r\n", _PDP_MS, "CNACT")
            if state[1] == b"ACTIVE":
                return began_ms
        raise FloorError(f"the network gives no PDP context for the APN {server.apn!r}")

    async def open(self) -> None:
        """Open socket 0 to the server."""
        server = self._server
        answer = await self._ask(f'+CAOPEN=0,0,"TCP","{server.host}",{server.port}', _OPEN_MS)
        if b"+CAOPEN: 0,0\r\n" not in answer:
            raise FloorError(f"CAOPEN to {server.host}:{server.port}: {answer.strip().decode()} (sheet 6)")

    async def say(self, data: bytes) -> float:
        """Send `data` in one CASEND; return when its command was written, ms on the clock of time.monotonic."""
        began_ms = time.monotonic() * 1000
        self._write(b"AT+CASEND=0,%d\r" % len(data))
        await self._expect(rb"\r\n>", _ANSWER_MS, "CASEND")
        self._write(data)
        await self._final("CASEND", _ANSWER_MS)
        return began_ms

    async def hear(self, count: int) -> bytes:
        """Return `count` bytes from the server, once they are there."""
        data = b""
        end_ms = self._modem.now_ms + _ANSWER_MS
        while len(data) < count:
            if self._modem.now_ms > end_ms:
                raise FloorError(f"the server says {data!r} and no more")
            await asyncio.sleep(_LOOK_MS / 1000 / self._modem.speed)
            self._write(b"AT+CARECV=0,%d\r" % (count - len(data)))
            size = int((await self._expect(rb"\+CARECV: (\d+)", _ANSWER_MS, "CARECV"))[1])
            if size:
                data += (await self._expect(rb",(.{%d})" % size, _ANSWER_MS, "CARECV"))[1]
            await self._final("CARECV", _ANSWER_MS)
        return data

    async def _boot(self) -> None:
        end_ms = self._modem.now_ms + _BOOT_MS
        while b"OK\r\n" not in self._heard:
            if self._modem.now_ms > end_ms:
                raise FloorError("the modem does not answer AT within 15 s of PWRKEY")
            self._write(b"AT\r")
            await asyncio.sleep(_PROBE_MS / 1000 / self._modem.speed)
        self._write(b"ATE0\r")
        # By its echo: a late answer to an AT may stand before it.
        await self._expect(rb"ATE0\r\r\nOK\r\n", _ANSWER_MS, "ATE0")

    async def _certify(self, pem: bytes) -> None:
        """The CA, the clock that certificates are checked against, and the context of socket 0 (sheet 4, 6)."""
        await self._ask("+CFSINIT")
        self._write(b'AT+CFSWFILE=3,"%s",0,%d,10000\r' % (_CA.encode(), len(pem)))
        await self._expect(rb"DOWNLOAD\r\n", _ANSWER_MS, "CFSWFILE")
        self._write(pem)
        await self._final("CFSWFILE", _ANSWER_MS)
        await self._ask("+CFSTERM")
        now = datetime.datetime.now(datetime.UTC)
        for command in (
            f'+CSSLCFG="CONVERT",2,"{_CA}"',
            f'+CCLK="{now:%y/%m/%d,%H:%M:%S}+00"',
            '+CSSLCFG="SSLVERSION",0,3',
            f'+CSSLCFG="SNI",0,"{self._server.name}"',
            '+CASSLCFG=0,"SSL",1',
            '+CASSLCFG=0,"CRINDEX",0',
            f'+CASSLCFG=0,"CACERT","{_CA}"',
        ):
            await self._ask(command)

    # The line

    async def _ask(self, command: str, limit_ms: float = _ANSWER_MS) -> bytes:
        self._write(b"AT" + command.encode() + b"\r")
        return await self._final(command, limit_ms)

    async def _final(self, command: str, limit_ms: float) -> bytes:
        """Return what stands before the OK."""
        answer = await self._expect(b"(?s:(.*?))" + _FINAL, limit_ms, command)
        if answer[2] != b"OK":
            raise FloorError(f"{command}: the modem says {answer[2].decode()}")
        return bytes(answer[1]) + b"\r\n"

    async def _expect(self, pattern: bytes, limit_ms: float, what: str) -> re.Match[bytes]:
        """Hear until `pattern` has come; forget all up to its end."""
        wanted = re.compile(pattern, re.DOTALL)
        try:
            async with asyncio.timeout(limit_ms / 1000 / self._modem.speed + _SLACK_S):
                while not (found := wanted.search(self._heard)):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise FloorError(f"{what}: no answer within {limit_ms / 1000:g} s, only {self._heard!r}")
        self._heard = self._heard[found.end() :]
        return found

    def _write(self, data: bytes) -> None:
        if os.write(self._fd, data) != len(data):
            raise FloorError(f"the line does not take {len(data)} bytes at once")

    def _read(self) -> None:
        self._heard += os.read(self._fd, 65536)
        self._news.set()
