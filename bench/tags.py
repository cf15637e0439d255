"""
The two that are compared: the same simulated board, the same interpreter, the same network; another firmware each.

A finger presses; from then on `stored` says when the desk had it on disk, `known` when the sender knew. For Obereg that
is the desk's signed answer, judged right; for the plain firmware it is the broker's PUBACK, all that it ever learns.
"""

import asyncio
import json
import pathlib
import re
import secrets
import time
from typing import Any

from desk.tags import new_identity, registration
from desk.token import seal
from sim import image, provision
from sim.common import BUILD
from sim.panel import Panel
from sim.story import Story, from_ticks, now_ms
from sim.tag import TagProcess

BOARD = "tag-a"
UMQTT = BUILD / "bench" / "umqtt"
_PLAIN = pathlib.Path(__file__).resolve().parent / "plain" / "main.py"
_WIFI = ("the-air", "a-key-of-the-air")
_FINGER_S = 0.2
_UP_S = 60
_EPOCH = 7
_IAT, _CTI, _OBEREG, _ALERT = 6, 7, -65537, 1
_CLOSED_S = 90
_FELT = re.compile(r"(\d+) \* (felt .+)")


class Tag:
    """What both have. `keys`: the registration for the desk. `heap`: bytes."""

    name = ""
    up = known = ""  # milestones on the console: it can be pressed; the sender knows

    def __init__(self, folder: pathlib.Path, heap: int, number: str = "") -> None:
        self.identity = new_identity()
        self.keys = registration(self.identity)
        self.story = Story()
        self.panel = Panel()
        self.start_ms = 0.0  # from the power to a session
        self._flash = folder / f"{self.name}{number}.img"
        self.heap = heap
        self._process: TagProcess | None = None

    def files(self, address: tuple[str, int], count: int) -> dict[str, bytes]:
        """Return what is on its flash beside the board map, for `count` presses; `address` is what it calls."""
        raise NotImplementedError

    def flash(self, address: tuple[str, int], count: int) -> None:
        """Make its flash."""
        image.build(self._flash, BOARD, self.files(address, count))

    def line(self, text: str) -> None:
        """Take a line of the console."""
        self.story.line(text)
        felt = _FELT.fullmatch(text)  # which Story leaves to who watches the motor
        if felt:
            self.story.add(felt[2], from_ticks(int(felt[1])))

    def process(self) -> TagProcess:
        return TagProcess(
            self._flash, BOARD, panel=self.panel.address, heap=self.heap, on_line=self.line, boot_ms=0
        )

    async def start(self, within_s: float = _UP_S) -> None:
        """Switch it on, and wait until it has its session. StoryError when it has none in that time."""
        if not self.panel.address[1]:
            self.panel.wifi(*_WIFI)
            await self.panel.start()
        began_ms = now_ms()
        self._process = self.process()
        await self._process.start()
        up_ms = await self.story.until_event(self.up, within_s, f"{self.name} did not start", began_ms)
        self.start_ms = up_ms - began_ms

    async def stop(self) -> None:
        """Cut its power."""
        process, self._process = self._process, None
        if process:
            await process.stop()

    async def end(self) -> None:
        await self.stop()
        await self.panel.stop()

    async def press(self) -> float:
        """Press for a moment; return when the finger touched, ms of time.monotonic."""
        began_ms = now_ms()
        self.panel.set("button", 1)
        await asyncio.sleep(_FINGER_S)
        self.panel.set("button", 0)
        return began_ms

    def on_event(self, event: dict[str, Any]) -> None:
        """Take an event of the desk; those of other tags are none of ours."""
        if event.get("tag") == self.keys["tag"] and event["what"] == "stored" and event["kind"] == _ALERT:
            self.story.stored.append(event)
            self.story.add("stored", event["t_ms"])

    async def settle(self, since_ms: float, far: Any) -> bool:
        """Come to rest after a press, over a whole link; False: it did not by itself."""
        raise NotImplementedError


class Obereg(Tag):
    """The firmware of this project, unchanged, over its Wi-Fi bearer."""

    name = "obereg"
    up = "time known"  # the desk has answered its first heartbeat
    known = "felt received"

    def files(self, address: tuple[str, int], count: int) -> dict[str, bytes]:
        broker = {"host": address[0], "port": address[1], "tls": False}
        # 0: a touch is a press, as in the plain firmware.
        config = {"board": BOARD, "broker": broker, "wifi": [list(_WIFI)], "hold_ms": 0}
        return provision.files(self.identity, config)

    async def settle(self, since_ms: float, far: Any) -> bool:
        story = self.story
        await story.until_event("stored", _CLOSED_S, "the alert never reached the desk", since_ms)
        await far.call("close", str(story.stored[-1]["incident"]), "--by", "the bench")
        await story.until_event("felt closed", _CLOSED_S, "the end of the incident was not felt", since_ms)
        return True


class _BareTag(TagProcess):
    """A tag whose flash brings umqtt along, `robust` too: the ESP32's image has both, the simulator's only `simple`."""

    def _write_wiring(self, cause: str, wake: int) -> None:
        super()._write_wiring(cause, wake)
        path = self._beside(".wiring")
        path.write_text(json.dumps({**json.loads(path.read_text()), "umqtt": False}))


class Plain(Tag):
    """bench/plain/main.py on umqtt.robust."""

    name = "plain"
    up = "ready"
    known = "known"

    def files(self, address: tuple[str, int], count: int) -> dict[str, bytes]:
        umqtt = {f"lib/umqtt/{path.stem}.mpy": image.compiled(path, path.name) for path in UMQTT.glob("*.py")}
        alerts = {f"alerts/{number}": self._alert(number) for number in range(count)}
        config = {
            "tag": self.keys["tag"],
            "password": self.keys["broker"],
            "host": address[0],
            "port": address[1],
            "wifi": _WIFI,
            "button": json.loads(image.board_map(BOARD))["button"]["pin"],
        }
        own = {"main.py": _PLAIN.read_bytes(), "config.json": json.dumps(config).encode(), "next": b"0"}
        return {"boot.py": b"", **own, **umqtt, **alerts}

    def flash(self, address: tuple[str, int], count: int) -> None:
        super().flash(address, count)
        # What is Obereg's in the image is not this firmware's.
        keep = self.files(address, count)
        image.update(self._flash, {name: None for name in image.read(self._flash) if name not in keep})

    def process(self) -> TagProcess:
        return _BareTag(
            self._flash, BOARD, panel=self.panel.address, heap=self.heap, on_line=self.line, boot_ms=0
        )

    def _alert(self, number: int) -> bytes:
        """Return an alert like the one that Obereg seals: the same claims, the same size."""
        cti = _EPOCH.to_bytes(4, "big") + (number + 1).to_bytes(4, "big")
        said = {0: _ALERT, 2: self.panel.inputs["battery"], 5: secrets.token_bytes(8)}
        kid = bytes.fromhex(self.keys["tag"]) + bytes([self.keys["generation"]])
        claims = {_IAT: int(time.time()), _CTI: cti, _OBEREG: said}
        return seal(claims, bytes.fromhex(self.keys["up"]), kid)

    async def settle(self, since_ms: float, far: Any) -> bool:
        if self.story.when(self.known, since_ms) is not None:
            return True
        # It hangs in its publish, or it restarted and forgot. Somebody switches it off and on; the press is lost.
        await self.stop()
        await self.start()
        return False
