"""
A tag on the real interpreter, its emulated modem, a broker and the desk: one incident from finger to finger.

The modem is SPEED times quicker; the tag's own waits are not. The desk is a program of its own, the way to the broker
an Air that ends TLS, so that its certificate can be exchanged and its port be closed.
"""

import argparse
import asyncio
import contextlib
import itertools
import pathlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from desk.tags import new_identity, registration
from sim import image, provision
from sim.air import Air
from sim.broker import Broker
from sim.certs import Pair
from sim.demo_desk import ALERT, OBEREG, FarSide
from sim.felt import patterns
from sim.modem import Modem
from sim.modem_wires import QuickWires, Wires
from sim.panel import Panel
from sim.programs import Programs
from sim.story import Story, now_ms
from sim.tag import HEAP, TagProcess
from tests.host.rig import Light

SPEED = 20.0
HOLD_MS = 100
# How much a time of a vibration pattern may be off on a busy computer.
_EARLY_MS, _LATE_MS = 25, 90
# The same modules; how long one attempt may search for a network is shorter than the 240 s of the field.
_IMPATIENT = "import at_socket\nat_socket.AtSocket.attach_ms = %d\nimport app\napp.run()\n"


class Front(Air):
    """The way to the broker; with a certificate TLS ends here."""

    def certificate(self, pair: Pair | None, folder: pathlib.Path) -> None:
        self._tls = None
        if pair:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*pair.write(folder / "front"))

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, *self.address, ssl=self._tls)
        self.address = self._server.sockets[0].getsockname()[:2]


class StoryRig:
    """
    `modem`, `panel`, `front`, `story`, `desk`: what stands around the tag; `keys`: its registration.

    pair: the broker's certificate (None: no TLS), ca_der: the tag's CA. attach_ms: instead of the field's. fields: of
    config.json, over one that works.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        board: str = "tag-a",
        *,
        pair: Pair | None = None,
        ca_der: bytes | None = None,
        attach_ms: int | None = None,
        speed: float = SPEED,
        gnss: str | None = None,
        heap: int = HEAP,
        **fields: Any,
    ) -> None:
        self.folder, self.board, self.heap = folder, board, heap
        self.flash = folder / "tag.img"
        self.story, self.panel = Story(), Panel()
        self.modem = Modem(folder / "modem", speed=speed, gnss=gnss)
        self.keys = registration(identity := new_identity())
        self.users = {"desk": "of-the-desk", self.keys["tag"]: self.keys["broker"]}
        self.broker = Broker("127.0.0.1", 0, {})
        self.front = Front(("127.0.0.1", 0), ("", 0))
        self.front.certificate(pair, folder)
        self._identity, self._ca_der, self._attach_ms, self._fields = identity, ca_der, attach_ms, fields
        self._tls = pair is not None
        self._motor, self._light = list[tuple[int, int]](), Light()
        self._tag: TagProcess | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["StoryRig"]:
        """Everything but the tag; `on()` starts it."""
        programs = Programs(self.folder)
        await self.serve(self.users)
        host, port = self.broker.address
        far = argparse.Namespace(broker=f"mqtt://desk:of-the-desk@{host}:{port}", ca=None)
        self.desk = FarSide(far, self.folder, self.story, programs, self.keys)
        try:
            await self.desk.start()
            self.front.target = self.broker.address
            await self.front.start()
            await self.panel.start()
            self.panel.on_output(self._output)
            self.panel.on_output(self._light)
            await self.modem.start()
            self.panel.on_output(Wires(QuickWires(self.modem)))
            yield self
            # A part that dies starts the tag anew, and the story goes on from flash: that must not pass for a success.
            starts = [line for line in self.story.console if "app: obereg" in line]
            poor = [line for line in self.story.console if "memory" in line]
            assert (len(starts), poor) == (1, [])
        finally:
            await self.off()
            await self.modem.stop()
            await self.panel.stop()
            await self.front.stop()
            await programs.stop()
            await self.desk.stop()
            await self.broker.stop()
            (self.folder / "console.log").write_text("\n".join(self.story.console) + "\n")

    async def serve(self, users: dict[str, str]) -> None:
        """Start the broker anew, for these users, where it was."""
        await self.broker.stop()
        self.broker = Broker(*self.broker.address, users)
        await self.broker.start()

    async def on(self) -> None:
        """Switch a tag on that was never on before."""
        host, port = self.front.address
        config = {
            "board": self.board,
            "broker": {"host": host, "port": port, "tls": self._tls},
            "apn": "obereg",
            "hold_ms": HOLD_MS,
            **self._fields,
        }
        files = provision.files(self._identity, config, self._ca_der)
        if self._attach_ms:
            files["main.py"] = (_IMPATIENT % self._attach_ms).encode()
            # In service boot.py runs the application itself.
            del files["data/service"]
        image.build(self.flash, self.board, files)
        self._tag = TagProcess(
            self.flash,
            self.board,
            panel=self.panel.address,
            modem=self.folder / "modem",
            heap=self.heap,
            on_line=self.story.line,
            boot_ms=0,
            wifi="wifi" in config,
        )
        await self._tag.start()
        await self.says("app: obereg")

    async def off(self) -> None:
        tag, self._tag = self._tag, None
        if tag:
            await tag.stop()

    async def says(self, text: str, timeout_s: float = 60) -> str:
        """Wait for a console line that holds `text`; return it."""

        def found() -> str | None:
            return next((line for line in self.story.console if text in line), None)

        return await self.story.until(found, timeout_s, f"the tag did not say {text!r}")

    async def press(self) -> None:
        """Press, and wait until the alert is on flash."""
        self.story.began_ms = now_ms()
        await self.panel.press(HOLD_MS + 150)
        await self.story.until_event("on flash", 20, "no alert on flash")

    async def message(
        self, right: Callable[[dict[str, Any]], bool], timeout_s: float, what: str, after: int = 0
    ) -> dict[str, Any]:
        """Wait for a message at the desk, the first of those from number `after` on that is right; return it."""
        return await self.story.until(
            lambda: next((m for m in self.story.stored[after:] if right(m)), None), timeout_s, what
        )

    async def alert(self, timeout_s: float = 20) -> dict[str, Any]:
        """Wait until the last press's alert is at the desk and the child has felt that."""
        began_ms = self.story.began_ms
        await self.story.until_event("at the desk", timeout_s, "the alert did not reach the desk")
        await self.feels("received", began_ms)
        return next(m for m in self.story.stored if m["kind"] == ALERT and m["t_ms"] >= began_ms)

    async def feels(self, signal: str, after_ms: float, timeout_s: float = 40) -> float:
        """Wait for a signal on the motor's pin; return when it began."""

        wanted = patterns()[signal]

        def found() -> float | None:
            for first, (on, began_ms) in enumerate(self._motor):
                edges = [t_ms for _, t_ms in self._motor[first : first + len(wanted) + 1]]
                late = [b - a - span for (a, b), span in zip(itertools.pairwise(edges), wanted, strict=False)]
                fits = len(late) == len(wanted) and all(-_EARLY_MS <= ms <= _LATE_MS for ms in late)
                if on and began_ms >= after_ms and fits:
                    return began_ms
            return None

        return await self.story.until(found, timeout_s, f"{signal!r} was not felt")

    async def blinks(self, timeout_s: float = 64) -> None:
        """Wait until the light has said that something is wrong."""
        await self.story.until(self._light.blinked, timeout_s, "the light did not say `fault`")

    def waiting(self) -> dict[str, bytes]:
        """Return what is in the outbox on flash: name to record."""
        return {n: data for n, data in image.read(self.flash).items() if n.startswith("data/outbox/")}

    async def told(self, text: str, timeout_s: float = 60) -> None:
        """Wait until the desk has a state message `link: ...` with this text."""

        def right(message: dict[str, Any]) -> bool:
            said = message["claims"][OBEREG].get(7, "")
            return message["kind"] == 4 and said.startswith("link: ") and text[:30] in said

        await self.message(right, timeout_s, f"no state message says {text!r}")

    def dialogue(self) -> list[tuple[float, str]]:
        """Return (t_ms, command) of all that the tag has said to its modem; t_ms as in the story."""
        began_ms = now_ms() - self.modem.now_ms / self.modem.speed
        said = self.modem.recorder.exchanges()
        return [(began_ms + e["at_ms"] / self.modem.speed, e["command"]) for e in said]

    def _output(self, name: str, value: int, t_ms: int) -> None:
        if name == "vibration":
            self._motor.append((value, t_ms))
