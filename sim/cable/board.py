"""
A board at the end of a cable: one PTY that is its ROM loader for esptool and its prompt for mpremote.

    board = CableBoard("build/cable", "chip.bin", "tag-a")
    await board.start()            # power on, cable in: the PTY is under the link's name
    board.pull()                   # the cable goes; board.plug() puts it in again
    await board.stop()

A PTY has no DTR and no RTS, so a chip cannot be reset over it. Instead: esptool's SYNC resets it into the loader, and a
Ctrl-C or Ctrl-A from a terminal starts the chip again.
"""

import asyncio
import contextlib
import pathlib
import re
from collections.abc import Coroutine
from typing import Any

from sim.cable.chip import Chip
from sim.cable.line import Line

# What a terminal says first. A piece of one of esptool's frames is longer, or ends in 0xC0.
_TERMINAL = re.compile(rb"(\r?[\x01-\x03])+")
_SYNC = b"\xc0\x00\x08\x24\x00"


class CableBoard:
    """
    `chip`: the chip behind the cable. warm: its loader's program runs from the start, which a busy machine needs.
    `options`: those of Chip (panel, gnss, modem, boot_ms ...).
    """

    def __init__(
        self,
        link: str | pathlib.Path,
        flash: str | pathlib.Path,
        board: str,
        warm: bool = False,
        **options: Any,
    ) -> None:
        self.link = pathlib.Path(link)
        self.chip = Chip(flash, board, self._write, **options)
        self.passed = self.said = 0  # bytes that came over the cable to the board, and from it
        self.turns = 0  # how often the computer spoke again after the board had: round trips
        self._spoke = False  # the board, last
        self._warm = warm
        self._line: Line | None = None
        self._loader: asyncio.StreamWriter | None = None
        self._joining = False  # the loader is being started
        self._early = bytearray()  # what it is told meanwhile
        self._loading: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Switch the power on and put the cable in."""
        await self.chip.start()
        if self._warm:
            self._spawn(self._warm_up())
        self.plug()

    async def stop(self) -> None:
        """Pull the cable, cut the power."""
        self.pull()
        self._leave()
        await asyncio.gather(*self._loading, return_exceptions=True)
        await self.chip.stop()

    async def cut(self) -> None:
        """What pulling the cable is to a board without a battery; start() is putting it in."""
        await self.stop()

    def plug(self) -> None:
        """Put the cable in: a new PTY under the link's name."""
        if self._line is None:
            self._line = Line(self._read)
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(self._line.path)

    def pull(self) -> None:
        """Pull the cable. The board goes on if it has a battery."""
        line, self._line = self._line, None
        if line is not None:
            self.link.unlink(missing_ok=True)
            line.close()

    def _write(self, data: bytes) -> None:
        if self._line is not None:
            self.said += len(data)
            self._spoke = True
            self._line.write(data)

    def _read(self, data: bytes) -> None:
        self.passed += len(data)
        self.turns += self._spoke
        self._spoke = False
        if self.chip.loader and _TERMINAL.fullmatch(data):
            self._leave()
            self.chip.reset()
            self.chip.type(data)
        elif self._loader is not None:
            self._loader.write(data)
        elif self._joining:
            # A chip that is starting hears nothing; of many SYNCs it answers the last.
            self._early += data
            del self._early[: max(0, self._early.rfind(_SYNC))]
        elif _SYNC in data:
            self._joining = self.chip.loader = True
            self._early[:] = data[data.rfind(_SYNC) :]
            self._spawn(self._load())
        elif not self.chip.loader:
            self.chip.type(data)

    def _spawn(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _warm_up(self) -> None:
        await self.chip.warm()

    async def _load(self) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", await self.chip.load())
        finally:
            self._joining = False
        self._loader = writer
        writer.write(bytes(self._early))
        try:
            while data := await reader.read(4096):
                self._write(data)
        except OSError:
            pass  # as its end
        finally:
            # The mock ends a session some seconds after the last write; the next SYNC begins another.
            if self._loader is writer:
                self._loader = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _leave(self) -> None:
        """End the loader's session."""
        self._loader, self._joining = None, False
        for task in self._loading:
            task.cancel()
