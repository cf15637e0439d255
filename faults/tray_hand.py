"""The technician of the tray campaign: starts `all` as a program of its own, presses, answers, moves the boards."""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from littlefs import LittleFS, LittleFSError
from littlefs.context import UserContext

from sim.cable.world import Place, Table
from sim.common import ROOT
from tools.flasher import image

RUN_S = 1800.0
Event = dict[str, Any]


class Ended(NamedTuple):
    """How a run of `all` ended: exit status (-9: killed), its events, what it wrote to both outputs."""

    status: int
    events: list[Event]
    said: str

    def last(self, name: str) -> Any:
        """Return what the last event that has `name` says there, or None."""
        return next((event[name] for event in reversed(self.events) if name in event), None)


class Hand:
    """`at`: which board lies at which port. on_event: called with each event before the hand moves."""

    def __init__(self, table: Table, on_event: Callable[[Event], None] = lambda event: None) -> None:
        self.at: dict[str, Place] = {}
        self.program: asyncio.subprocess.Process | None = None
        self._table, self._on_event = table, on_event

    async def all(self, *words: str, plain: bool = False) -> Ended:
        """
        Run `all` at the ports of `at` to its end. plain: without --json, as a person reads it; nobody answers then.
        """
        ports = [word for port in self.at for word in ("--port", port)]
        command = [sys.executable, "-m", "tools.flash", "all", *([] if plain else ["--json"]), *words, *ports]
        command += ["--site", str(self._table.site), "--image", str(self._table.image)]
        program = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        self.program = program
        if program.stdin is None or program.stdout is None or program.stderr is None:
            raise RuntimeError("no pipes")
        errors = asyncio.create_task(program.stderr.read())
        events, said = list[Event](), b""
        try:
            async with asyncio.timeout(RUN_S):
                async for line in program.stdout:
                    said += line
                    if plain:
                        continue
                    try:
                        event = json.loads(line)
                    except ValueError:
                        events.append({"error": "no JSON", "text": repr(line)})
                        continue
                    events.append(event)
                    self._on_event(event)
                    answer = self._act(event)
                    if answer:
                        with contextlib.suppress(OSError):
                            program.stdin.write(answer)
                await program.wait()
        except TimeoutError:
            events.append({"error": "hangs", "text": f"no end after {RUN_S:g} s"})
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.send_signal(signal.SIGKILL)
            await program.wait()
        said += await errors
        return Ended(program.returncode or 0, events, said.decode(errors="replace"))

    def _act(self, event: Event) -> bytes | None:
        place = self.at.get(event["port"])
        if place and event.get("step") == "press":
            place.panel.set("button", 1)
        elif place and event.get("step") == "latched":
            place.panel.set("button", 0)
        return b"y\n" if "question" in event else None


class OnFlash(NamedTuple):
    """What lies on a board's flash: id and root (nothing else may know it), and whether the mark is there."""

    identity: bytes | None
    service: bool


def on_flash(flash: pathlib.Path) -> OnFlash:
    """Read a switched-off board's flash file."""
    data = flash.read_bytes()
    try:
        place = image.file_system(data[image.TABLE : image.TABLE + image.TABLE_BYTES])
        system = LittleFS(
            context=UserContext(buffer=bytearray(data[place.offset : place.offset + place.size])),
            block_size=4096,
            block_count=place.size // 4096,
            read_size=32,
            prog_size=32,
            cache_size=128,
            lookahead_size=32,
            mount=False,
        )
        system.mount()
    except (image.ImageError, LittleFSError):
        return OnFlash(None, False)

    def read(name: str) -> bytes | None:
        try:
            with system.open(name, "rb") as file:
                return bytes(file.read())
        except (LittleFSError, OSError):
            return None

    record = read("data/identity")
    return OnFlash(record[8:48] if record and len(record) >= 48 else None, read("data/service") is not None)


def written(folder: pathlib.Path) -> dict[str, bytes]:
    """Return every file below `folder`, but the registrations, which are meant to hold keys, and the boards."""
    found = {}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "registrations"]
        for name in names:
            path = pathlib.Path(root) / name
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found
