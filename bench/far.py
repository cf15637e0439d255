"""The far end of a row: a broker and a desk, programs of their own. The broker can be killed and comes back."""

import asyncio
import json
import pathlib
import secrets
import shutil
import socket
from collections.abc import Sequence

from bench.tags import Tag
from sim.programs import Programs

_UP_S = 20.0
_POLL_S = 0.02


def mosquitto() -> str | None:
    """Return the path of mosquitto, or None: then the broker is the one of sim/broker.py."""
    return shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


class Far:
    """
    start() brings both up, stop() ends them. `port`: where the broker listens, on all addresses. `tags` are known to
    both, and told each event of the desk (desk/events.py).
    """

    def __init__(self, folder: pathlib.Path, tags: Sequence[Tag]) -> None:
        self.port = _free_port()
        self.ready = asyncio.Event()  # the desk hears
        self._folder, self._tags = folder, tags
        self._password = secrets.token_hex(16)
        self._programs = Programs(folder)
        self._broker: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._desk = f"sqlite:///{folder.resolve()}/desk.db"

    async def start(self) -> None:
        keys = [tag.keys for tag in self._tags]
        users = "".join(f"{key['tag']}:{key['broker']}\n" for key in keys)
        self._file("users.txt", f"desk:{self._password}\n{users}")
        # Nobody but us reaches this broker, so it checks no password. As root mosquitto would become a user that a
        # namespace does not have.
        settings = ("user root", "allow_anonymous true", "set_tcp_nodelay true")
        self._file("mosquitto.conf", "\n".join((f"listener {self.port} 0.0.0.0", *settings, "")))
        await self.broker_start()
        path = self._file("registrations", "".join(json.dumps(key) + "\n" for key in keys))
        await self.call("tags", "import", str(path))
        url = f"mqtt://desk:{self._password}@127.0.0.1:{self.port}"
        desk = await self._programs.start("desk", "run", "--db", self._desk, "--broker", url, "--events", "-")
        self._reader = asyncio.create_task(self._read(desk))
        await asyncio.wait_for(self.ready.wait(), _UP_S)

    async def stop(self) -> None:
        # The desk first: without its broker it takes longer to end.
        await self._programs.stop()
        await self.broker_kill()
        if self._reader:
            # To the end of its output; what is left of it would outlive the loop.
            await asyncio.wait_for(self._reader, _UP_S)

    async def call(self, *words: str) -> None:
        """Run a command of the desk, as a person there does."""
        await self._programs.call("desk", *words, "--db", self._desk)

    async def broker_start(self) -> None:
        """Start the broker; returns when it listens."""
        path = mosquitto()
        if path:
            command = [path, "-c", str(self._folder / "mosquitto.conf")]
            with (self._folder / "broker.log").open("ab") as log:
                self._broker = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        else:
            users = str(self._folder / "users.txt")
            words = ("sim", "broker", "--listen", f"0.0.0.0:{self.port}", "--users", users)
            self._broker = await self._programs.start(*words)
        async with asyncio.timeout(_UP_S):
            while not _listens(self.port):
                await asyncio.sleep(_POLL_S)

    async def broker_kill(self) -> None:
        """kill -9."""
        broker, self._broker = self._broker, None
        if broker and broker.returncode is None:
            broker.kill()
            await broker.wait()

    async def _read(self, desk: asyncio.subprocess.Process) -> None:
        while desk.stdout and (line := await desk.stdout.readline()):
            event = json.loads(line)
            if event["what"] == "ready":
                self.ready.set()
            elif event["what"] == "lost_broker":
                self.ready.clear()
            for tag in self._tags:
                tag.on_event(event)

    def _file(self, name: str, text: str) -> pathlib.Path:
        path = self._folder / name
        path.touch(0o600)
        path.write_text(text)
        return path


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
