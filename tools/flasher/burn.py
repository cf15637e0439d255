"""MicroPython onto the chip: the right image, whole, pinned; fetched once by mpflash if no file is given."""

import hashlib
import os
import pathlib
import subprocess
import sys

from tools.flasher import image, rom
from tools.flasher.errors import FlashError
from tools.flasher.show import Screen
from tools.flasher.site import Site

_FETCH_S = 300
_BOARDS = {"esp32s3": "ESP32_GENERIC_S3", "esp32": "ESP32_GENERIC", "esp32c3": "ESP32_GENERIC_C3"}
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "obereg"


def burn(
    port: str, site: Site, screen: Screen, file: str | None = None, chip: str | None = None
) -> image.Interpreter:
    """Erase the chip and write MicroPython. Return which. FlashError: image-*, wrong-chip, port-*, esptool."""
    if chip is None:
        chip, _ = rom.identify(port)
    path = pathlib.Path(file) if file else _fetched(site, chip)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlashError("image-missing", text=f"{path}: {error.strerror}") from None
    found = check(data, chip, site, path)
    bar = screen.bar(port, f"MicroPython {found.version}")
    # Last comes what makes the chip start: a cable that is pulled leaves no half interpreter behind.
    start = image.START.get(chip, 0)
    head = (image.TABLE - start) // 4096 * 4096
    rom.erase(port, start, len(data) + -len(data) % 4096)
    rom.write(port, {start + head: data[head:], start: data[:head]}, bar)
    bar.close()
    screen.say(port, f"MicroPython {found.version} is on the {chip}", version=found.version, chip=chip)
    return found


def check(data: bytes, chip: str, site: Site, path: pathlib.Path) -> image.Interpreter:
    """Return which MicroPython these bytes are. FlashError: image-bad, -cut, -chip, -old, -unpinned, -other."""
    try:
        found = image.inspect(data, chip)
    except image.ImageError as error:
        raise FlashError(error.kind, text=f"{path.name}: {error}") from None
    sha256 = hashlib.sha256(data).hexdigest()
    pin = site.pins.get(chip)
    if pin is None:
        raise FlashError("image-unpinned", sha256=sha256, chip=chip, version=found.version)
    if sha256 != pin["sha256"].lower():
        raise FlashError("image-other", sha256=sha256)
    return found


def _fetched(site: Site, chip: str) -> pathlib.Path:
    """Return the pinned version's file from the cache; have mpflash fetch it once. FlashError: image-missing."""
    if chip not in site.pins:
        raise FlashError("image-missing", text=f"site.toml pins no MicroPython for {chip}")
    if chip not in _BOARDS:
        raise FlashError("image-missing", text=f"no generic MicroPython is known for {chip}")
    version = site.pins[chip]["version"]
    cached = CACHE / f"{_BOARDS[chip]}-{version}.bin"
    if cached.exists():
        return cached
    folder = CACHE / "mpflash"
    folder.mkdir(parents=True, exist_ok=True)
    words = ("download", "--version", version, "--board", _BOARDS[chip])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mpflash", *words],
            capture_output=True,
            text=True,
            timeout=_FETCH_S,
            env={**os.environ, "MPFLASH_FIRMWARE": str(folder), "NO_COLOR": "1"},
        )
    except subprocess.TimeoutExpired:
        raise FlashError("image-missing", text=f"mpflash did not end within {_FETCH_S} s") from None
    found = sorted(folder.rglob(f"*{_BOARDS[chip]}*{version}*.bin"))
    if done.returncode or not found:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise FlashError("image-missing", text=f"mpflash: {lines[-1].strip() if lines else 'no file'}")
    # Renamed once it is whole.
    found[-1].replace(cached)
    return cached
