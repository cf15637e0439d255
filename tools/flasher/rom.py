"""
The chip's ROM loader, by esptool as a program of its own (it is GPL; and a chip that hangs it can be left alone).

    identify(port)                            # ("esp32s3", "02:0b:e2:...")
    write(port, {0x0: image}, progress)       # verified by esptool with the chip's own MD5
    read(port, 0x8000, 0xC00)
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tools.flasher import ports
from tools.flasher.errors import FlashError

Progress = Callable[[int, int], None]  # done, of how much

_CONNECT_S = 30.0
_WATCH_S = 0.25
_GONE_S = 2.0  # a chip with USB of its own takes its port away for a moment when it is reset
_BYTES_PER_S = 8_000  # slower than the slowest line with a loader at its end; for deadlines
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s?%")
_CHIP = re.compile(r"Chip type:\s+(ESP32[-A-Z0-9]*)")
_MAC = re.compile(r"MAC:\s+([0-9a-f:]{17})")
_SIGNS_OF_GONE = (
    "could not open",
    "No such file",
    "Input/output error",
    "returned no data",
    "not open",
    "PtyProcess",
    "termios",
)
_SILENT = ("No serial data received", "Failed to connect", "Wrong boot mode", "Invalid head of packet")

baud = 460800
_running: set[subprocess.Popen[str]] = set()
_held: set[str] = set()


def identify(port: str) -> tuple[str, str]:
    """Return (chip, MAC). FlashError: port-*, no-answer."""
    text = _twice(port, ["chip-id"], _CONNECT_S)
    chip, mac = _CHIP.search(text), _MAC.search(text)
    if not chip or not mac:
        raise FlashError("no-answer", port=port)
    return chip[1].replace("-", "").lower(), mac[1]


def write(port: str, parts: dict[int, bytes], progress: Progress | None = None) -> None:
    """Write bytes at their offsets, in this order, and have them verified. FlashError."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["write-flash"]
        for offset, data in parts.items():
            path = pathlib.Path(folder) / f"{offset:x}.bin"
            path.write_bytes(data)
            words += [hex(offset), str(path)]
        size = sum(map(len, parts.values()))
        _esptool(port, words, _CONNECT_S + size / _BYTES_PER_S, _scaled(progress, size))


def read(port: str, offset: int, size: int, progress: Progress | None = None) -> bytes:
    """Return `size` bytes of flash. FlashError."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "flash.bin"
        words = ["read-flash", hex(offset), hex(size), str(path)]
        _twice(port, words, _CONNECT_S + size / _BYTES_PER_S, _scaled(progress, size))
        return path.read_bytes()


def erase(port: str, offset: int, size: int) -> None:
    """Erase whole 4 KB sectors. FlashError."""
    _esptool(port, ["erase-region", hex(offset), hex(size)], _CONNECT_S + size / _BYTES_PER_S)


@contextmanager
def hold(port: str) -> Iterator[None]:
    """
    Keep the chip in its loader between what is asked inside, and start it once at the end. A tag in service counts its
    starts, and takes many short ones in a row for a fault of its own (docs/reliability.md: safe mode).
    """
    _held.add(port)
    try:
        yield
    finally:
        _held.discard(port)
        with suppress(FlashError):
            identify(port)


def stop() -> None:
    """End every esptool that runs: nobody waits for it any more."""
    for program in list(_running):
        program.kill()


def _scaled(progress: Progress | None, size: int) -> Callable[[float], None]:
    return lambda percent: progress(int(size * percent / 100), size) if progress else None


def _twice(
    port: str, words: list[str], deadline_s: float, percent: Callable[[float], None] | None = None
) -> str:
    """What only asks may be asked again: a board that was plugged in a moment ago talks, and a line has noise."""
    try:
        return _esptool(port, words, deadline_s, percent)
    except FlashError as error:
        if error.kind != "esptool":
            raise
    return _esptool(port, words, deadline_s, percent)


def _esptool(
    port: str, words: list[str], deadline_s: float, percent: Callable[[float], None] | None = None
) -> str:
    ports.probe(port)
    command = [sys.executable, "-m", "esptool", "--port", port, "--baud", str(baud)]
    command += [*(("--after", "no-reset") if port in _held else ()), *words]
    # Not a terminal, so that lines come as lines.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
    ) as program:
        ended = threading.Event()
        _running.add(program)
        threading.Thread(target=_watch, args=(program, port, deadline_s, ended), daemon=True).start()
        said = []
        try:
            for line in program.stdout or ():
                said.append(line)
                found = _PERCENT.search(line)
                if found and percent:
                    percent(float(found[1]))
            status = program.wait()
        finally:
            ended.set()
            _running.discard(program)
            program.kill()  # nothing happens where it has ended
    text = "".join(said)
    if status:
        raise _reason(port, text, status)
    return text


def _watch(program: subprocess.Popen[str], port: str, deadline_s: float, ended: threading.Event) -> None:
    """Kill esptool at its deadline, and when its port is gone: it would go on asking."""
    now_s = seen_s = time.monotonic()
    end_s = now_s + deadline_s
    while not ended.wait(_WATCH_S):
        now_s = time.monotonic()
        if ports.there(port):
            seen_s = now_s
        if now_s > end_s or now_s > seen_s + _GONE_S:
            program.kill()
            return


def _reason(port: str, text: str, status: int) -> FlashError:
    if not ports.there(port):
        return FlashError("port-gone", port=port)
    if "Permission denied" in text or "busy" in text or "lock" in text:
        return ports.explain(port, OSError(text))
    if any(sign in text for sign in _SIGNS_OF_GONE):
        return FlashError("port-gone", port=port)
    if status < 0 or any(sign in text for sign in _SILENT):
        return FlashError("no-answer", port=port)
    fatal = re.search(r"A fatal error occurred: (.*)", text)
    lines = text.strip().splitlines()
    return FlashError(
        "esptool", text=fatal[1].strip() if fatal else lines[-1] if lines else f"status {status}"
    )
