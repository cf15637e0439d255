"""
mosquitto and the desk, programs of their own: started, killed with -9 and started again as often as you like.

The broker has the passwords and the access list that `desk tags export` writes, and the settings of desk/README.md.
"""

import asyncio
import contextlib
import fcntl
import io
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from desk.__main__ import main as desk_main
from desk.incidents import act
from desk.store import Store, unix_ms
from desk.token import CLOSED
from faults.town import TownError
from faults.town.breaks import desk_words

DESK_USER = "desk"
_PASSWORD = "OBEREG_BROKER_PASSWORD"
_UP_S = 30.0
_POLL_S = 0.02
# The least that Linux gives a pipe: soon full.
_PIPE_BYTES = 4096


def mosquitto() -> str | None:
    """Return the path of mosquitto, or None."""
    return shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


class Broker:
    """mosquitto at `port`. `acl` is its access list; write it anew and call reload()."""

    def __init__(self, folder: Path, host: str, settings: Sequence[str]) -> None:
        self.port = _free_port()
        self.acl = folder / "acl"
        self.log = folder / "broker.log"
        self.kills = 0
        self._conf = folder / "mosquitto.conf"
        self._process: asyncio.subprocess.Process | None = None
        lines = (
            "user root",  # as root mosquitto would become a user that cannot read this folder
            f"listener {self.port} {host}",
            "allow_anonymous false",
            f"password_file {folder}/passwords",
            f"acl_file {self.acl}",
            "set_tcp_nodelay true",
            *settings,
        )
        self._conf.write_text("".join(line + "\n" for line in lines))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, wait: bool = True) -> None:
        """Start it; returns when it listens, or at once. TownError when it does not."""
        path = mosquitto()
        if path is None:
            raise TownError("mosquitto is not installed (apt-get install mosquitto)")
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                path, "-c", str(self._conf), stdout=log, stderr=log
            )
        if not wait:
            return
        try:
            async with asyncio.timeout(_UP_S):
                while not _listens(self.port):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise TownError(f"mosquitto does not listen: {self.log.read_text()[-400:]}")

    def reload(self) -> None:
        """Let it read its files again."""
        if self._process:
            self._process.send_signal(1)

    async def kill(self) -> None:
        """kill -9, if it runs."""
        process, self._process = self._process, None
        if process and process.returncode is None:
            self.kills += 1
            process.kill()
            await process.wait()


class Desk:
    """`python -m desk run` on the database `path`. `events`: what it said, of all its lives."""

    def __init__(self, folder: Path, path: Path, port: int, fault: str | None) -> None:
        self.path = path
        self.ready = asyncio.Event()
        self.events: list[dict[str, Any]] = []
        self.log = folder / "desk.log"
        self.password = secrets.token_hex(16)
        self.kills = 0
        self.before: list[str] = []  # words before the interpreter's
        self.process: asyncio.subprocess.Process | None = None
        self._port, self._fault = port, fault
        self._transport: asyncio.ReadTransport | None = None
        self._filler = -1
        self._readers: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self, wait: bool = True) -> None:
        """Start it; returns when it is ready, or at once. TownError when it is not."""
        self.ready.clear()
        ours, theirs = os.pipe()
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        url = f"mqtt://{DESK_USER}@127.0.0.1:{self._port}"
        words = ["run", "--db", f"sqlite:///{self.path}", "--broker", url, "--events", "-"]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.before,
                *(sys.executable, *desk_words(self._fault), *words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=log,
                env={**os.environ, _PASSWORD: self.password},
            )
        # Opened again, so that not waiting for room is ours alone.
        self._filler = os.open(f"/proc/self/fd/{theirs}", os.O_WRONLY | os.O_NONBLOCK)
        os.close(theirs)
        reader = asyncio.StreamReader()
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
        task = asyncio.create_task(self._read(reader, self.process))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        if wait:
            await self.until_ready()

    async def until_ready(self) -> None:
        try:
            await asyncio.wait_for(self.ready.wait(), _UP_S)
        except TimeoutError:
            raise TownError(f"the desk is not ready: {self.log.read_text()[-400:]}")

    def hold_events(self) -> None:
        """
        Fill the pipe of its events and read no more: the desk stops at its next word.

        That is "stored", after the commit and before the answer.
        """
        if self._transport:
            self._transport.pause_reading()
        for size in (512, 1):
            try:
                while os.write(self._filler, b"\n" * size):
                    pass
            except BlockingIOError:
                pass

    async def kill(self) -> None:
        """kill -9, if it runs."""
        process, self.process = self.process, None
        self.ready.clear()
        if process and process.returncode is None:
            self.kills += 1
            process.kill()
            await process.wait()
        if self._filler >= 0:
            os.close(self._filler)
            self._filler = -1
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()
        await asyncio.gather(*self._readers)

    def said(self, what: str, after: int = 0) -> list[dict[str, Any]]:
        """The events of that kind, from number `after` of all events on."""
        return [event for event in self.events[after:] if event["what"] == what]

    async def _read(self, reader: asyncio.StreamReader, process: asyncio.subprocess.Process) -> None:
        while line := await reader.readline():
            if not line.endswith(b"}\n"):
                continue  # what fills the pipe, or a word that was cut
            self.events.append(event := json.loads(line))
            if process is self.process and event["what"] == "ready":
                self.ready.set()
            elif process is self.process and event["what"] == "lost_broker":
                self.ready.clear()


class Far:
    """A broker and a desk that know the tags of `registrations`. prepare(), then start(); end() in any case."""

    def __init__(
        self,
        folder: Path,
        registrations: Sequence[dict[str, Any]],
        *,
        host: str = "127.0.0.1",
        fault: str | None = None,
        settings: Sequence[str] = (),
        database: Path | None = None,
    ) -> None:
        self.broker = Broker(folder, host, settings)
        self.desk = Desk(folder, database or folder / "desk.db", self.broker.port, fault)
        path = folder / "registrations"
        path.write_text("".join(json.dumps(each) + "\n" for each in registrations))
        database = ("--db", f"sqlite:///{self.desk.path}")
        out = ("--desk-user", DESK_USER, "--out")
        os.environ[_PASSWORD] = self.desk.password
        with contextlib.redirect_stdout(io.StringIO()):
            for words in (
                ("import", str(path), *database),
                ("export", "--mosquitto", *database, *out, str(folder / "passwords")),
                ("export", "--acl", *database, *out, str(self.broker.acl)),
            ):
                if desk_main(["tags", *words]):
                    raise TownError(f"desk tags {words[0]} failed")

    async def start(self) -> None:
        await self.broker.start()
        await self.desk.start()

    async def end(self) -> None:
        await self.desk.kill()
        await self.broker.kill()

    def close(self, number: int | None = None) -> int:
        """What a person does with `desk close`, to an incident or to all; return how many were open."""
        store = Store(str(self.desk.path))
        try:
            with store.transaction():
                wanted = [each for each in store.incidents() if number in (None, each.id)]
                for incident in wanted:
                    if incident.level != CLOSED:
                        act(incident, "close", unix_ms())
                        store.put_incident(incident)
                        store.put_act(incident, "close", "the campaign")
            return len(wanted)
        finally:
            store.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
