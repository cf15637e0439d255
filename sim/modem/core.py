"""
The modem's heart: it reads command lines, answers them one after the other, and lets URCs through in between.

What arrives while a command is at work waits and is echoed after its answer, as in the real dialogues (sheet 1 trap 2).
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from sim.modem import faults as wrong
from sim.modem import line
from sim.modem import params as parameters
from sim.modem.line import AtError, Request, Silence, info
from sim.modem.memory import Memory
from sim.modem.port import Port
from sim.modem.recorder import HOST, MARK, MODEM, Recorder
from sim.modem.timings import COMMAND, Figure, wire_ms

_MAX_INPUT = 8192  # bytes that wait while a command is at work
_ON_ANSWER = ("no_answer", "late", "cut", "garbled", "doubled", "out_of_order", "error", "urc", "reset")


class Reply(NamedTuple):
    """info: formed by line.info. final: None = the usual OK, b"" = none. then: called when the answer is out."""

    info: bytes = b""
    final: bytes | None = None
    then: Callable[[], object] | None = None


class Command(NamedTuple):
    """A row of the command table. params belong to write; needs: of rf, sim, files; test: what =? says."""

    source: str
    write: Callable[..., Any] | None = None
    params: tuple[parameters.Param, ...] = ()
    read: Callable[..., Any] | None = None
    run: Callable[..., Any] | None = None
    test: str | None = None
    scan: Callable[..., Any] | None = None  # a test that is work (COPS=?)
    needs: tuple[str, ...] = ()


class Core:
    """The parts' common ground: time, the wire, what is stored, faults. Modem joins it with the parts."""

    def __init__(self, speed: float, recorder: Recorder) -> None:
        self.speed = speed
        self.recorder = recorder
        self.faults = wrong.Faults()
        self.memory = Memory()
        self.table: dict[str, Command] = {}
        self.checks: dict[str, Callable[[], None]] = {}  # of Command.needs: each raises AtError
        self.port: Port | None = None
        self.listening = False  # powered, booted and awake
        self.lost_bytes = 0  # from the host, while nobody listened
        self.lost_urcs = 0  # in sleep: only RI told
        self.ignored_lines = 0  # that did not begin with AT
        self.ring: Callable[[], None] = lambda: None
        self.reset: Callable[[], None] = lambda: None
        self._inbox = bytearray()
        self._arrived = asyncio.Event()
        self._raw = False
        self._held: list[bytes] = []  # URCs in a raw phase
        self._withheld = b""  # an answer that comes out of order
        self._tasks: set[asyncio.Task[Any]] = set()
        self._start_s: float | None = None  # when speed last changed, and the modem's time then
        self._start_ms = 0.0

    # Time

    @property
    def now_ms(self) -> float:
        """Modem time since the first use."""
        now_s = asyncio.get_running_loop().time()
        if self._start_s is None:
            self._start_s = now_s
        return self._start_ms + (now_s - self._start_s) * 1000 * self.speed

    def set_speed(self, speed: float) -> None:
        """Go on faster or slower; waits that have begun keep their pace."""
        self._start_ms, self._start_s = self.now_ms, asyncio.get_running_loop().time()
        self.speed = speed

    async def wait(self, duration: Figure | float) -> None:
        ms = duration.ms if isinstance(duration, Figure) else duration
        await asyncio.sleep(max(0.0, ms) / 1000 / self.speed)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start something that ends with this life of the modem."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            context = {"message": "a part of the modem failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    def end_life(self) -> None:
        """Stop all that runs and forget what was said; the parts look after themselves."""
        for task in self._tasks:
            task.cancel()
        self.listening = False
        self._inbox.clear()
        self._raw = False
        self._held.clear()
        self._withheld = b""

    async def tasks_ended(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The wire

    def received(self, data: bytes) -> None:
        """Take what the host wrote, or lose it."""
        kept = data[: _MAX_INPUT - len(self._inbox)] if self.listening else b""
        self.lost_bytes += len(data) - len(kept)
        self._inbox += kept
        if kept:
            self._arrived.set()

    def lose_input(self) -> None:
        self.lost_bytes += len(self._inbox)
        self._inbox.clear()

    def write(self, data: bytes, raw: bool = False) -> None:
        if self.port is not None:
            self.port.write(data, raw)

    def sent(self, data: bytes, raw: bool) -> None:
        self.recorder.add(self.now_ms, MODEM, data, raw)

    def mark(self, text: str) -> None:
        """Note something that is no text on the line."""
        self.recorder.add(self.now_ms, MARK, text.encode())

    def urc(self, *lines: str) -> None:
        """Say something unasked: now, after a raw phase, or never (asleep: RI only)."""
        if not self.listening:
            self.lost_urcs += 1
        elif self._raw:
            self._held.append(info(*lines))
        else:
            self.write(info(*lines))
        if self.memory.get("cfgri", 0):
            self.ring()

    def push(self, header: str, data: bytes) -> None:
        """Say a URC with payload behind it."""
        if not self.listening:
            self.lost_urcs += 1
        elif self._raw:
            self._held.append(info(header) + data)
        else:
            self.write(info(header) + data, raw=True)

    # Commands

    async def serve(self) -> None:
        """Answer line after line. The task of a running modem."""
        while True:
            await self._execute(await self._line())

    async def _some(self) -> None:
        while not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()

    async def _line(self) -> str:
        whole = bytearray()
        while not whole.endswith(b"\r"):
            await self._some()
            end = self._inbox.find(b"\r") + 1 or len(self._inbox)
            chunk = bytes(self._inbox[:end])
            del self._inbox[:end]
            if not whole:
                chunk = chunk.lstrip(b"\n")  # of a host that ends its lines with CR LF
            if self.memory.get("echo", 1) and chunk:
                self.write(chunk)
            whole += chunk
            del whole[: -_MAX_INPUT - 1]
        if whole != b"\r":
            self.recorder.add(self.now_ms, HOST, bytes(whole))
        await self.wait(wire_ms(len(whole)))
        return whole[:-1].decode("latin-1").strip()

    async def _execute(self, text: str) -> None:
        if text[:2].upper() != "AT":
            self.ignored_lines += bool(text)
            return
        await self.wait(COMMAND)
        try:
            requests = line.requests(text[2:])
        except AtError as refused:
            self.write(line.error(refused.code, self.memory.get("cmee", 0)))
            return
        taken = (self.faults.take(_ON_ANSWER, name) for name in [one.name for one in requests] or [""])
        fault = next(filter(None, taken), None)
        if fault and fault.kind == "reset":
            self.reset()
            return
        try:
            if fault and fault.kind == "error":
                raise AtError(fault.options.get("code"))
            reply = await self._answer(requests)
        except AtError as refused:
            reply = Reply(b"", line.error(refused.code, self.memory.get("cmee", 0)))
        except Silence:
            return
        await self._say(reply, fault)
        if reply.then:
            reply.then()

    async def _answer(self, requests: list[Request]) -> Reply:
        """Execute until one is refused; what the ones before it had to say is kept."""
        said, afterwards = b"", []
        for request in requests:
            try:
                reply = await self._run(request)
            except AtError as refused:
                return Reply(said, line.error(refused.code, self.memory.get("cmee", 0)))
            said += reply.info
            if reply.then:
                afterwards.append(reply.then)
            if reply.final is not None:
                return Reply(said, reply.final, reply.then)

        def then() -> None:
            for step in afterwards:
                step()

        return Reply(said, line.OK, then)

    async def _run(self, request: Request) -> Reply:
        row = self.table.get(request.name)
        kind = "scan" if request.kind == "test" and row and row.scan else request.kind
        handler = getattr(row, kind, None)
        if row is None or handler is None:
            # Whatever CMEE says: what a command is not is a plain ERROR.
            raise AtError(None)
        if kind == "test":
            return lines(f"{request.name}: {row.test}")
        for need in row.needs:
            self.checks[need]()
        given = (
            parameters.values(row.params, parameters.args(request.args)) if request.kind == "write" else []
        )
        reply = handler(*given)
        if inspect.isawaitable(reply):
            reply = await reply
        return reply or Reply()

    async def _say(self, reply: Reply, fault: wrong.Fault | None) -> None:
        kind = fault.kind if fault else ""
        if fault and kind == "late":
            await self.wait(fault.number("ms", 1000))
        whole = wrong.spoil(fault, reply.info, line.OK if reply.final is None else reply.final)
        if kind == "out_of_order":
            self._withheld += whole
        elif kind != "no_answer":
            held, self._withheld = self._withheld, b""
            self.write(whole + held, raw=b"+CARECV: " in reply.info)

    # Payload

    async def payload(self, name: str, prompt: bytes, size: int, limit_ms: float, echo: bool) -> bytes:
        """
        Give the prompt and take `size` bytes; fewer when the time is over.

        Silence: the fault no_prompt. AtError: the fault prompt_cut.
        """
        if self.faults.take(("no_prompt",), name):
            raise Silence
        cut = self.faults.take(("prompt_cut",), name)
        wanted = min(size, cut.number("keep", size // 2)) if cut else size
        if self._inbox[:1] == b"\n":
            del self._inbox[:1]  # of the command's CR LF
        self.write(prompt)
        self._raw = True
        taken = bytearray()
        try:
            async with asyncio.timeout(limit_ms / 1000 / self.speed):
                while len(taken) < wanted:
                    await self._some()
                    chunk = bytes(self._inbox[: wanted - len(taken)])
                    del self._inbox[: len(chunk)]
                    if echo and self.memory.get("echo", 1):
                        self.write(chunk, raw=True)
                    taken += chunk
                    await self.wait(wire_ms(len(chunk)))
        except TimeoutError:
            pass
        finally:
            self._raw = False
        self.recorder.add(self.now_ms, HOST, bytes(taken), raw=True)
        for urc in self._held:
            self.write(urc)
        self._held.clear()
        if cut:
            raise AtError(line.NOT_ALLOWED)
        return bytes(taken)


def lines(*texts: str) -> Reply:
    """Return the usual reply: lines of information and OK."""
    return Reply(info(*texts))
