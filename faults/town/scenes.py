"""
What else brokers and desks die of, a scene each: play it, then all must be stored once and acked as after any kill.

full: the broker's queue. denied: its access list. stranger: somebody with the tag's password takes its client id again
and again. disk: that of the desk is full.
"""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from faults.town import TownError
from faults.town.judge import rows, stored, texts
from faults.town.rounds import Cell
from faults.town.worn import Worn
from sim.common import SimError
from sim.story import now_ms

_POLL_S = 0.1
_KNOWN_S = 60.0


@dataclass
class Verdict:
    """How a scene went: what was seen, in words; what was wrong."""

    name: str
    said: str = ""
    wrong: list[str] = field(default_factory=list)


async def full(folder: Path, fault: str | None, settled_s: float) -> Verdict:
    """The desk hangs, the broker's queue for it is full: the broker confirms alerts and throws them away."""
    verdict = Verdict("full")
    async with _played(
        verdict, folder, fault, settled_s, 4, "max_inflight_messages 1", "max_queued_messages 2"
    ) as cell:
        far = cell.far
        if far.desk.process is None:
            raise TownError("the desk is not there")
        far.desk.process.send_signal(signal.SIGSTOP)
        for _ in range(2):
            await asyncio.gather(*(tag.press() for tag in cell.tags))
            await asyncio.sleep(1)
        await _until(lambda: "being dropped" in far.broker.log.read_text(), 10, "mosquitto drops nothing")
        pressed = sum(len(tag.waiting()) for tag in cell.tags)
        await far.desk.kill()
        await asyncio.sleep(1)
        await far.desk.start()
        back_s = time.monotonic()
        await cell.settle()
        verdict.said = (
            f"{pressed} messages said to a broker that keeps 3 and said that it drops the others; all stored"
            f" and acked {time.monotonic() - back_s:.1f} s after another desk was ready"
        )
    return verdict


async def denied(folder: Path, fault: str | None, settled_s: float) -> Verdict:
    """The access list is wrong: mosquitto confirms what it denies. One tag is not heard, the other not answered."""
    verdict = Verdict("denied")
    async with _played(verdict, folder, fault, settled_s, 2) as cell:
        far, (unheard, unanswered) = cell.far, cell.tags
        right = far.broker.acl.read_text()
        far.broker.acl.write_text(
            f"user {unheard.id}\ntopic read obereg/{unheard.id}/down\n\n"
            f"user {unanswered.id}\ntopic write obereg/{unanswered.id}/up/#\n"
            f"topic read obereg/{unanswered.id}/down\n\n"
            f"user desk\ntopic read obereg/+/up/#\ntopic write obereg/{unheard.id}/down\n"
        )
        far.broker.reload()
        await asyncio.sleep(0.5)
        began_ms = now_ms()
        await asyncio.gather(*(tag.press() for tag in cell.tags))
        await asyncio.sleep(24)  # the trouble is noticed after 20 s
        there = stored(far.desk.path)
        _check(verdict, there[unheard.id] == 0, "what is denied came through")
        _check(verdict, there[unanswered.id] >= 1, "the tag that is heard is not stored")
        for tag in cell.tags:
            _check(verdict, bool(tag.waiting()), f"{tag.name} has settled what nobody answered")
            _check(verdict, tag.when("felt received", began_ms) is None, f"{tag.name} feels received")
        far.broker.acl.write_text(right)
        far.broker.reload()
        right_s = time.monotonic()
        await cell.settle()
        took_s = time.monotonic() - right_s
        for tag in cell.tags:
            await _until(
                lambda tag=tag: any("the desk does not answer" in text for text in texts(far.desk.path, tag)),  # type: ignore[misc]
                10,
                f"{tag.name} does not tell of the trouble",
            )
        verdict.said = (
            f"not settled by 24 s of PUBACKs; stored and acked {took_s:.1f} s after the list was right; both tags"
            ' told the desk "link: the desk does not answer"'
        )
    return verdict


async def stranger(folder: Path, fault: str | None, settled_s: float) -> Verdict:
    """Somebody with the tag's password takes its client id again and again; the broker throws the tag out each time."""
    verdict = Verdict("stranger")
    async with _played(verdict, folder, fault, settled_s, 1) as cell:
        [tag] = cell.tags
        taken, heard = [0], [0]
        task = asyncio.create_task(_take_over(tag, cell.far.broker.port, taken, heard))
        try:
            await asyncio.sleep(1)
            stored_s, known_s = [], []
            for _ in range(4):
                before = stored(cell.far.desk.path)[tag.id]
                began_ms = await tag.press()
                await _until(lambda: stored(cell.far.desk.path)[tag.id] > before, 30, "not stored meanwhile")  # noqa: B023
                stored_s.append((now_ms() - began_ms) / 1000)
                await asyncio.sleep(3)
                known_s.append(tag.when("felt received", began_ms))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        _check(verdict, taken[0] >= 4, f"only {taken[0]} takeovers")
        await cell.settle()
        verdict.said = (
            f"{taken[0]} takeovers; 4 presses meanwhile, stored {max(stored_s):.1f} s after the touch at the latest;"
            f" {sum(each is not None for each in known_s)} of 4 felt received within 3 s; the stranger heard"
            f" {heard[0]} answers, sealed"
        )
    return verdict


async def _take_over(tag: Worn, port: int, taken: list[int], heard: list[int]) -> None:
    """Take the client id, and again as soon as the tag has it back."""
    while True:
        with contextlib.suppress(aiomqtt.MqttError):
            async with aiomqtt.Client(
                "127.0.0.1", port, username=tag.id, password=tag.keys["broker"], identifier=tag.id, timeout=5
            ) as client:
                taken[0] += 1
                await client.subscribe(f"obereg/{tag.id}/down", qos=1)
                async for _ in client.messages:
                    heard[0] += 1


async def disk(folder: Path, fault: str | None, settled_s: float) -> Verdict:
    """The desk's disk is full: nothing is acked, it says so aloud, and goes on by itself when there is room."""
    verdict = Verdict("disk")
    with contextlib.ExitStack() as stack:
        small = folder / "disk"
        tmpfs = _mount(small)
        if tmpfs:
            stack.callback(subprocess.run, ["umount", "--lazy", str(small)], check=False)
        async with _played(verdict, folder, fault, settled_s, 2, database=small / "desk.db") as cell:
            first, second = cell.tags
            desk = cell.far.desk
            if desk.process is None:
                raise TownError("the desk is not there")
            pid = desk.process.pid
            await first.press()
            await cell.settle()
            free = _fill(small) if tmpfs else _limit(pid, desk.path)
            began = len(desk.events)
            began_ms = now_ms()
            before = rows(desk.path, "SELECT count(*) FROM messages")
            await asyncio.gather(first.press(), second.press())
            await asyncio.sleep(7)
            _check(verdict, rows(desk.path, "SELECT count(*) FROM messages") == before, "stored in no room")
            for tag in cell.tags:
                _check(verdict, bool(tag.waiting()), f"{tag.name} is acked, and not stored")
                _check(verdict, tag.when("felt received", began_ms) is None, f"{tag.name} feels received")
            _check(verdict, not desk.said("acked", began), "acked, and not stored")
            loud = [line for line in desk.log.read_text().splitlines() if "AN ALERT MAY BE LOST" in line]
            _check(verdict, bool(loud), "the desk does not say it")
            _check(verdict, bool(desk.said("refused", began)), "no event tells of it")
            free()
            free_s = time.monotonic()
            await cell.settle()
            took_s = time.monotonic() - free_s
            _check(verdict, desk.running and desk.process.pid == pid, "the desk did not go on by itself")
            why = loud[0].partition("did not commit: ")[2].partition(". The tag")[0] if loud else "?"
            verdict.said = (
                f"{'a tmpfs that is full' if tmpfs else 'RLIMIT_FSIZE, no tmpfs here'}: {len(loud)} loud errors"
                f' ("{why}"), nothing acked; the same process stored all {took_s:.1f} s after there was room'
            )
    return verdict


def _mount(at: Path) -> bool:
    """Put a small disk there; False where that is not allowed. kills.py has mounts of its own, which end with it."""
    at.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=8m", "obereg", str(at)]
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _fill(at: Path) -> Callable[[], None]:
    """Leave no room; return what gives it back."""
    path = at / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return path.unlink


def _limit(pid: int, path: Path) -> Callable[[], None]:
    """Let no file of the desk grow; return what lets them."""
    size = os.stat(f"{path}-wal").st_size
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return lambda: print(end="") if resource.prlimit(pid, resource.RLIMIT_FSIZE, before) else None


@asynccontextmanager
async def _played(
    verdict: Verdict,
    folder: Path,
    fault: str | None,
    settled_s: float,
    tags: int,
    *settings: str,
    database: Path | None = None,
) -> AsyncIterator[Cell]:
    """Broker, desk and tags around a scene; afterwards they are judged and end. What breaks off is wrong."""
    cell = Cell(folder / "town", tags, fault, settled_s, settings=settings, database=database)
    try:
        await cell.start()
        yield cell
        verdict.wrong += await cell.rest()
    except SimError as error:
        verdict.wrong.append(str(error))
    finally:
        verdict.wrong += await cell.end()


def _check(verdict: Verdict, right: bool, otherwise: str) -> None:
    if not right:
        verdict.wrong.append(otherwise)


async def _until(happened: Callable[[], bool], within_s: float, otherwise: str) -> None:
    end_s = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > end_s:
            raise TownError(f"{otherwise} (waited {within_s:g} s)")
        await asyncio.sleep(_POLL_S)


SCENES: dict[str, Callable[[Path, str | None, float], Awaitable[Verdict]]] = {
    "full": full,
    "denied": denied,
    "stranger": stranger,
    "disk": disk,
}
