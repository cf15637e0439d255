"""
The modem's command line: one command at a time, each with a deadline, each answer paired with its own question.

    line = Line(reader, write, on_line, log)
    asyncio.create_task(line.run())                # hears the modem, for ever
    await line.command("AT+CSQ")                   # ["+CSQ: 17,99"], or ModemError
    await line.until(lambda: registered, 5000, "not registered")

What is unanswered at its deadline, or given up, may be answered later: before the next command that answer is let pass.
"""

import asyncio

import clock
from at import Parser
from micropython import const

# A command that only reads or sets: 10 ms in the field, so 2 s of silence means that something is wrong.
SIMPLE_MS = 2000
# Results of +CME ERROR (manual 22.1) and, with a dot, of CAOPEN (12.2.3): what a technician would do about it.
_REASONS = """
10 no SIM card (one that is put in after power-on is not seen)
11 the SIM asks for its PIN: switch the PIN off
12 the SIM is locked by its PUK
13 SIM failure
.20 there is no such host (DNS)
.21 no network
.23 the broker refuses the connection: is the port right?
.24 the broker's certificate is out of date
.25 the broker's certificate names another host
.26 the broker's certificate is out of date and names another host
.27 no TLS with this broker: is the CA its own?
"""
# Answers that were held up come at the pace of the wire.
_LATE_S = 0.3
# Bytes that are there are read well within this.
_HEARD_MS = 10000
# Lines kept of one answer; the longest that is asked for has four.
_MAX_LINES = const(16)


def reason(code):
    """Return what a result means, or the result itself."""
    for row in _REASONS.split("\n"):
        number, _, text = row.partition(" ")
        if number == code:
            return text
    return code.strip(".")


class ModemError(Exception):
    """A command was refused or not answered in time, or there is no network. The text says which and why."""


class Line:
    """
    `reader.read(n)` (async) and `write(data)`: the UART. `on_line(text, unasked)` is called with each line of
    information; unasked: it is a URC.

    `mute` counts how often the modem did not answer at all.
    """

    def __init__(self, reader, write, on_line, log):
        self._reader = reader
        self._write = write
        self._on_line = on_line
        self._log = log
        self.lock = asyncio.Lock()
        self.mute = 0
        # An answer may still come that belongs to nothing said from now on.
        self.stale = True
        self._late = False
        self._parser = Parser()
        self._news = asyncio.Event()
        self._heard = []
        self._final = ""
        self._payload = None
        self._text = self._wanted = ""

    async def run(self):
        """Hear the modem, for ever. It may be silent for long: who waits for something of it has the deadline."""
        while True:
            data = await self._reader.read(256)
            clock.expect("modem", _HEARD_MS)
            for kind, value in self._parser.feed(data or b""):
                self._take(kind, value)
            self._news.set()

    async def command(self, text, deadline_ms=SIMPLE_MS, payload=None):
        """
        Say one command; return its lines of information and the payload of a CARECV (bytes) in a list.

        `payload` goes out when the modem prompts for it. ModemError: refused, or no answer in time.
        """
        async with self.lock:
            if self.stale:
                await self._resync()
            return await self.say(text, deadline_ms, payload)

    async def accepts(self, text, deadline_ms=SIMPLE_MS):
        """Say a command whose refusal is no news; return whether it was accepted."""
        try:
            await self.command(text, deadline_ms)
            return True
        except ModemError:
            return False

    async def until(self, true, deadline_ms, what):
        """Wait until `true()`, looked at whenever the modem has said something; ModemError(what) at the deadline."""
        began_ms = clock.ticks_ms()
        while not true():
            left_ms = deadline_ms - clock.since(clock.ticks_ms(), began_ms)
            if left_ms <= 0:
                raise ModemError(what)
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left_ms / 1000)
            except asyncio.TimeoutError:
                pass

    async def say(self, text, deadline_ms, payload=None, wanted=""):
        """Like command, for who holds `lock`; an OK counts only behind a line that begins with `wanted`."""
        self._heard = []
        self._final = ""
        self._payload = payload
        self._wanted = wanted
        self._text = text
        self._parser.sent(text)
        name = text.split("=")[0]
        self.stale = True
        try:
            self._write(text.encode() + b"\r")
            await self.until(
                lambda: self._final, deadline_ms, "%s: no answer within %d ms" % (name, deadline_ms)
            )
            self.stale = payload is not None and self._final != "OK"
        finally:
            # A prompt that comes later must not get it.
            self._payload = None
            self._parser.sent("")
        if self._final != "OK":
            raise ModemError("%s: %s" % (name, reason(self._final.replace("+CME ERROR: ", ""))))
        return self._heard

    async def _resync(self):
        # The rest of a payload that was refused is no part of a command then.
        self._write(b"\r")
        for _ in range(2):
            try:
                await self.say("AT+IPR?", SIMPLE_MS, None, "+IPR")
            except ModemError:
                # An open prompt may have swallowed it; by now that is over (CASEND: 1 s).
                self._late = True
                continue
            if self._late:
                # It may be an earlier one that was answered; the others are right behind it.
                self.stale = True
                await asyncio.sleep(_LATE_S)
                self.stale = self._late = False
            return
        self.mute += 1
        raise ModemError("the modem is mute")

    def _take(self, kind, value):
        if kind == "final":
            if (self._wanted and not [line for line in self._heard if line.startswith(self._wanted)]) or (
                self._payload is not None and value == "OK"
            ):
                # It ended something that was given up, or was said twice; what is at work goes on. Nothing is done
                # with a payload before there was a prompt, and what is said next would be taken for it.
                self._log.count("modem.stray")
                self._parser.sent(self._text)
            else:
                self._final = value
        elif kind == "prompt":
            if self._payload is not None:
                self._write(self._payload)
                self._payload = None
        elif kind == "data" or kind == "info":
            self._heard = self._heard[1 - _MAX_LINES :] + [value]
        if kind == "urc" or kind == "info":
            self._on_line(value, kind == "urc")
