"""A host that speaks to the emulated modem byte by byte, without any driver, and brings it to a known state."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

from sim.modem import Modem

FINAL = re.compile(rb"(.*?\r\n)?(OK|ERROR|\+CM[ES] ERROR: [^\r\n]+)\r\n", re.DOTALL)
OK = b"\r\nOK\r\n"
_SETUP_SPEED = 1000  # whatever the story wants, it begins soon
ERROR = b"\r\nERROR\r\n"


def cme(code: int) -> bytes:
    return b"\r\n+CME ERROR: %d\r\n" % code


def said(*lines: str) -> bytes:
    """Information lines of one answer and OK, to the byte as sheet 1 has them."""
    return ("\r\n" + "\r\n".join(lines) + "\r\n").encode() + OK


def urc(text: str) -> bytes:
    return b"\r\n%s\r\n" % text.encode()


async def until(true: Callable[[], Any], timeout_s: float = 4.0) -> None:
    """Wait for something that is not said on the line."""
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.001)


class Host:
    """The other end of the UART. data: what was heard and not yet expected."""

    def __init__(self, modem: Modem, link: Any) -> None:
        self.modem = modem
        self.data = b""
        self._heard = asyncio.Event()
        self._fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        self.data += os.read(self._fd, 65536)
        self._heard.set()

    def send(self, data: bytes) -> None:
        os.write(self._fd, data)

    async def expect(self, wanted: bytes | re.Pattern[bytes], timeout_s: float = 4.0) -> bytes:
        """Hear exactly `wanted` next (or what the pattern matches); return and forget it."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if isinstance(wanted, bytes):
                        assert wanted.startswith(self.data[: len(wanted)]), (
                            f"expected {wanted!r}, heard {self.data!r}"
                        )
                        size = len(wanted) if len(self.data) >= len(wanted) else -1
                    else:
                        match = wanted.match(self.data)
                        size = match.end() if match else -1
                    if size >= 0:
                        heard, self.data = self.data[:size], self.data[size:]
                        return heard
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"no {wanted!r}, heard {self.data!r}") from None

    async def ask(self, command: str) -> bytes:
        """Send a command; return all up to its final result."""
        self.send(command.encode() + b"\r")
        return await self.expect(FINAL)

    async def find(self, text: bytes) -> bytes:
        """Hear `text` at last, whatever comes before."""
        return await self.expect(re.compile(rb".*?" + re.escape(text), re.DOTALL))

    async def silence(self, modem_ms: float) -> None:
        """Hear nothing for so long."""
        await asyncio.sleep(modem_ms / 1000 / self.modem.speed)
        assert self.data == b"", f"not silent: {self.data!r}"

    async def reach(self, level: str) -> None:
        """Bring the modem to off, factory (just booted), on (ATE0, CMEE=1), net or pdp."""
        if level == "off":
            return
        self.modem.pwrkey(1000)
        await self.find(b"\r\nSMS Ready\r\n")
        if level == "factory":
            return
        commands = ["ATE0", "AT+CMEE=1"]
        if level in ("net", "pdp"):
            commands += ["AT+CNMP=38", 'AT+CGDCONT=1,"IP","obereg"', "AT+CEREG=1"]
        for command in commands:
            assert (await self.ask(command)).endswith(OK)
        if level == "on":
            return
        assert await self.ask("AT+CMNB=1") == OK
        await self.find(b"\r\n+CEREG: 1\r\n")
        assert await self.ask("AT+CEREG=0") == OK
        if level == "pdp":
            assert await self.ask('AT+CNCFG=0,1,"obereg"') == OK
            assert await self.ask("AT+CNACT=0,1") == OK
            await self.expect(urc("+APP PDP: 0,ACTIVE"))


def speak(
    tmp_path: Any, level: str, story: Callable[[Host], Awaitable[None]], speed: float = 300, **options: Any
) -> Modem:
    """Run a story with a modem at a level; nothing unexpected may be left unheard. Returns the ended modem."""

    async def whole() -> Modem:
        modem = Modem(tmp_path / "modem", speed=max(speed, _SETUP_SPEED), **options)
        problems: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        await modem.start()
        host = Host(modem, tmp_path / "modem")
        try:
            async with asyncio.timeout(15):
                await host.reach(level)
                modem.speed = speed
                await story(host)
                assert host.data == b"", f"nobody expected {host.data!r}"
        finally:
            host.close()
            await modem.stop()
        assert not problems, problems
        return modem

    return asyncio.run(whole())
