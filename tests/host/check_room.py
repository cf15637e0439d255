"""A technician's table for `check`: a tag with battery, button, modem, sky, Wi-Fi and a broker around it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sim import certs
from sim.broker import Broker
from sim.cable.board import CableBoard
from sim.modem import Modem
from sim.modem_wires import QuickWires, Wires
from sim.panel import Panel
from sim.sky import Sky
from tests.host.technician_bench import Far, Table
from tools.flasher.check import check
from tools.flasher.errors import FlashError
from tools.flasher.provision import provision
from tools.flasher.show import Screen
from tools.flasher.site import load

# The modem waits 1 s for a payload, which is 100 ms here: a busy computer needs some of it.
SPEED = 10.0
HOST = "localhost"
OURS, OTHERS = certs.make_ca(), certs.make_ca()


class Room:
    """`panel`, `modem`, `sky`, `table`, `far`; `check()` runs the command with a technician who does what it asks."""

    def __init__(self, table: Table, *, gnss: str | None = None, ttff_s: float = 0.5, **modem: Any) -> None:
        self.table = table
        self.folder = table.folder
        self.panel = Panel()
        self.modem = Modem(self.folder / "modem", speed=SPEED, gnss=gnss, **modem)
        self.sky = Sky(self.folder / "sky", ttff_s=ttff_s, powered=False)
        self.far = Far(table)
        self.felt: list[str] = []
        self.presses = True
        self.no: set[str] = set()  # questions, by a word in them, that are answered with no
        # Of its own: the loop's few threads look names up, and others would wait for these commands.
        self._thread = ThreadPoolExecutor(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def site(self, old: str, new: str) -> None:
        """Change the site file."""
        text = self.table.site.read_text()
        assert old in text
        self.table.site.write_text(text.replace(old, new))

    @contextlib.asynccontextmanager
    async def open(
        self,
        *,
        apn: str | None = "obereg",
        pair: certs.Pair | None = None,
        wifi: bool = True,
        wired: tuple[str, ...] = ("modem", "gnss"),
        provisioned: bool = True,
    ) -> AsyncIterator["Room"]:
        """Put everything on the table. `pair`: the broker's certificate, None: no TLS. `wired`: what the tag has."""
        await self.panel.start()
        await self.modem.start()
        self.panel.on_output(Wires(QuickWires(self.modem)))
        await self.sky.start()
        self.panel.on_output(self._output)
        self.panel.set("charger", 1)
        if apn is not None:
            self.site("wifi = ", f'apn = "{apn}"\nwifi = ')
        if pair:
            (self.folder / "ca.der").write_bytes(OURS.der)
            self.site('host = "127.0.0.1"', f'host = "{HOST}"')
            self.site("tls = false", 'ca = "ca.der"')
        if wifi:
            self.panel.wifi("home", "wpa2wpa2")
        paths = {"modem": self.folder / "modem", "gnss": self.folder / "sky"}
        self.options = {name: path for name, path in paths.items() if name in wired}
        try:
            await self.table.tag(panel=self.panel.address, **self.options)
            if provisioned:
                await self.provision()
            await self.far.register()
            if pair:
                await self._secure(pair)
            yield self
        finally:
            for board in self.table.boards:
                await board.stop()
            await self.far.stop()
            await self.modem.stop()
            await self.sky.stop()
            await self.panel.stop()
            self._thread.shutdown()

    async def _secure(self, pair: certs.Pair) -> None:
        if self.far.broker is None:
            raise RuntimeError("no broker")
        await self.far.broker.stop()
        cert, key = pair.write(self.folder / "broker")
        self.far.broker = Broker("127.0.0.1", self.far.port, self.far.users, (str(cert), str(key)))
        await self.far.broker.start()

    async def another(self, name: str) -> None:
        """The same flash on another board."""
        (old,) = self.table.boards
        await old.stop()
        board = CableBoard(
            old.link, old.chip.flash, name, boot_ms=30, panel=self.panel.address, **self.options
        )
        await board.start()
        self.table.boards[:] = [board]

    async def _work(self, command: Callable[[], object]) -> None:
        await self.table.ready()
        await asyncio.get_running_loop().run_in_executor(self._thread, command)

    async def provision(self) -> None:
        """Give the tag this site's settings."""
        port = str(self.table.boards[0].link)
        await self._work(lambda: provision(port, load(self.table.site), Person(lambda event: None, set())))

    async def check(self, search_s: int = 6, then: Callable[[dict[str, Any]], None] | None = None) -> "Told":
        """Run `check`; `then` gets each event first."""
        loop = asyncio.get_running_loop()

        def heard(event: dict[str, Any]) -> None:
            if then:
                then(event)
            if event.get("step") == "press":
                self.panel.set("button", int(self.presses))
            elif event.get("step") == "latched":
                self.panel.set("button", 0)

        person = Person(lambda event: loop.call_soon_threadsafe(heard, event), self.no)
        port = str(self.table.boards[0].link)
        status = 0
        figures: dict[str, Any] = {}
        try:
            await self._work(lambda: check(port, load(self.table.site), person, figures, 2, search_s))
        except FlashError as error:
            if not person.events:
                raise
            status = error.status
        return Told(status, person.events, figures)

    def _output(self, name: str, value: int, _: int) -> None:
        if name == "gnss":
            task = asyncio.create_task(self.sky.power(bool(value)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if name in ("vibration", "light") and value:
            self.felt.append(name)


class Person(Screen):
    """Who sits in front of the screen: sees what it says, answers yes but to questions with a word of `no` in them."""

    def __init__(self, see: Callable[[dict[str, Any]], object], no: set[str]) -> None:
        super().__init__(as_json=True)
        self.events: list[dict[str, Any]] = []
        self._see = see
        self._no = no

    def say(self, port: str, text: str, /, **facts: Any) -> None:
        """Remember it and do what it asks."""
        event = json.loads(json.dumps({"said": text, **facts}))
        self.events.append(event)
        self._see(event)

    def ask(self, port: str, question: str, first: Callable[[], object] | None = None) -> bool:
        """Have it done, then answer."""
        if first:
            first()
        return not any(word in question for word in self._no)


class Told:
    """What `check` told: `status`, `figures`, `parts` (the last event of each), `kinds` of the parts that failed."""

    def __init__(self, status: int, events: list[dict[str, Any]], figures: dict[str, Any]) -> None:
        self.status = status
        self.figures = figures
        self.events = events
        self.parts = {each["part"]: each for each in self.events if "ok" in each and "part" in each}
        self.kinds = {name: each["error"] for name, each in self.parts.items() if "error" in each}
        self.untried = {
            name: each["needs"]
            for name, each in self.parts.items()
            if each["ok"] is False and "needs" in each
        }
        self.lacking = {name for name, each in self.parts.items() if each["ok"] is None}
        self.good = {name for name, each in self.parts.items() if each["ok"]}
        # Results of the tag's scripts are not for the screen.
        assert not any("\x1e" in event["said"] for event in events)
        # The report has a row's figures from here, also of a tag that was refused.
        assert {name: figures[name]["error"] for name in self.kinds} == self.kinds
        assert self.good <= {name for name, each in figures.items() if each and "error" not in each}
        assert self.lacking == {name for name, each in figures.items() if each is None}
        assert not self.untried.keys() & figures.keys()

    def fails(self, kinds: dict[str, str]) -> None:
        """Hold that these parts failed, each as this kind, and no others; and that the first gave the status."""
        assert self.kinds == kinds, self.events
        failed = [each["status"] for each in self.events if "error" in each]
        assert self.status == (failed[0] if failed else 0)
