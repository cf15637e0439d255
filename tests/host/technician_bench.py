"""A technician's table: simulated boards on cables, a site file, and the real commands as programs of their own."""

import asyncio
import atexit
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from sim.broker import Broker
from sim.cable import interpreter
from sim.cable.board import CableBoard
from sim.common import ROOT
from sim.programs import Programs
from tools.flasher.repl import Repl

_RUN_S = 90
_UP_S = 30
_AT_ONCE = 6
SITE = """
[tag]
board = "tag-a"
wifi = [["home", "wpa2wpa2"]]
[tag.broker]
host = "127.0.0.1"
port = {port}
tls = false
[micropython]
esp32s3 = {{version = "1.28.0", sha256 = "{sha256}"}}
"""


class Done(NamedTuple):
    """What a command did: exit status, both outputs."""

    status: int
    out: str
    err: str

    def facts(self) -> list[dict[str, Any]]:
        """The events of a --json run."""
        return [json.loads(line) for line in self.out.splitlines()]


class Table:
    """`folder` holds everything; boards are made with board()."""

    def __init__(self, folder: pathlib.Path, broker_port: int = 1883) -> None:
        self.folder = folder
        self.image = folder / "micropython.bin"
        self.image.write_bytes(interpreter.image())
        self.site = folder / "site.toml"
        sha256 = hashlib.sha256(self.image.read_bytes()).hexdigest()
        self.site.write_text(SITE.format(port=broker_port, sha256=sha256))
        self.boards: list[CableBoard] = []

    async def board(self, name: str = "a", **options: Any) -> CableBoard:
        """Put a board on the table: power on, cable in."""
        board = CableBoard(
            self.folder / f"port-{name}", self.folder / f"{name}.flash", "tag-a", **{"boot_ms": 30, **options}
        )
        await board.start()
        self.boards.append(board)
        return board

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Start a command; --port is the first board's unless one is named."""
        port = () if "--port" in words or not self.boards else ("--port", str(self.boards[0].link))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tools.flash", *words, *port, "--site", str(self.site)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def flash(self, *words: str, says: bytes = b"") -> Done:
        """Run a command to its end; `says` is what the technician types."""
        program = await self.start(*words)
        try:
            out, err = await asyncio.wait_for(program.communicate(says), _RUN_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.kill()
        return Done(program.returncode or 0, out.decode(), err.decode())

    async def talk(self, hear: Callable[[dict[str, Any]], bytes | None], *words: str) -> Done:
        """Run a command with --json; `hear` gets each event as it comes and returns what the technician types."""
        program = await self.start(*words, "--json")
        said = b""
        if program.stdin is None or program.stdout is None or program.stderr is None:
            raise RuntimeError("no pipes")
        try:
            async with asyncio.timeout(_RUN_S):
                async for line in program.stdout:
                    said += line
                    program.stdin.write(hear(json.loads(line)) or b"")
                errors = await program.stderr.read()
                status = await program.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.kill()
        return Done(status, said.decode(), errors.decode())

    async def good(self, *words: str) -> Done:
        """Run a command that must succeed."""
        done = await self.flash(*words)
        assert done.status == 0, done
        return done

    async def tag(self, **options: Any) -> CableBoard:
        """Put a tag on the table: burnt, installed and provisioned, once per run of pytest by the real commands."""
        made = (await prepared()).folder
        shutil.copy(made / "a.flash", self.folder)
        shutil.copytree(made / "registrations", self.folder / "registrations")
        return await self.board(**options)

    async def ready(self) -> None:
        """Wait until the first board has booted, which on a busy computer takes longer than a tool waits."""
        chip = self.boards[0].chip
        async with asyncio.timeout(_UP_S):
            while not (chip.loader or chip.listens()):
                await asyncio.sleep(0.02)

    async def python(self, code: str) -> str:
        """Run MicroPython at the first board's prompt; return what it printed."""
        await self.ready()

        def run() -> str:
            with Repl(str(self.boards[0].link)) as prompt:
                return prompt.run(code)

        return (await asyncio.to_thread(run)).strip()

    async def mpremote(self, *words: str) -> str:
        """Run mpremote itself at the first board's port; return what it printed."""
        # It asks once, and a chip that is booting does not hear it.
        await self.ready()
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mpremote", "connect", str(self.boards[0].link), *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(program.communicate(), _RUN_S)
        assert program.returncode == 0, out.decode()
        return out.decode()

    def registrations(self) -> list[dict[str, Any]]:
        """What the desk would import."""
        return [
            json.loads(path.read_text()) for path in sorted((self.folder / "registrations").glob("*.json"))
        ]


class Prepared(NamedTuple):
    """A provisioned board's flash (a.flash) and its registration; the bytes that each command sent over the cable."""

    folder: pathlib.Path
    passed: dict[str, int]


async def prepared() -> Prepared:
    """Burn, install and provision a board with the real commands, once; every test takes a copy."""
    if not _KEPT:
        folder = pathlib.Path(_CLEAN.enter_context(tempfile.TemporaryDirectory(prefix="obereg-")))
        table = Table(folder)
        board = await table.board()
        passed: dict[str, int] = {}
        try:
            for words in (("burn", "--image", str(table.image)), ("install",), ("provision",)):
                before = board.passed
                await table.good(*words)
                passed[words[0]] = board.passed - before
        finally:
            await board.stop()
        _KEPT.append(Prepared(folder, passed))
    return _KEPT[0]


_KEPT: list[Prepared] = []
_CLEAN = contextlib.ExitStack()
atexit.register(_CLEAN.close)


Story = Callable[[Table], Coroutine[Any, Any, None]]


def at_table(folder: pathlib.Path, story: Story) -> None:
    """Run `story` at a table in `folder`; every board is switched off at its end."""
    (failed,) = at_tables({folder: story}).values()
    if failed:
        raise failed


def at_tables(stories: dict[pathlib.Path, Story]) -> dict[pathlib.Path, Exception | None]:
    """Run several stories, some of them at the same time, for they mostly wait. Return how each failed, or None."""
    failed: dict[pathlib.Path, Exception | None] = dict.fromkeys(stories)

    async def whole(folder: pathlib.Path, story: Story, free: asyncio.Semaphore) -> None:
        async with free:
            folder.mkdir(exist_ok=True)
            table = Table(folder)
            try:
                await story(table)
            except Exception as error:  # noqa: BLE001 - the test that it is about raises it
                failed[folder] = error
            finally:
                for board in table.boards:
                    await board.stop()

    async def together() -> None:
        if len(stories) > 1:
            await prepared()
        free = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(whole(folder, story, free) for folder, story in stories.items()))

    asyncio.run(together())
    return failed


class Far:
    """The far side for commissioning: an embedded broker, and the desk as a program of its own."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._folder = table.folder
        self._database = f"sqlite:///{table.folder}/desk.db"
        self._programs = Programs(table.folder)
        self.users: dict[str, str] = {"desk": "desk's own"}
        self.broker: Broker | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        table.site.write_text(table.site.read_text().replace("port = 1883", f"port = {self.port}"))

    async def register(self) -> None:
        """Give the broker the passwords of the registrations, and run it."""
        for given in self._table.registrations():
            self.users.setdefault(given["tag"], given["broker"])
        self.broker = Broker("127.0.0.1", self.port, self.users)
        await self.broker.start()

    async def open(self) -> None:
        """Import the registrations into the desk, and run it."""
        files = [str(path) for path in sorted((self._folder / "registrations").glob("*.json"))]
        await self._programs.call("desk", "tags", "import", "--db", self._database, *files)
        os.environ["OBEREG_BROKER_PASSWORD"] = self.users["desk"]
        url = f"mqtt://desk@127.0.0.1:{self.port}"
        desk = await self._programs.start(
            "desk", "run", "--broker", url, "--db", self._database, "--events", "-"
        )
        await self._programs.first_line(desk, "desk")

    async def incidents(self) -> list[dict[str, Any]]:
        """The desk's list."""
        told = await self._programs.call("desk", "incidents", "--all", "--json", "--db", self._database)
        return list(json.loads(told))

    async def stop(self) -> None:
        """End both."""
        await self._programs.stop()
        if self.broker:
            await self.broker.stop()
