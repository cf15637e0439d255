"""
The demo's parts: broker, desk and sky as programs of their own; panel, air and the tag's supervisor here.
"""

import argparse
import asyncio
import functools
import json
import pathlib
import secrets
import socket
import ssl
import statistics
import urllib.parse
from typing import Any

import cwt

from desk import DeskError
from desk.tags import new_identity, registration
from sim import certs, image, provision
from sim.air import Air
from sim.felt import Finger
from sim.floor import Caller
from sim.panel import Panel
from sim.programs import DemoError, Programs
from sim.story import Story
from sim.tag import TagProcess

_WIFI = ("obereg-demo", "a-key-of-the-demo")
_LOCATION, _OBEREG = 264, -65537
_LEVELS = {3: "taken by a person", 4: "closed by a person"}
_FELT = {"received": "level 1 felt", "coming": "level 3 felt", "closed": "closed felt"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _identity(path: str) -> dict[str, Any]:
    try:
        identity = json.loads(pathlib.Path(path).read_text())
        registration(identity)
    except (OSError, ValueError, DeskError) as error:
        raise DemoError(f"--identity {path}: {error}")
    return identity


class Parts:
    """All parts of one demo, their files in `folder`. start() brings them up, stop() ends them in any case."""

    def __init__(
        self, options: argparse.Namespace, folder: pathlib.Path, story: Story, nmea: pathlib.Path | None
    ) -> None:
        self.panel = Panel()
        self._options = options
        self._folder = folder
        self._story = story
        self._nmea = nmea
        self._finger = Finger()
        self._felt = 0
        self._programs = Programs(folder)
        self._reader: asyncio.Task[None] | None = None
        self._sky: asyncio.subprocess.Process | None = None
        self._acked: dict[str, list[float]] = {}  # digest: when the desk answered
        self._identity = _identity(options.identity) if options.identity else new_identity()
        self._keys = registration(self._identity)
        self._tag: TagProcess | None = None
        self._air: Air | None = None
        self._context: ssl.SSLContext | None = None
        self._name = "localhost"

    def sky_text(self) -> str:
        if self._options.no_sky:
            return "none"
        return self._nmea.name if self._nmea else "a walk made up by sim/sky.py (no recording found)"

    async def start(self) -> None:
        """Start everything, the tag last. DemoError or SimError of the part that fails."""
        url, target, ca_pem, ca_der = await self._start_broker()
        await self._start_desk(url, ca_pem)
        self._air = Air(("127.0.0.1", 0), target, latency_ms=self._options.latency)
        await self._air.start()
        await self.panel.start()
        self.panel.wifi(*_WIFI)
        self.panel.on_output(self._output)
        gnss = None if self._options.no_sky else await self._start_sky()
        config = {
            "board": self._options.board,
            "broker": {
                "host": self._air.address[0],
                "port": self._air.address[1],
                "tls": ca_der is not None,
                "name": self._name,
            },
            "wifi": [list(_WIFI)],
            "hold_ms": self._options.hold,
        }
        flash = self._folder / "tag.img"
        image.build(flash, self._options.board, provision.files(self._identity, config, ca_der))
        self._tag = TagProcess(
            flash,
            self._options.board,
            panel=self.panel.address,
            gnss=gnss,
            heap=self._options.heap,
            on_line=self._story.line,
        )
        await self._tag.start()
        self._story.add("the tag is switched on")

    async def stop(self) -> None:
        """End every part. Safe at any time."""
        await self.stop_tag()
        await self._programs.stop()
        if self._reader:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._air:
            await self._air.stop()
        await self.panel.stop()

    async def stop_tag(self) -> None:
        if self._tag:
            tag, self._tag = self._tag, None
            await tag.stop()

    def clock_known(self) -> bool:
        """Whether the tag knows the time: the desk has answered its first heartbeat."""
        return self._story.when("time known") is not None

    def awake(self) -> bool:
        """Whether the tag's button is watched."""
        return any(" I app: obereg" in line for line in self._story.console)

    def incident(self) -> str:
        """Return the desk's number of the incident."""
        return str(next(m["incident"] for m in self._story.stored if m["kind"] == 1))

    async def desk(self, *words: str) -> str:
        """Run a command of the desk, as a person there does; return what it printed."""
        return await self._programs.call("desk", *words, "--db", self._db())

    def best(self) -> dict[str, Any] | None:
        """Return {lat_e7, lon_e7, token} of the most accurate position at the desk: its last message."""
        found = None
        for message in self._story.stored:
            place = message["claims"].get(_LOCATION)
            # <=: of equally accurate ones the latest.
            if place and (found is None or place[4] <= found["accuracy_m"]):
                found = {
                    "lat_e7": round(place[1] * 10**7),
                    "lon_e7": round(place[2] * 10**7),
                    "accuracy_m": place[4],
                    "token": message["token"],
                }
        return found

    def result(self) -> dict[str, Any]:
        """Return the JSON file's content, as far as the story went; times in ms."""
        story, best = self._story, self.best()
        alert = next((m["token"] for m in story.stored if m["kind"] == 1), None)
        token = best["token"] if best else alert
        began = story.began_ms

        def span(start: str, end: str) -> float | None:
            # The interrupt may be stamped a moment before our own clock was read.
            first = began if start == "pressed" else story.when(start, began - 20)
            last = story.when(end, began) if first else None
            return round(float(last - first), 1) if last and first else None

        return {
            "verified": bool(token and self._claims(token)),
            "board": self._options.board,
            "bearer": self._options.bearer,
            "lat_e7": best["lat_e7"] if best else None,
            "lon_e7": best["lon_e7"] if best else None,
            "token_hex": token,
            "token_bytes": len(token) // 2 if token else None,
            "touch_to_latched_ms": span("touch", "latched"),
            "latched_to_flash_ms": span("latched", "on flash"),
            "press_to_publish_ms": span("pressed", "published"),
            "press_to_desk_ms": span("pressed", "at the desk"),
            "press_to_ack_felt_ms": span("pressed", "level 1 felt"),
            "link_floor_ms": None,
            "hold_ms": self._options.hold,
            "keys": {"up": self._keys["up"], "tag": self._keys["tag"]},
            "events": [
                {"t_ms": round(t - began, 1), "what": what, **({"detail": detail} if detail else {})}
                for t, what, detail in sorted(story.events)
            ],
        }

    async def floor(self, tries: int) -> float:
        """Return the median ms from writing the alert's bytes on a bare session to the desk's answer."""
        alert = next(m for m in self._story.stored if m["kind"] == 1)
        if self._air is None:
            raise DemoError("no link to measure")
        try:
            caller = await Caller.open(
                self._air.address, self._context, self._name, self._keys["tag"], self._keys["broker"]
            )
        except (OSError, TimeoutError) as error:
            raise DemoError(f"the scripted caller gets no session: {error}")
        spans: list[float] = []
        answers = self._acked.setdefault(alert["digest"], [])
        before = len(answers)
        for _ in range(tries):
            began_ms = await caller.publish(bytes.fromhex(alert["token"]))
            wanted = before + len(spans) + 1
            enough = functools.partial(self._answers, alert["digest"], wanted)
            await self._story.until(enough, 20, "the desk does not repeat its ack")
            spans.append(answers[wanted - 1] - began_ms)
        await caller.close()
        return round(statistics.median(spans), 1)

    def _answers(self, digest: str, count: int) -> bool:
        return len(self._acked[digest]) >= count

    def _claims(self, token: str) -> dict[Any, Any]:
        """The claims of a token, verified with the tag's `up` key by a library of somebody else."""
        kid = bytes.fromhex(self._keys["tag"]) + bytes([self._keys["generation"]])
        key = cwt.COSEKey.new({1: 4, 2: kid, 3: 5, -1: bytes.fromhex(self._keys["up"])})
        claims = cwt.decode(bytes.fromhex(token), key)
        return claims if isinstance(claims, dict) else {}

    def _db(self) -> str:
        return f"sqlite:///{self._folder.resolve()}/desk.db"

    def _output(self, name: str, value: int, t_ms: int) -> None:
        if name == "gnss" and self._sky and self._sky.stdin:
            self._sky.stdin.write(b"on\n" if value else b"off\n")
        if name != "vibration":
            return
        self._finger.edge(value, t_ms)
        # A pattern may be the beginning of a longer one: the last is sure only when the next has begun,
        # but each that we wait for is the longest that begins as it does.
        felt = self._finger.felt()
        for at_ms, signal in felt[self._felt :]:
            if signal in _FELT:
                self._felt = len(felt)
                self._story.add(_FELT[signal], at_ms)

    async def _start_broker(self) -> tuple[str, tuple[str, int], pathlib.Path | None, bytes | None]:
        if self._options.broker:
            return self._foreign_broker()
        authority = certs.make_ca()
        ca_pem = self._folder / "ca.pem"
        ca_pem.write_bytes(authority.pem)
        cert, key = authority.issue("localhost", "127.0.0.1").write(self._folder / "broker")
        self._context = ssl.create_default_context(cadata=authority.pem.decode())
        password, port = secrets.token_hex(16), _free_port()
        users = self._folder / "users.txt"
        users.touch(0o600)
        users.write_text(f"desk:{password}\n{self._keys['tag']}:{self._keys['broker']}\n")
        broker = await self._programs.start(
            *("sim", "broker", "--listen", f"127.0.0.1:{port}", "--users", str(users)),
            *("--cert", cert, "--key", key),
        )
        await self._programs.first_line(broker, "broker")
        return f"mqtts://desk:{password}@localhost:{port}", ("127.0.0.1", port), ca_pem, authority.der

    def _foreign_broker(self) -> tuple[str, tuple[str, int], pathlib.Path | None, bytes | None]:
        url = urllib.parse.urlsplit(self._options.broker)
        if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
            raise DemoError(f"--broker {self._options.broker}: say mqtt[s]://user:password@host:port")
        port = url.port or (8883 if url.scheme == "mqtts" else 1883)
        if url.scheme == "mqtt":
            return self._options.broker, (url.hostname, port), None, None
        if not self._options.ca:
            raise DemoError("--broker mqtts:// needs --ca FILE: the tag trusts no other CA")
        try:
            pem = pathlib.Path(self._options.ca).read_text()
            ca_der = ssl.PEM_cert_to_DER_cert(pem)
        except (OSError, ValueError) as error:
            raise DemoError(f"--ca {self._options.ca}: {error}")
        self._name = url.hostname
        self._context = ssl.create_default_context(cadata=pem)
        return self._options.broker, (url.hostname, port), pathlib.Path(self._options.ca), ca_der

    async def _start_desk(self, url: str, ca_pem: pathlib.Path | None) -> None:
        keys = self._folder / "registration.json"
        keys.touch(0o600)
        keys.write_text(json.dumps(self._keys))
        await self.desk("tags", "import", str(keys))
        ca = ("--ca", str(ca_pem)) if ca_pem else ()
        program = await self._programs.start(
            "desk", "run", "--db", self._db(), "--broker", url, *ca, "--events", "-"
        )
        self._desk_event(await self._programs.first_line(program, "desk"))
        self._reader = asyncio.create_task(self._read_desk(program))

    async def _read_desk(self, program: asyncio.subprocess.Process) -> None:
        while program.stdout and (line := await program.stdout.readline()):
            self._desk_event(line)

    def _desk_event(self, line: bytes) -> None:
        event = json.loads(line)
        story, t_ms = self._story, event["t_ms"]
        if event["what"] == "ready":
            story.add("the desk is ready", t_ms)
        elif event["what"] == "stored":
            event["claims"] = self._claims(event["token"])
            story.stored.append(event)
            if event["kind"] == 1:
                story.add("at the desk", t_ms, f"alert, {len(event['token']) // 2} bytes")
            elif event["kind"] == 3:
                place = event["claims"].get(_LOCATION)
                story.add("update at the desk", t_ms, f"{place[1]:.7f} {place[2]:.7f}" if place else "")
            elif event["kind"] == 4:
                story.add("heartbeat at the desk", t_ms)
        elif event["what"] == "acked":
            self._acked.setdefault(event["digest"], []).append(t_ms)
        elif event["what"] == "level" and event["level"] in _LEVELS:
            story.add(_LEVELS[event["level"]], t_ms)
        elif event["what"] == "refused" and event.get("kind") == 7:
            # Sealed when the session opened, said by the broker when the tag went off: older than all that was said.
            story.add("the will, void", t_ms)
        elif event["what"] == "refused":
            story.add("refused by the desk", t_ms, event.get("reason", ""))

    async def _start_sky(self) -> pathlib.Path:
        link = self._folder / "gnss"
        nmea = ("--nmea", str(self._nmea)) if self._nmea else ()
        self._sky = await self._programs.start(
            *("sim", "sky", "--pty", str(link), "--ttff", str(self._options.ttff), "--stdin", *nmea),
            stdin=True,
        )
        await self._programs.first_line(self._sky, "sky")
        return link
