"""
A technician's table: boards on cables, each with its modem, sky and panel; one broker, one desk, a site file.

    table = Table("build/table")
    await table.start()                      # broker (mosquitto if there is one), desk, site.toml, micropython.bin
    place = await table.place("1")           # a blank board; its port is build/table/port-1
    place.board.pull(); place.board.plug()   # the cable
    await table.stop()
"""

import asyncio
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import sys
from functools import partial

from desk import tags
from sim import certs
from sim.cable import interpreter
from sim.cable.board import CableBoard
from sim.cable.orphan import end_with_parent
from sim.common import ROOT, SimError
from sim.modem import Modem
from sim.modem_wires import QuickWires, Wires
from sim.panel import Panel
from sim.programs import Programs
from sim.sky import Sky

SPEED = 10.0  # at 20 a busy computer is too slow for the payload of a certificate
APN = "obereg"
_UP_S = 20.0
# The prompt and its scripts lie beside the whole firmware, its modem and TLS: at 192 KB one in ten ran out of it.
HEAP = 216 * 1024
SITE = """\
# Of a simulated table. Your own: copy site.example.toml.
[tag]
board = "{board}"
apn = "{apn}"
[tag.broker]
host = "127.0.0.1"
port = {port}
ca = "ca.pem"
[micropython]
esp32s3 = {{version = "1.28.0", sha256 = "{sha256}"}}
[desk]
registrations = "registrations"
import = {importer}
"""


class TableError(SimError):
    """The table cannot be set up."""


class Place:
    """
    One board's place: `board` on its cable, `panel`, `modem`, `sky`. start(), stop().

    port: the name of the cable's end, where it is not the board's own.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        name: str,
        board: str,
        speed: float,
        boot_ms: int | None,
        port: str | None = None,
    ) -> None:
        self.port = folder / f"port-{port or name}"
        self.flash = folder / f"board-{name}.flash"
        self.panel = Panel()
        self.modem = Modem(folder / f"modem-{name}", speed=speed, gnss="walk")
        self.sky = Sky(folder / f"gnss-{name}", ttff_s=1.0, powered=False)
        self._wires = QuickWires(self.modem)
        self._folder, self._name, self._kind, self._boot_ms = folder, name, board, boot_ms
        self._skies: set[asyncio.Task[None]] = set()
        self.board: CableBoard

    async def start(self, plugged: bool = True) -> None:
        """Put the board on the table; `plugged`: cable in, power on."""
        await self.panel.start()
        self.panel.on_output(self._output)
        await self.modem.start()
        self.panel.on_output(Wires(self._wires))
        await self.sky.start()
        self.board = CableBoard(
            self.port,
            self.flash,
            self._kind,
            warm=True,
            panel=self.panel.address,
            gnss=self._folder / f"gnss-{self._name}",
            modem=self._folder / f"modem-{self._name}",
            boot_ms=self._boot_ms,
            wifi=False,
            heap=HEAP,
        )
        if plugged:
            await self.board.start()

    async def stop(self) -> None:
        """Take it away."""
        await self.board.stop()
        await self.sky.stop()
        await self.modem.stop()
        await self.panel.stop()

    def break_modem(self, broken: bool) -> None:
        """Cut the wire of the modem's PWRKEY, or mend it. One that is on goes off with its supply."""
        self._wires.dead = broken
        if broken:
            self.modem.supply(False)

    def _output(self, name: str, value: int, _t_ms: int) -> None:
        if name == "gnss":
            task = asyncio.create_task(self.sky.power(bool(value)))
            self._skies.add(task)
            task.add_done_callback(self._skies.discard)


class Table:
    """`folder` holds everything and is made. `speed`: of the modems. boot_ms: instead of the board's."""

    def __init__(
        self,
        folder: str | pathlib.Path,
        board: str = "tag-a",
        speed: float = SPEED,
        boot_ms: int | None = 30,
    ) -> None:
        self.folder = pathlib.Path(folder).resolve()
        self.site = self.folder / "site.toml"
        self.image = self.folder / "micropython.bin"
        self.places: list[Place] = []
        self.broker = ""  # which
        self._board, self._speed, self._boot_ms = board, speed, boot_ms
        self._programs = Programs(self.folder)
        self._mosquitto: asyncio.subprocess.Process | None = None
        self._port = 0

    @property
    def database(self) -> str:
        """The desk's."""
        return f"sqlite:///{self.folder}/desk.db"

    async def start(self) -> None:
        """Bring broker and desk up, write the site file. TableError, DemoError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        pair = self._settle()
        if not self.image.exists():
            self.image.write_bytes(interpreter.image())
        importer = [sys.executable, str(ROOT / "sim" / "cable" / "register.py"), str(self.folder), "{file}"]
        text = SITE.format(
            board=self._board,
            apn=APN,
            port=self._port,
            sha256=hashlib.sha256(self.image.read_bytes()).hexdigest(),
            importer=json.dumps(importer),
        )
        if not self.site.exists() or self.site.read_text() != text:
            self.site.write_text(text)
        password = secrets.token_hex(16)
        self._secret("desk.password", password)
        await self._start_broker(password, pair)
        url = f"mqtts://desk:{password}@localhost:{self._port}"
        desk = await self._programs.start(
            *("desk", "run", "--db", self.database, "--broker", url),
            *("--ca", str(self.folder / "ca.pem"), "--events", "-"),
        )
        await self._programs.first_line(desk, "desk")
        # What it says later must not fill the pipe.
        self._ears = asyncio.create_task(_hear(desk))

    def _settle(self) -> tuple[str, str]:
        """Take the port and the certificate that this folder has, so that its tags find their way, or new ones."""
        note, stem = self.folder / "port", self.folder / "broker"
        if note.exists():
            self._port = int(note.read_text())
            return f"{stem}.crt", f"{stem}.key"
        authority = certs.make_ca()
        (self.folder / "ca.pem").write_bytes(authority.pem)
        pair = authority.issue("localhost", "127.0.0.1").write(stem)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        note.write_text(str(self._port))
        return pair

    async def stop(self) -> None:
        """End everything."""
        for place in self.places:
            await place.stop()
        self.places.clear()
        await self._programs.stop()
        if self._mosquitto and self._mosquitto.returncode is None:
            self._mosquitto.kill()
            await self._mosquitto.wait()
        (self.folder / "mosquitto.pid").unlink(missing_ok=True)

    async def answered(self) -> set[str]:
        """Return the tags whose alert the desk has stored, hence answered."""
        told = await self._programs.call("desk", "incidents", "--all", "--json", "--db", self.database)
        return {incident["tag"] for incident in json.loads(told)}

    async def place(self, name: str, plugged: bool = True, port: str | None = None) -> Place:
        """Put another board on the table: blank, or what its flash file holds."""
        place = Place(self.folder, name, self._board, self._speed, self._boot_ms, port)
        await place.start(plugged)
        self.places.append(place)
        return place

    async def take(self, place: Place) -> None:
        """Take a board away; what its flash file holds stays."""
        if place in self.places:
            self.places.remove(place)
            await place.stop()

    async def _start_broker(self, password: str, pair: tuple[str, str]) -> None:
        path = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
        registrations = sorted((self.folder / "registrations").glob("*.json"))
        known = [each for file in registrations for each in tags.read_registrations(str(file))]
        if path is None:
            self.broker = "amqtt, inside Python"
            lines = [f"desk:{password}", *(f"{each.tag}:{each.broker.hex()}" for each in known)]
            users = self._secret("passwords", "\n".join(lines) + "\n")
            broker = await self._programs.start(
                *("sim", "broker", "--listen", f"127.0.0.1:{self._port}", "--users", str(users)),
                *("--cert", pair[0], "--key", pair[1]),
            )
            await self._programs.first_line(broker, "broker")
            return
        self.broker = "mosquitto"
        hashed = [tags.mosquitto_password("desk", password), *tags.mosquitto_passwords(known)]
        self._secret("passwords", "\n".join(hashed) + "\n")
        self._secret("acl", tags.mosquitto_acl("desk"))
        settings = [
            f"listener {self._port} 127.0.0.1",
            f"certfile {pair[0]}",
            f"keyfile {pair[1]}",
            "allow_anonymous false",
            f"password_file {self.folder}/passwords",
            f"acl_file {self.folder}/acl",
            f"pid_file {self.folder}/mosquitto.pid",
            *(["user root"] if os.geteuid() == 0 else []),
        ]
        (self.folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._mosquitto = await asyncio.create_subprocess_exec(
                *(path, "-c", str(self.folder / "mosquitto.conf")),
                stdout=log,
                stderr=log,
                process_group=0,
                # A closed terminal kills us at once; mosquitto takes a SIGHUP for a wish to read its settings again.
                preexec_fn=partial(end_with_parent, signal.SIGTERM),
            )
        try:
            async with asyncio.timeout(_UP_S):
                while not self._listens():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = (self.folder / "mosquitto.log").read_text().strip().splitlines()
            raise TableError(f"mosquitto does not start: {text[-1] if text else 'no reason given'}")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _secret(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_text(text)
        return path


async def _hear(program: asyncio.subprocess.Process) -> None:
    while program.stdout and await program.stdout.readline():
        pass
