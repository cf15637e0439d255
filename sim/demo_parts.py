"""
The demo's parts: broker, desk and sky as programs of their own; panel, air, modem and the tag's supervisor here.
"""

import argparse
import asyncio
import json
import pathlib
import statistics
from typing import Any

from desk import DeskError
from desk.tags import new_identity, registration
from sim import image, provision
from sim.air import Air
from sim.demo_desk import Broker, FarSide
from sim.demo_modem import APN, ModemSide
from sim.demo_result import result
from sim.felt import Finger
from sim.floor import Caller
from sim.panel import Panel
from sim.programs import DemoError, Programs
from sim.story import Story
from sim.tag import TagProcess

_WIFI = ("obereg-demo", "a-key-of-the-demo")
_FELT = {"received": "level 1 felt", "coming": "level 3 felt", "closed": "closed felt"}


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
        self._options, self._folder, self._story, self._nmea = options, folder, story, nmea
        self._finger = Finger()
        self._felt = 0
        self._identity = _identity(options.identity) if options.identity else new_identity()
        self._keys = registration(self._identity)
        self._programs = Programs(folder)
        self.far = FarSide(options, folder, story, self._programs, self._keys)
        self._board = json.loads(image.board_map(options.board))
        # A board without a receiver of its own looks at the sky through its modem.
        self.own_sky = "gnss" in self._board
        self._modem: ModemSide | None = None
        if options.bearer == "modem":
            sky = None if options.no_sky or self.own_sky else self._nmea or "walk"
            self._modem = ModemSide(options, folder, story, self.panel, sky)
        self._broker: Broker | None = None
        self._way = ("", 0)
        self._sky: asyncio.subprocess.Process | None = None
        self._tag: TagProcess | None = None
        self._air: Air | None = None
        self._floor_ms: float | None = None
        self._dialogue: list[dict[str, Any]] = []

    def sky_text(self) -> str:
        if self._options.no_sky or not (self.own_sky or self._modem):
            return "none"
        where = "" if self.own_sky else ", through the modem"
        return f"{self._nmea.name if self._nmea else 'a walk made up by the simulator (no recording found)'}{where}"

    async def start(self) -> None:
        """Start everything, the tag last. DemoError or SimError of the part that fails."""
        broker = self._broker = await self.far.start()
        self._air = Air(("127.0.0.1", 0), (broker.host, broker.port), latency_ms=self._options.latency)
        await self._air.start()
        self._way = self._air.address
        if self._modem and broker.foreign and broker.ca_pem:
            # A modem compares the certificate with the host that it calls: a broker of another name is called as such.
            self._way = (broker.host, broker.port)
        await self.panel.start()
        self.panel.on_output(self._output)
        if self._modem:
            await self._modem.start()
        else:
            self.panel.wifi(*_WIFI)
        gnss = await self._start_sky() if self.own_sky and not self._options.no_sky else None
        flash = self._folder / "tag.img"
        flash.with_name(flash.name + ".nvs").unlink(missing_ok=True)  # of another tag that was kept there
        files = provision.files(self._identity, self._config(broker), broker.ca_der)
        image.build(flash, self._options.board, files)
        self._tag = TagProcess(
            flash,
            self._options.board,
            panel=self.panel.address,
            gnss=gnss,
            modem=self._modem.link if self._modem else None,
            heap=self._options.heap,
            on_line=self._story.line,
            wifi=self._modem is None,
        )
        await self._tag.start()
        self._story.add("the tag is switched on")

    def _config(self, broker: Broker) -> dict[str, Any]:
        host, port = self._way
        return {
            "board": self._options.board,
            "broker": {"host": host, "port": port, "tls": broker.ca_pem is not None, "name": broker.name},
            "hold_ms": self._options.hold,
            **({"apn": APN, "wifi": []} if self._modem else {"wifi": [list(_WIFI)]}),
        }

    async def stop(self) -> None:
        """End every part. Safe at any time."""
        await self.stop_tag()
        await self._programs.stop()
        await self.far.stop()
        if self._air:
            await self._air.stop()
        await self.panel.stop()
        if self._modem:
            await self._modem.stop()

    async def stop_tag(self) -> None:
        """Cut the tag's power; what its modem has heard until then is kept for the result."""
        if self._tag:
            tag, self._tag = self._tag, None
            if self._modem:
                self._dialogue = self._modem.dialogue()
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

    def result(self) -> dict[str, Any]:
        """Return the JSON file's content, as far as the story went."""
        options, began_ms = self._options, None
        if self._modem and options.origin == "cold":
            began_ms = min(self._story.began_ms, self._modem.switched_on_ms() or self._story.began_ms)
        return {
            "board": options.board,
            "bearer": options.bearer,
            "from": options.origin,
            **result(self._story, self._keys, options.hold, began_ms, self._floor_ms),
            "modem_dialogue": self._dialogue,
        }

    async def measure_floor(self, tries: int) -> None:
        """Measure what the same bytes need without the tag; it must be off, because its session has the same name."""
        if self._broker is None or self._air is None:
            raise DemoError("no link to measure")
        if self._modem:
            self._floor_ms = await self._modem.floor(self.far, self._broker, self._way, self._keys, tries)
        elif self._options.origin == "attached":
            self._floor_ms = await self._wifi_floor(self._broker, tries)

    async def _wifi_floor(self, broker: Broker, tries: int) -> float:
        """The median ms from writing the alert's bytes on a bare session to the desk's answer."""
        try:
            caller = await Caller.open(
                self._way, broker.context, broker.name, self._keys["tag"], self._keys["broker"]
            )
        except (OSError, TimeoutError) as error:
            raise DemoError(f"the scripted caller gets no session: {error}")
        alert = next(m for m in self._story.stored if m["kind"] == 1)
        spans = [await self.far.another(alert, caller.publish) for _ in range(tries)]
        await caller.close()
        return round(statistics.median(spans), 1)

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

    async def _start_sky(self) -> pathlib.Path:
        link = self._folder / "gnss"
        nmea = ("--nmea", str(self._nmea)) if self._nmea else ()
        self._sky = await self._programs.start(
            *("sim", "sky", "--pty", str(link), "--ttff", str(self._options.ttff), "--stdin", *nmea),
            stdin=True,
        )
        await self._programs.first_line(self._sky, "sky")
        return link
