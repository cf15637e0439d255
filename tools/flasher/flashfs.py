"""
The file system of a tag without a prompt, read through the chip's ROM loader, a piece at a time as it is needed.

    files = FlashFiles(port, chip)
    files.read("data/service")            # bytes, or None
"""

import json
from typing import Any

from littlefs import LittleFS, LittleFSError
from littlefs.context import UserContext

from tools.flasher import image, rom

_PIECE = 64 * 1024
_BLOCK = 4096
_UNIT = 32
_LIMIT = 16 * 1024  # of what is read from one file


class _Flash(UserContext):
    """Blocks that are fetched when LittleFS asks for them; nothing is written."""

    def __init__(self, port: str, place: image.Partition) -> None:
        super().__init__(buffsize=0)
        self._port, self._place = port, place
        self._pieces: dict[int, bytes] = {}

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        at = block * _BLOCK + off
        number = at // _PIECE
        if number not in self._pieces:
            start = number * _PIECE
            count = min(_PIECE, self._place.size - start)
            self._pieces[number] = rom.read(self._port, self._place.offset + start, count)
        at -= number * _PIECE
        return bytearray(self._pieces[number][at : at + size])


class FlashFiles:
    """
    `blank`: whether there is no program; `whole`: whether the chip starts MicroPython. FlashError: port-*, no-answer,
    esptool.
    """

    def __init__(self, port: str, chip: str) -> None:
        start = image.START.get(chip, 0)
        head = rom.read(port, start, image.APP + 4096 - start)
        self.blank = head[image.APP - start] == 0xFF
        # `burn` writes the first bytes last, so where they are, everything is.
        self.whole = head[:1] == b"\xe9"
        self._system: LittleFS | None = None
        try:
            place = image.file_system(head[image.TABLE - start :][: image.TABLE_BYTES])
        except image.ImageError:
            return
        system = LittleFS(
            context=_Flash(port, place),
            block_size=_BLOCK,
            block_count=place.size // _BLOCK,
            read_size=_UNIT,
            prog_size=_UNIT,
            cache_size=4 * _UNIT,
            lookahead_size=_UNIT,
            mount=False,
        )
        try:
            system.mount()
            self._system = system
        except LittleFSError:
            pass  # blank, or damaged

    def read(self, path: str) -> bytes | None:
        """Return what a file holds (at most 16 KB), or None when there is none."""
        if self._system is None:
            return None
        try:
            with self._system.open(path, "rb") as file:
                return file.read(_LIMIT)
        except (LittleFSError, FileNotFoundError):
            return None


def service(files: FlashFiles) -> dict[str, Any] | None:
    """
    Return what a tag that is in service says of itself on its flash, {"tag", "obereg"}; None: it is not in service.

    FlashError: port-*, no-answer, esptool.
    """
    if not files.whole or files.read("data/service") is None:
        return None
    manifest, record = files.read("manifest.json"), files.read("data/identity")
    try:
        version = json.loads(manifest or b"{}").get("version")
    except ValueError:
        version = None
    # Two magics, then the id; the root behind it is not looked at.
    return {"tag": record[8:16].hex() if record else None, "obereg": version}
