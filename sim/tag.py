"""
The tag's power supply and boot loader: starts the interpreter, and starts it again after a reset or sleep.

One life is one process: MicroPython with sim/board/start.py. It ends by SIGKILL, as a chip ends. Beside the
flash FILE lie FILE.nvs (survives everything), FILE.rtc (RTC memory and clock) and FILE.pmu (the power chip's registers;
both are lost with the power), FILE.reset (why the last life ended) and FILE.wiring (what the fakes need to know).

    python -m sim tag --board tag-a --flash tag.img --gnss build/gnss --panel 127.0.0.1:7000
"""

import argparse
import asyncio
import json
import os
import pathlib
import shlex
import signal
import sys
import time
import zlib
from collections.abc import Callable

from sim import image
from sim.common import SimError, parse_address
from sim.wiring import PMU_FEEDS, UMQTT, parts_of, start_file

HEAP = 192 * 1024  # bytes, the fakes' 32 KB among them (docs/decisions.md 26)
_MAX_ARGUMENT = 255  # a longer command-line item aborts the interpreter
_TIMER_WAKE = 4


class TagError(SimError):
    """The tag cannot be started, or its interpreter ended in a way no chip ends."""


class TagProcess:
    """
    A tag that is switched on by start() and off by stop(), as often as you like.

    flash: an image of sim.image. panel: (host, port). gnss, modem: paths of PTYs, None = nothing is wired
    there. heap: bytes. on_line: called with each console line. fuse: after that many program or erase operations
    on the flash the power is cut in the middle of one (once). boot_ms: instead of the board's. wifi: False leaves
    `network` and `socket` out, for a tag that has no network to join: on a chip they cost no heap, here they do.
    """

    def __init__(
        self,
        flash: str | pathlib.Path,
        board: str,
        *,
        panel: tuple[str, int] | None = None,
        gnss: str | pathlib.Path | None = None,
        modem: str | pathlib.Path | None = None,
        heap: int = HEAP,
        on_line: Callable[[str], None] | None = None,
        trace: bool = False,
        fuse: int | None = None,
        boot_ms: int | None = None,
        wifi: bool = True,
    ) -> None:
        self.flash = pathlib.Path(flash).resolve()
        self.board = json.loads(image.board_map(board))
        self.boot_ms = self.board.get("boot_ms", 0) if boot_ms is None else boot_ms
        self.causes: list[str] = []  # of each life: power, reset, soft, wdt, deepsleep
        self.started_ms: list[int] = []  # of each life, after boot_ms, on the clock of time.monotonic
        self.fuse = fuse
        self.pid: int | None = None
        self._panel = panel
        self._ptys = {name: os.fspath(path) for name, path in (("gnss", gnss), ("modem", modem)) if path}
        self._heap = heap
        self._on_line = on_line
        self._trace = trace
        self._wifi = wifi
        self._last = ""
        self._task: asyncio.Task[None] | None = None
        if not self.flash.is_file():
            raise TagError(f"no flash image at {flash}. Make one with: python -m sim image")

    def _beside(self, suffix: str) -> pathlib.Path:
        return self.flash.with_name(self.flash.name + suffix)

    async def start(self) -> None:
        """Switch the power on. Returns at once: the first life begins `boot_ms` later."""
        if self._task is not None:
            raise TagError("the tag is on already")
        for path in (start_file(), self._beside(".wiring").name):
            if len(os.fsencode(path)) > _MAX_ARGUMENT:
                raise TagError(
                    f"the interpreter takes no path over {_MAX_ARGUMENT} bytes: {path}. Use a shorter one"
                )
        await self._lose_power()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Cut the power: SIGKILL, the RTC is lost. Raises what ended the tag before, if anything did."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        finally:
            await self._lose_power()

    async def wait(self) -> None:
        """Wait while the tag lives. TagError when it cannot go on; does not return otherwise."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _lose_power(self) -> None:
        for suffix in (".rtc", ".reset", ".pmu"):
            self._beside(suffix).unlink(missing_ok=True)
        if "pmu" not in self.board or not self._panel:
            return
        # The panel cannot tell it from a restart, over which the rails hold.
        try:
            _, panel = await asyncio.open_connection(*self._panel)
        except OSError:
            return  # it is gone, or comes later
        rails = sorted({rail for needs in PMU_FEEDS.values() for rail in needs.split()})
        panel.write("".join(f"rail {rail} 0\n" for rail in rails).encode())
        panel.close()

    async def _run(self) -> None:
        cause, wake = "power", 0
        while True:
            await asyncio.sleep(self.boot_ms / 1000)
            await self._live(cause, wake)
            cause, _, argument = self._reason().partition(" ")
            wake = 0
            if cause == "power":
                await self._lose_power()
                self.fuse = None
            elif cause == "deepsleep" and argument:
                wake = _TIMER_WAKE
                await asyncio.sleep(int(argument) / 1000)

    async def _live(self, cause: str, wake: int) -> None:
        self._write_wiring(cause, wake)
        command = [sys.executable, "-I", "-m", "micropython_unix", "-X", f"heapsize={self._heap}"]
        process = await asyncio.create_subprocess_exec(
            *command,
            str(start_file()),
            self._beside(".wiring").name,
            cwd=self.flash.parent,
            # Held open: when it closes, the tag knows that we died, and dies too.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C is for us. Not a session of its own: a PTY opened there would become its terminal.
            process_group=0,
        )
        self.causes.append(cause)
        self.started_ms.append(time.monotonic_ns() // 1_000_000)
        self.pid = process.pid
        try:
            await self._console(process)
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            self.pid = None
            if process.stdin is not None:
                process.stdin.close()
        if status != -signal.SIGKILL:
            raise TagError(f"the tag's interpreter ended with status {status}; its last line: {self._last!r}")

    def _reason(self) -> str:
        """Return and forget why the last life ended. No record: the power was cut."""
        path = self._beside(".reset")
        try:
            reason = path.read_text().strip()
        except FileNotFoundError:
            return "power"
        path.unlink()
        return reason

    async def _console(self, process: asyncio.subprocess.Process) -> None:
        stream = process.stdout
        if stream is None:
            raise TagError("the interpreter has no console")
        rest = b""
        while chunk := await stream.read(4096):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._say(line)
        if rest:
            self._say(rest)

    def _say(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._last = text
        if self._on_line:
            self._on_line(text)

    def _write_wiring(self, cause: str, wake: int) -> None:
        serial = zlib.crc32(str(self.flash).encode()).to_bytes(4, "big")
        wiring = {
            **parts_of(self.board),
            "flash": str(self.flash),
            "nvs": str(self._beside(".nvs")),
            "rtc": str(self._beside(".rtc")),
            "reset_sh": shlex.quote(str(self._beside(".reset"))),
            "fuse": self.fuse,
            "panel": self._panel,
            "ptys": {name: os.path.abspath(path) for name, path in self._ptys.items()},
            "umqtt": UMQTT.exists(),
            "wifi": self._wifi,
            "cause": cause,
            "wake": wake,
            "mac": [2, 11, 226, *serial[:3]],
            "trace": self._trace,
        }
        self._beside(".wiring").write_text(json.dumps(wiring))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", required=True, metavar="NAME", help=f"one of: {', '.join(image.boards())}")
    parser.add_argument("--flash", required=True, metavar="FILE", help="image made by: python -m sim image")
    parser.add_argument("--panel", metavar="HOST:PORT", help="where python -m sim panel listens")
    parser.add_argument("--gnss", metavar="PTY", help="link made by python -m sim sky; none = not wired")
    parser.add_argument("--modem", metavar="PTY", help="link to a modem; none = not wired")
    parser.add_argument("--heap", type=int, default=HEAP, metavar="BYTES", help="default: %(default)s")
    parser.add_argument("--trace", action="store_true", help="show each change of a pin on the console")


async def run(arguments: argparse.Namespace) -> None:
    for option, path, other in (("--gnss", arguments.gnss, "sky"), ("--modem", arguments.modem, "modem")):
        if path and not os.path.exists(path):
            raise TagError(
                f"{option} {path}: there is no such PTY. Start its other end first (python -m sim {other})"
            )
    tag = TagProcess(
        arguments.flash,
        arguments.board,
        panel=parse_address(arguments.panel) if arguments.panel else None,
        gnss=arguments.gnss,
        modem=arguments.modem,
        heap=arguments.heap,
        on_line=lambda line: print(line, flush=True),
        trace=arguments.trace,
    )
    await tag.start()
    try:
        await tag.wait()
    finally:
        await tag.stop()
