"""
A firmware onto a tag: tools/flash.py install and plain `mpremote cp -r` of the same files, side by side.

    python -m bench.install               writes docs/bench-install.md
    python -m bench.install --out -       shows it

Counted at the simulated board's end of the cable: bytes each way, and round trips: how often the computer spoke again
after the board had answered.
"""

import argparse
import asyncio
import contextlib
import pathlib
import sys
import tempfile
import time
from typing import NamedTuple

from sim.cable import interpreter
from sim.cable.board import CableBoard
from sim.common import ROOT, SimError
from tools.flasher import firmware
from tools.flasher.errors import FlashError
from tools.flasher.repl import Repl

BOARD = "tag-a"
_OUT = ROOT / "docs" / "bench-install.md"
_RUN_S = 240.0
_UP_S = 30.0
_CHANGED = "lib/cbor.mpy"
_HEAD = """# An installation, side by side

Written by `make bench` (`python -m bench.install`); do not edit.

The same {files} files ({bytes} bytes of firmware for `{board}`) onto a simulated board that has MicroPython, by
`python -m tools.flash install` and by `mpremote cp -r` (the real command), in one run. Counted at the board's end of
the cable. A round trip: the computer spoke again after the board had answered.

| | | to the board | from the board | round trips | seconds here |
|---|---|---|---|---|---|"""
_NOTES = """
What the two do for that is not the same: `install` compares every file with its SHA-256 before and after, removes what
does not belong there, and changes all files or none when the cable is pulled; a blank board gets a whole file system
through the chip's ROM loader, compressed. `mpremote cp` skips a file whose SHA-256 is the same, checks nothing
afterwards, and a pulled cable leaves what was copied so far. The counts say nothing of the wire's speed: a prompt over
a real UART runs at 115,200 baud, the loader at 460,800. The seconds are those of two busy programs, not of a wire.

Measured: {when}, {seconds:.0f} s.
"""


class Count(NamedTuple):
    """What went over the cable."""

    case: str
    way: str
    there: int
    back: int
    turns: int
    seconds: float


class Bench:
    """One board with MicroPython on it, and a counter at its cable."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._site = folder / "site.toml"
        self._site.write_text(f'[tag]\nboard = "{BOARD}"\n[tag.broker]\nhost = "127.0.0.1"\ntls = false\n')
        self.board = CableBoard(folder / "port", folder / "chip.bin", BOARD, boot_ms=30)

    async def start(self) -> None:
        """Switch a board on that was just burnt."""
        data = bytearray(b"\xff" * interpreter.FLASH_BYTES)
        burnt = interpreter.image()
        data[: len(burnt)] = burnt
        (self._folder / "chip.bin").write_bytes(data)
        await self.board.start()
        await self.idle()

    async def idle(self) -> None:
        """Wait until the prompt hears: mpremote asks once, and a chip that boots does not hear it."""
        async with asyncio.timeout(_UP_S):
            while not (self.board.chip.loader or self.board.chip.listens()):
                await asyncio.sleep(0.02)

    async def run(self, case: str, way: str, *words: str) -> Count:
        """Run a program at the board's port; count. SimError when it fails."""
        await self.idle()
        board = self.board
        board.passed = board.said = board.turns = 0
        began_s = time.monotonic()
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            out, _ = await asyncio.wait_for(program.communicate(), _RUN_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.kill()
        if program.returncode:
            raise SimError(f"{' '.join(words[:3])}: {out.decode()[-300:]}")
        return Count(case, way, board.passed, board.said, board.turns, time.monotonic() - began_s)

    async def install(self, case: str) -> Count:
        """tools/flash.py install."""
        words = ("tools.flash", "install", "--port", str(self.board.link), "--site", str(self._site))
        return await self.run(case, "install", *words)

    async def copy(self, case: str, source: pathlib.Path) -> Count:
        """mpremote cp -r."""
        names = sorted(str(path) for path in source.iterdir())
        return await self.run(
            case, "mpremote cp -r", "mpremote", "connect", str(self.board.link), "cp", "-r", *names, ":"
        )

    async def spoil(self) -> None:
        """Let one file on the tag be another."""

        def spoil() -> None:
            with Repl(str(self.board.link)) as prompt:
                prompt.run(f"with open('/{_CHANGED}', 'wb') as file: file.write(b'old')")

        await self.idle()
        await asyncio.to_thread(spoil)


async def measure(folder: pathlib.Path) -> list[Count]:
    """Return the rows. SimError, FlashError."""
    files = firmware.files(BOARD)
    source = folder / "firmware"
    for name, data in {**files, "build.json": firmware.build_file()}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    ours, theirs = Bench(folder / "ours"), Bench(folder / "theirs")
    rows = []
    try:
        for bench in (ours, theirs):
            await bench.start()
        for case in ("blank board", "one file differs", "nothing differs"):
            if case == "one file differs":
                await ours.spoil()
                await theirs.spoil()
            rows.append(await ours.install(case))
            rows.append(await theirs.copy(case, source))
    finally:
        await ours.board.stop()
        await theirs.board.stop()
    return rows


def render(rows: list[Count], seconds: float) -> str:
    """Return docs/bench-install.md."""
    files = firmware.files(BOARD)
    lines = [_HEAD.format(files=len(files) + 1, bytes=f"{sum(map(len, files.values())):,}", board=BOARD)]
    lines += [
        f"| {row.case} | {row.way} | {row.there:,} | {row.back:,} | {row.turns:,} | {row.seconds:.1f} |"
        for row in rows
    ]
    ratios = [
        f"{ours.case} {theirs.there / ours.there:.1f} and {theirs.turns / max(1, ours.turns):.1f}"
        for ours, theirs in zip(rows[::2], rows[1::2], strict=True)
    ]
    lines.append(f"\nmpremote / install, bytes to the board and round trips: {'; '.join(ratios)}.")
    lines.append(_NOTES.format(when=time.strftime("%Y-%m-%d", time.gmtime()), seconds=seconds))
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run the bench; return the exit status."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m bench.install", description=__doc__, formatter_class=form)
    parser.add_argument(
        "--out", default=str(_OUT), metavar="FILE", help="- for stdout (default: docs/bench-install.md)"
    )
    options = parser.parse_args(argv)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="obereg-install-") as folder:
        try:
            rows = asyncio.run(measure(pathlib.Path(folder)))
        except (SimError, FlashError) as error:
            print(f"bench.install: {error}", file=sys.stderr)
            return 1
    text = render(rows, time.monotonic() - began_s)
    if options.out == "-":
        print(text)
    else:
        pathlib.Path(options.out).write_text(text)
        print(f"{options.out} is written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
