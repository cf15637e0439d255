"""The modem's driver in virtual time, at the other end of whatever bytes: for the fuzz of `line`."""

import asyncio

import clock
from at_line import ModemError
from log import Log
from sim7080 import SIM7080

from tests.host.fakes import BUILT_S, RTC, Jump, Now, Uart

_DEADLINE_MS = 500
# Beyond the build, of a time that nobody has signed; a little more, for this clock goes on.
_BELIEVED_S = 2 * 365 * 86400 + 1
_COMMANDS = (
    ("AT+CEREG?", None),
    ("AT+CASEND=0,2", b"xy"),
    ("AT+CARECV=0,1460", None),
    ("AT+CGNSINF", None),
)


class Driver:
    """It says a command for each input, and hears that input for an answer; the next one finds it in order again."""

    def __init__(self) -> None:
        self._now = Now()
        clock.ticks_ms = self._now.ticks_ms
        clock.time = RTC(self._now, BUILT_S)
        self._loop = asyncio.SelectorEventLoop(Jump(self._now))
        self._loop.time = lambda: self._now.s  # type: ignore[method-assign]
        self._answer = b""
        self._uart = Uart()
        self._clock = clock.Clock(lambda *fields: None, BUILT_S)
        self._driver = SIM7080(
            self._uart,
            self._write,
            lambda on: None,
            True,
            lambda on: None,
            "iot",
            None,
            lambda: (2026, 1, 1, 0, 0, 0),
            self._on_utc,
            Log(self._now.ticks_ms, lambda line: None),
        )
        self._running = self._loop.create_task(self._driver.run())
        # It goes on for ever, and ends with the process.
        self._running._log_destroy_pending = False  # type: ignore[attr-defined]

    def read(self, data: bytes) -> str:
        """Let `data` be the answer to a command; return what it was taken for."""
        return self._loop.run_until_complete(self._say(data))

    async def _say(self, data: bytes) -> str:
        text, payload = _COMMANDS[len(data) % 4]
        self._answer = data
        try:
            lines = await self._driver.command(text, _DEADLINE_MS, payload)
            said = f"{len(lines)} lines"
        except ModemError as error:
            said = str(error)
        if self._running.done():
            self._running.result()
            raise RuntimeError("nobody hears the modem any more")
        if self._driver.line.lock.locked():
            raise RuntimeError("the line is held")
        return said

    def _write(self, data: bytes) -> None:
        if data == b"AT+IPR?\r":
            # It is asked whether the line is in order.
            self._uart.arrive(b"\r\n+IPR: 0\r\n\r\nOK\r\n")
        elif data[:2] == b"AT":
            self._uart.arrive(self._answer)

    def _on_utc(self, utc_s: int) -> None:
        # Whatever a network says, its time is not signed: the clock is what must not believe it all.
        if self._clock.learn(utc_s, False) and not BUILT_S <= utc_s < BUILT_S + _BELIEVED_S:
            raise RuntimeError(f"the clock believes {utc_s}")
