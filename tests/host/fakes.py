"""
What a tag has around it, in memory: time, flash, RTC memory, a desk. Bearer and broker are in loop_broker.py.

Small and honest: each behaves as the ESP32 does where CPython or the Unix port differ, and can fail as real parts
fail. Time is virtual: it jumps to the next timer, so an hour of silence costs a test nothing.
"""

import asyncio
import calendar
import os
import selectors
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import clock
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from journal import Journal, JournalError

from desk.claims import Claims
from desk.token import ack, digest, seal, state_ack, verify

RING_MS = 1 << 30
BUILT_S = 1_790_000_000  # the build time of the firmware under test

# ---------------------------------------------------------------------------------------------------------- time


class Now:
    """Virtual time in seconds. It starts 4 s before the ticks wrap, so every test crosses that."""

    def __init__(self) -> None:
        self.s = RING_MS / 1000 - 4

    def ticks_ms(self) -> int:
        # A timer may fire a hair early; never a whole tick.
        return int(self.s * 1000 + 0.01) % RING_MS


class RTC:
    """The chip's clock, to stand where clock.py expects the module `time`; it starts at 1970 plus `utc_s`."""

    gmtime = staticmethod(time.gmtime)

    def __init__(self, now: Now, utc_s: int = 0) -> None:
        self._now = now
        self._offset_s = utc_s - now.s

    def time(self) -> float:
        return self._now.s + self._offset_s

    def set(self, *fields: int) -> None:
        self._offset_s = calendar.timegm(fields) - self._now.s


class Jump(selectors.SelectSelector):
    """Where a loop would wait for files, time jumps instead."""

    def __init__(self, now: Now) -> None:
        super().__init__()
        self._now = now
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for something that will never come")
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > 1000:
            raise RuntimeError("the tasks spin: 1,000 turns in which no time passed")
        self._now.s += max(0.0, timeout)
        return []


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they are over: CPython 3.11's wait_for may swallow a cancellation."""
    for task in tasks:
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)


def run(now: Now, main: Coroutine[Any, Any, Any], jump: type[Jump] = Jump) -> Any:
    """Run `main` in virtual time and return its result. An exception that any task lost is raised here."""
    lost: list[BaseException] = []

    def loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(jump(now))
        loop.time = lambda: now.s  # type: ignore[method-assign]
        loop.set_exception_handler(
            lambda _, context: lost.append(context.get("exception") or RuntimeError(context))
        )
        return loop

    async def whole() -> Any:
        try:
            return await main
        finally:
            await end(asyncio.all_tasks() - {asyncio.current_task()})

    with asyncio.Runner(loop_factory=loop) as runner:
        result = runner.run(whole())
    for error in lost:
        raise error
    return result


async def beside(part: Coroutine[Any, Any, Any], *steps: float | Callable[[], Any]) -> None:
    """Run what goes on for ever beside `steps`, seconds to let pass and functions to call; it must outlive them."""
    task = asyncio.create_task(part)
    for step in steps:
        if callable(step):
            step()
        else:
            await asyncio.sleep(step)
        assert not task.done(), task.exception()


# ---------------------------------------------------------------------------------------------------------- pins


class ButtonPin:
    """The button's pin as board.ButtonPin shows it: edges are latched, with their ticks."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self.down = False
        self._edges: list[tuple[bool, int]] = []
        self._flag = asyncio.Event()

    def pressed(self) -> bool:
        return self.down

    def edges(self) -> list[tuple[bool, int]]:
        edges, self._edges = self._edges, []
        return edges

    async def wait(self) -> None:
        await self._flag.wait()
        self._flag.clear()

    def kick(self) -> None:
        self._flag.set()

    def move(self, down: bool) -> None:
        """A finger presses or lets go."""
        self.down = down
        self._edges.append((down, self._now.ticks_ms()))
        self._flag.set()

    def forget(self) -> None:
        """A reset: what was latched is gone."""
        self._edges = []
        self._flag.clear()


class Uart:
    """What arrives at a UART, and its asyncio.StreamReader: bytes wait to be read, and there is room for all."""

    def __init__(self) -> None:
        self._data = b""
        self._news = asyncio.Event()

    def any(self) -> int:
        return len(self._data)

    def arrive(self, data: bytes) -> None:
        self._data += data
        self._news.set()

    async def read(self, size: int) -> bytes:
        while not self._data:
            self._news.clear()
            await self._news.wait()
        data, self._data = self._data[:size], self._data[size:]
        return data


# --------------------------------------------------------------------------------------------------------- flash


class FakeNVS:
    """The chip's key-value flash as board.NVS shows it: names of at most 15 characters, records of at most 2 KB."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.refuses = False

    def get(self, name: str) -> bytes | None:
        data = self.records.get(name)
        return None if data is None or len(data) > 2048 else data

    def put(self, name: str, data: bytes) -> None:
        if self.refuses:
            raise OSError("ESP_ERR_NVS_NOT_ENOUGH_SPACE")
        if len(name) > 15:
            raise OSError("ESP_ERR_NVS_KEY_TOO_LONG")
        self.records[name] = bytes(data)


class FakeRTCMemory:
    """2,048 bytes that resets and deep sleep spare and a power cut does not."""

    def __init__(self) -> None:
        self.data = b""

    def read(self) -> bytes:
        return self.data

    def write(self, data: bytes) -> None:
        if len(data) > 2048:
            raise ValueError("buffer too long")
        self.data = bytes(data)


class Flash(Journal):
    """The real Journal, which can be told to refuse, and says into `calls` what it kept."""

    def __init__(self, folder: Any, calls: list[Any] | None = None) -> None:
        super().__init__(str(folder))
        self.calls = [] if calls is None else calls
        self.puts_left: int | None = None  # None: as many as you like

    def put(self, name: str, data: bytes) -> None:
        if self.puts_left is not None:
            self.puts_left -= 1
            if self.puts_left < 0:
                raise JournalError(f"cannot write {name}: [Errno 28] ENOSPC")
        super().put(name, data)
        self.calls.append(("flash", os.path.basename(name)))


# ---------------------------------------------------------------------------------------------------------- desk


def hkdf(root: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 by a library that shares nothing with the tag's own."""
    return HKDF(SHA256(), 32, salt, info).derive(root)


class FakeDesk:
    """
    The desk's end of the envelope, with real keys, by the reference desk's own code (cwt, cbor2). Each answer has a
    new nonce, kept in `nonce`; `utc_s` is the time it says.
    """

    def __init__(self, tag_id: bytes, root: bytes, generation: int, utc_s: int = BUILT_S + 1000) -> None:
        self.kid = tag_id + bytes((generation,))
        self.up = hkdf(root, tag_id, b"obereg/1 up")
        self.down = hkdf(root, tag_id, b"obereg/1 down")
        self.utc_s = utc_s
        self.nonce = bytes(8)

    def hear(self, token: bytes) -> Claims:
        """What the tag said; TokenError unless everything about it is right."""
        return verify(token, self.up, self.kid)

    def claims(self, token: bytes, level: int, rev: int) -> dict[int, Any]:
        """The claims of an ack of this exact message; level 0: of a state message."""
        self.nonce = (int.from_bytes(self.nonce, "big") + 1).to_bytes(8, "big")
        of, name = self.hear(token).cti, digest(token)
        if level == 0:
            return state_ack(of, name, self.nonce, self.utc_s)
        return ack(of, name, level, rev, self.nonce, self.utc_s)

    def ack(self, token: bytes, level: int, rev: int) -> bytes:
        """The sealed ack of this exact message."""
        return self.seal(self.claims(token, level, rev))

    def seal(self, claims: dict[int, Any], key: bytes | None = None, kid: bytes | None = None) -> bytes:
        return seal(claims, key or self.down, kid or self.kid)


def ticking(monkeypatch: Any, now: Now) -> Now:
    """Let clock.py tick by virtual time."""
    monkeypatch.setattr(clock, "ticks_ms", now.ticks_ms)
    return now
