"""
The real interpreter for a campaign: the firmware compiled as on the tag, and a program of faults/chip beside it.

    with Interpreter({"settings.json": b"..."}) as chip:
        for line in chip.run("cuts.py", "double", "1", "100"):      # dicts, one for each line of JSON it prints
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from faults import ROOT
from sim.image import compiled
from tools.mpy import FIRMWARE, SOURCES

_CHIP = ROOT / "faults" / "chip"
# Far more than a tag has: what is proven here is flash, not heap.
_HEAP = "48M"
# It says something every second or two.
_SILENT_S = 120


class InterpreterError(Exception):
    """MicroPython did not end well. The text is what it said."""


class Interpreter:
    """`files`: name to bytes, put beside the programs. `sources`: name to text, instead of the firmware's own."""

    def __init__(self, files: Mapping[str, bytes], sources: Mapping[str, str] | None = None) -> None:
        # A short path: over 255 bytes an argument aborts the interpreter.
        self._folder = tempfile.TemporaryDirectory(prefix="chip")
        folder = pathlib.Path(self._folder.name)
        changed = {} if sources is None else sources
        (folder / "lib").mkdir()
        for path in sorted(FIRMWARE.rglob("*.py")):
            name = path.relative_to(FIRMWARE).as_posix()
            if path.stem in changed:
                (folder / path.name).write_text(changed[path.stem])
            elif name in SOURCES:
                shutil.copy(path, folder)
            else:
                (folder / name).with_suffix(".mpy").write_bytes(compiled(path, name))
        shutil.copytree(ROOT / "build" / "lib" / "umqtt", folder / "lib" / "umqtt")
        for path in _CHIP.glob("*.py"):
            shutil.copy(path, folder)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        self.folder = folder

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, program: str, *arguments: str) -> Iterator[dict[str, Any]]:
        """Run a program of faults/chip; yield what it says. InterpreterError when it ends by anything but itself."""
        command = [str(pathlib.Path(sys.executable).with_name("micropython")), "-X", f"heapsize={_HEAP}"]
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                [*command, str(self.folder / program), *arguments],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            silent = threading.Event()
            alarm = self._watch(process, silent)
            try:
                if process.stdout is None:
                    raise InterpreterError("no output")
                rest = []
                for line in process.stdout:
                    alarm.cancel()
                    alarm = self._watch(process, silent)
                    if line.startswith("{"):
                        yield json.loads(line)
                    else:
                        rest.append(line)
                if silent.is_set():
                    raise InterpreterError(f"{program} hangs: nothing for {_SILENT_S} s")
                if process.wait():
                    errors.seek(0)
                    said = ("".join(rest) + errors.read())[-2000:]
                    raise InterpreterError(f"{program} ended with status {process.returncode}: {said}")
            finally:
                alarm.cancel()
                process.kill()

    @staticmethod
    def _watch(process: subprocess.Popen[str], silent: threading.Event) -> threading.Timer:
        """End a process that says nothing for too long, and note it."""

        def end() -> None:
            silent.set()
            process.kill()

        alarm = threading.Timer(_SILENT_S, end)
        alarm.daemon = True
        alarm.start()
        return alarm
