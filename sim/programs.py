"""
Programs of this project that run beside the demo, each with a log file of its own in the demo's folder.
"""

import asyncio
import pathlib
import sys

from sim.common import SimError

_READY_S = 20
_END_S = 5


class DemoError(SimError):
    """A part of the demo could not be started. The text says which and why."""


class Programs:
    """What was started here is ended by stop(), in any case."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self, *words: str, stdin: bool = False) -> asyncio.subprocess.Process:
        """Start `python -m WORDS`; its standard output is a pipe, its errors go to NAME.log."""
        name = words[1] if words[0] == "sim" else words[0]
        with (self._folder / f"{name}.log").open("ab") as log:
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *words),
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._running.append(program)
        return program

    async def first_line(self, program: asyncio.subprocess.Process, name: str) -> bytes:
        """Return the program's first line: it is up. DemoError with the end of its log when it is not."""
        line, problem = b"", "does not start"
        if program.stdout:
            try:
                line = await asyncio.wait_for(program.stdout.readline(), _READY_S)
            except TimeoutError:
                problem = f"is not ready after {_READY_S} s"
        if not line:
            text = (self._folder / f"{name}.log").read_text().strip().splitlines()
            raise DemoError(f"the {name} {problem}: {text[-1] if text else 'it gives no reason'}")
        return line

    async def call(self, *words: str) -> str:
        """Run `python -m WORDS` to its end; return what it printed. DemoError with its complaint."""
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(program.communicate(), _READY_S)
        if program.returncode:
            raise DemoError(f"{' '.join(words[:2])}: {errors.decode().strip()}")
        return output.decode()

    async def stop(self) -> None:
        """End every program, the last one first."""
        for program in reversed(self._running):
            if program.returncode is None:
                program.terminate()
        for program in self._running:
            try:
                await asyncio.wait_for(program.wait(), _END_S)
            except TimeoutError:
                program.kill()
