"""A tag on the real interpreter for one test: flash image, panel, console. For what needs no desk."""

import asyncio
import contextlib
import itertools
import pathlib
from collections.abc import AsyncIterator
from typing import Any

from desk.tags import new_identity, registration
from sim import image, provision
from sim.panel import Panel
from sim.story import Story
from sim.tag import TagProcess

WIFI = ("the-air", "a-key-of-the-air")
# Of the signal `fault`: three short flashes, 200 ms between them; and how late a busy computer is.
_FLASH_MS, _DARK_MS, _LATE_MS = 50, 200, 90


def config(port: int, **fields: Any) -> dict[str, Any]:
    """A configuration that works, for a broker on this port; `fields` go over it."""
    broker = {"host": "127.0.0.1", "port": port, "tls": False}
    return {"board": "tag-a", "broker": broker, "wifi": [list(WIFI)], "hold_ms": 100, **fields}


class Light:
    """An output callback of the panel that recognises `fault`."""

    def __init__(self) -> None:
        self._edges: list[tuple[int, int]] = []

    def __call__(self, name: str, value: int, t_ms: int) -> None:
        if name == "light":
            self._edges.append((value, t_ms))

    def blinked(self) -> bool:
        """Whether it has said `fault` yet."""
        spans = [(on, late - since) for (on, since), (_, late) in itertools.pairwise(self._edges)]
        right = [0 <= ms - (_FLASH_MS if on else _DARK_MS) + 20 <= _LATE_MS + 20 for on, ms in spans]
        return any(spans[i][0] and all(right[i : i + 5]) for i in range(len(spans) - 4))


class Rig:
    """`story` has the console and the milestones; `keys` is the tag's registration."""

    def __init__(self, folder: pathlib.Path, settings: dict[str, Any], ca_der: bytes | None = None) -> None:
        self.flash = folder / "tag.img"
        self.identity = new_identity()
        self.keys = registration(self.identity)
        self.story = Story()
        self.panel = Panel()
        self.panel.wifi(*WIFI)
        self.light = Light()
        self.panel.on_output(self.light)
        image.build(self.flash, "tag-a", provision.files(self.identity, settings, ca_der))
        self._tag: TagProcess | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        """The panel up and the tag on; both off at the end, the tag by a power cut."""
        await self.panel.start()
        try:
            await self.on()
            yield self
        finally:
            await self.off()
            await self.panel.stop()

    async def on(self) -> None:
        self._tag = TagProcess(
            self.flash, "tag-a", panel=self.panel.address, on_line=self.story.line, boot_ms=0
        )
        await self._tag.start()

    async def off(self) -> None:
        """Cut the power."""
        tag, self._tag = self._tag, None
        if tag:
            await tag.stop()

    async def says(self, text: str, timeout_s: float = 20) -> str:
        """Wait for a console line that holds `text`; return it."""

        def found() -> str | None:
            return next((line for line in self.story.console if text in line), None)

        return await self.story.until(found, timeout_s, f"the tag did not say {text!r}")

    async def blinks(self, timeout_s: float = 32) -> None:
        """Wait until the light has said that something is wrong."""
        await self.story.until(self.light.blinked, timeout_s, "the light did not say `fault`")

    def run(self, coroutine: Any) -> Any:
        async def whole() -> Any:
            async with asyncio.timeout(60):
                return await coroutine

        return asyncio.run(whole())
