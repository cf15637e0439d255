"""
A whole chip: 4 MB of flash in a file, its ROM loader and, once MicroPython is burnt, the interpreter and its prompt.

What runs is MicroPython's Unix port (sim/cable/start.py); which version and chip it says it is stands in the flash.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import sys
import termios
from collections.abc import Callable
from typing import Any

from sim.cable.interpreter import FLASH_BYTES, NVS
from sim.cable.line import Line
from sim.common import ROOT
from sim.tag import TagError, TagProcess
from sim.wiring import start_file
from tools.flasher import image

_HERE = pathlib.Path(__file__).resolve().parent
_LFLAG = 3
_NOTHING_S = 0.5
_ROM_S = 60  # it is a Python program of its own, and the machine may be busy
# Ctrl-C is a SIGINT for the Unix port, which raises where it stands, now and then with its heap locked: then it dies
# or hangs. No chip does. So such a life is ended, and the next comes up at the prompt, as after a Ctrl-C that worked.
_INTERRUPTED_S = 0.7
_LOCKED = b"heap is locked"


class Chip(TagProcess):
    """
    As TagProcess, but its flash is the whole chip's, and its console is for whoever is at the cable.

    flash: made blank when it is not there. say: called with what the chip writes. type(data) is what comes in. In
    `loader` it waits for esptool at `loader_port`.
    """

    def __init__(
        self, flash: str | pathlib.Path, board: str, say: Callable[[bytes], None], **options: Any
    ) -> None:
        path = pathlib.Path(flash)
        if not path.exists():
            path.write_bytes(b"\xff" * FLASH_BYTES)
        super().__init__(path, board, **options)
        self.loader = False
        self.chip = self.board["chip"]
        self._bytes = say
        self._line: Line | None = None
        self._raw = False  # whether the prompt stays raw over a soft reset
        self._process: asyncio.subprocess.Process | None = None
        self._again = asyncio.Event()
        self._rom: asyncio.subprocess.Process | None = None
        self._rom_port = 0
        self._warming = asyncio.Lock()
        self._interrupted = False
        self._to_prompt = False
        self._executing = False  # what the raw prompt was given
        self._cr = False
        self._said = b""  # its last words
        self._early = bytearray()  # came while the chip was starting: its UART keeps it

    # ------------------------------------------------------------------------------------------------ what comes in

    def type(self, data: bytes) -> None:
        """Take bytes from the cable: Ctrl-C interrupts what runs, everything else waits to be read."""
        line, process = self._line, self._process
        if line is None or process is None or process.returncode is not None:
            self._early += data
            self._note(data)
            return
        reading = self._reading()
        if not reading and b"\x03" in data:
            if self._interruptible():
                self._interrupt(process)
            data = data[data.rfind(b"\x03") + 1 :]
        self._note(data)
        line.write(data)

    def reset(self) -> None:
        """The reset line: whatever the chip does ends."""
        self.loader = False
        self._early.clear()
        self._end()

    def listens(self) -> bool:
        """Whether a Ctrl-C that comes now leads to the prompt."""
        process = self._process
        running = process is not None and process.returncode is None
        return running and (self._interruptible() or self._reading())

    async def load(self) -> int:
        """Reset into the ROM loader; return the TCP port where it listens."""
        self.loader, self._raw = True, False
        self._end()
        return await self.warm()

    async def warm(self) -> int:
        """Have the ROM loader's program run, so that it answers at once; return its TCP port."""
        async with self._warming:
            if self._rom is None or self._rom.returncode is not None:
                rom = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "sim.cable.rom", "--chip", self.chip, "--flash", str(self.flash)),
                    *("--mac", bytes(self.mac()).hex()),
                    stdout=asyncio.subprocess.PIPE,
                    cwd=ROOT,
                    process_group=0,  # Ctrl-C at the terminal is not for a chip
                )
                try:
                    if rom.stdout is None:
                        raise TagError("the ROM loader has no output")
                    self._rom_port = int(await asyncio.wait_for(rom.stdout.readline(), _ROM_S))
                    self._rom = rom
                finally:
                    if self._rom is not rom:
                        rom.kill()
                        await rom.wait()
        return self._rom_port

    def mac(self) -> list[int]:
        """The chip's address, 6 numbers."""
        self._write_wiring("power", 0)
        return json.loads(self._beside(".wiring").read_text())["mac"]

    async def stop(self) -> None:
        """Cut the power, at once."""
        self._kill(self._process)
        if self._rom is not None and self._rom.returncode is None:
            self._rom.kill()
            await self._rom.wait()
        self._rom = None
        await super().stop()

    # ------------------------------------------------------------------------------------------------------ one life

    async def _live(self, cause: str, wake: int) -> None:
        self._again.clear()
        found = None if self.loader else self._installed()
        if found is None:
            while not self._again.is_set():
                if not self.loader:
                    self._bytes(b"invalid header: 0xffffffff\r\n")
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: Python 3.11 loses a cancel that comes together with the event.
                    async with asyncio.timeout(_NOTHING_S):
                        await self._again.wait()
            return
        raw = self._raw and cause == "soft"
        prompt = raw or self._to_prompt
        self._to_prompt = self._interrupted = False
        if cause == "soft" and prompt == raw:
            self._bytes(b"MPY: soft reboot\r\n")
        self._write_wiring(cause, wake)
        table = self._read(image.TABLE, image.TABLE_BYTES)
        files = image.file_system(table)
        self._beside(".cable").write_text(
            json.dumps(
                {
                    "vfs": [files.offset // 4096, files.size // 4096],
                    "nvs": list(NVS),
                    "prompt": prompt,
                    "version": found.numbers,
                    "machine": f"Generic {self.chip.upper()} module with {self.chip.upper()}",
                    "intr": str(self._beside(".intr")),
                }
            )
        )
        await self._interpret(cause, raw)

    async def _interpret(self, cause: str, raw: bool) -> None:
        self._line, self._said = Line(self._say_bytes), b""
        self._executing = False
        self._beside(".intr").write_text("-1")  # until MicroPython turns it on
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(_HERE / "launch.py"), "-X", f"heapsize={self._heap}", "-i"),
            *(str(_HERE / "start.py"), str(start_file().parent)),
            *(self._beside(".wiring").name, self._beside(".cable").name),
            cwd=self.flash.parent,
            stdin=self._line.slave,
            stdout=self._line.slave,
            stderr=self._line.slave,
            process_group=0,
        )
        self.causes.append(cause)
        self._line.write(b"\x01" * raw + self._early)
        self._early.clear()
        self.pid = process.pid
        try:
            status = await process.wait()
            await asyncio.sleep(0)  # what it said last
        finally:
            if process.returncode is None:
                self._kill(process)
                await process.wait()
            self.pid = None
            self._line.close()
            self._line = self._process = None
        interrupted = self._interrupted or _LOCKED in self._said
        if status == 0 or self._to_prompt or (interrupted and status != -signal.SIGKILL):
            # Ctrl-D at the prompt: a soft reset, which ends the Unix port. Or see _INTERRUPTED_S.
            self._to_prompt = status != 0
            self._beside(".reset").write_text("soft")
        elif status != -signal.SIGKILL:
            raise TagError(
                f"the interpreter ended with status {status}: {self._said[-400:].decode(errors='replace')}"
            )

    def _note(self, data: bytes) -> None:
        """Note whether the prompt is raw, which it stays over a soft reset, and whether it is told to execute."""
        for byte in data:
            self._executing = self._executing or (byte == 4 and self._raw)
            self._raw = byte == 1 or (self._raw and byte != 2)

    def _installed(self) -> image.Interpreter | None:
        """Return the MicroPython in the flash, or None when the ROM would find nothing that starts."""
        with self.flash.open("rb") as file:
            data = file.read(image.APP + 2 * 1024 * 1024)
        try:
            return image.inspect(data[image.START.get(self.chip, 0) :], self.chip)
        except image.ImageError as error:
            if error.kind != "image-old":
                return None
        return image.interpreter(image.application(data[image.APP :]))

    def _read(self, start: int, count: int) -> bytes:
        with self.flash.open("rb") as file:
            file.seek(start)
            return file.read(count)

    def _end(self) -> None:
        self._again.set()
        self._kill(self._process)

    @staticmethod
    def _kill(process: asyncio.subprocess.Process | None) -> None:
        # Not process.kill(), which looks first whether it has ended: asyncio then learns of an end by nobody's hand
        # (status 255), and the chip seems to have died of something that no chip dies of.
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def _interruptible(self) -> bool:
        try:
            return self._beside(".intr").read_text() == "3"
        except OSError:
            return False

    def _interrupt(self, process: asyncio.subprocess.Process) -> None:
        # One at a time: a second SIGINT that finds the first unserved ends the port too.
        if not self._interrupted:
            self._interrupted = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
            asyncio.get_running_loop().call_later(_INTERRUPTED_S, self._at_prompt, process)

    def _at_prompt(self, process: asyncio.subprocess.Process) -> None:
        self._interrupted = False
        if process is self._process and process.returncode is None and not self._reading():
            self._to_prompt = True
            self._kill(process)

    def _reading(self) -> bool:
        """
        Whether the prompt reads: in the Unix port it, and nothing else, clears all local flags of the terminal. The raw
        prompt leaves them so while it executes.
        """
        if self._line is None or self._executing:
            return False
        return termios.tcgetattr(self._line.master)[_LFLAG] == 0

    def _say_bytes(self, data: bytes) -> None:
        if b"\x04>" in self._said[-1:] + data:
            self._executing = False  # the last thing that a raw prompt says of it
        self._said = self._said[-400:] + data
        if self.loader:
            return  # said before the reset into the loader
        # The chip's console ends lines with CR LF, the Unix port's with LF.
        out = bytearray()
        for byte in data:
            if byte == 10 and not self._cr:
                out.append(13)
            self._cr = byte == 13
            out.append(byte)
        self._bytes(bytes(out))
