"""A bench for tests of the simulated tag: a panel, a tag with a tiny firmware, and its console."""

import asyncio
import pathlib
from collections.abc import Callable, Coroutine
from typing import Any

from sim import image
from sim.panel import Panel
from sim.tag import TagProcess


class Bench:
    """A panel, a tag and its console. `firmware`: name to source; boards come from the product."""

    def __init__(self, folder: pathlib.Path, firmware: dict[str, str], board: str = "tag-a") -> None:
        self.board = board
        self.flash = folder / "tag.img"
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.seen: list[str] = []
        self.panel = Panel()
        self.tag: TagProcess | None = None
        source = folder / "firmware"
        (source / "boards").mkdir(parents=True)
        (source / "boards" / f"{board}.json").write_bytes(image.board_map(board))
        for name, text in firmware.items():
            (source / name).write_text(text)
        image.build(self.flash, board, {"config.json": b"{}"}, firmware=source)

    async def on(self, **options: Any) -> TagProcess:
        if not self.panel.address[1]:
            await self.panel.start()
        self.tag = TagProcess(
            self.flash,
            self.board,
            panel=self.panel.address,
            on_line=self.lines.put_nowait,
            **{"boot_ms": 0, **options},
        )
        await self.tag.start()
        return self.tag

    async def line(self, beginning: str) -> str:
        """Return the rest of the next console line that begins so. The lines in between are in `seen`."""
        while True:
            try:
                line = await asyncio.wait_for(self.lines.get(), 5)
            except TimeoutError:
                raise AssertionError(f"no line {beginning!r} in: {self.seen}")
            self.seen.append(line)
            if line.startswith(beginning):
                return line[len(beginning) :].strip()

    async def off(self) -> None:
        if self.tag is not None:
            await self.tag.stop()
        await self.panel.stop()


def on_bench(
    folder: pathlib.Path,
    firmware: dict[str, str],
    story: Callable[[Bench], Coroutine[Any, Any, None]],
    board: str = "tag-a",
) -> None:
    """Run `story` on a bench in `folder`; everything is switched off at its end."""

    async def whole() -> None:
        bench = Bench(folder, firmware, board)
        try:
            await story(bench)
        finally:
            await bench.off()

    asyncio.run(whole())
