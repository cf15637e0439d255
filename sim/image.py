"""
The tag's flash as a file: a LittleFS2 image with the firmware, one board map and whatever is given besides.

boot.py and main.py stay source, because the ESP32 executes these two as .py only; all else is compiled with
mpy-cross. Names in an image are paths without a leading slash: "main.py", "lib/cbor.mpy".

    python -m sim image --out tag.img --board tag-a --config config.json --identity obereg-ID.json --ca ca.pem
"""

import argparse
import hashlib
import json
import os
import pathlib
import ssl
from collections.abc import Mapping

from littlefs import LittleFS, LittleFSError

from sim.common import BUILD, FIRMWARE, SimError
from tools import contents, mpy

BLOCK = 4096
SIZE = 1024 * 1024
_UNIT = 32  # read and program size of the ESP32 port (sim/board/simflash.py mounts with the same)


class ImageError(SimError):
    """An image cannot be made or read."""


def boards(firmware: pathlib.Path = FIRMWARE) -> list[str]:
    """Return the names of the boards that exist."""
    return sorted(path.stem for path in (firmware / "boards").glob("*.json"))


def board_map(board: str, firmware: pathlib.Path = FIRMWARE) -> bytes:
    """Return the bytes of boards/NAME.json; ImageError with the list of boards when there is none."""
    if board not in boards(firmware):
        raise ImageError(f"unknown board {board!r}; there are: {', '.join(boards(firmware)) or 'none'}")
    return (firmware / "boards" / f"{board}.json").read_bytes()


def compiled(path: pathlib.Path, name: str) -> bytes:
    """Return the .mpy of a source file, from the cache when neither it nor the compiler changed."""
    try:
        # The text after its names were shortened: another way of shortening is another key.
        how = f"{mpy.compiler().stat().st_mtime_ns} {mpy.FLAGS} {name} {mpy.shortened(path)[0]}"
        cached = BUILD / "mpy" / f"{hashlib.sha256(how.encode()).hexdigest()}.mpy"
        if not cached.exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            fresh = cached.with_suffix(f".{os.getpid()}.new")
            mpy.compile_mpy(path, fresh, name)
            fresh.replace(cached)
        return cached.read_bytes()
    except mpy.MpyError as error:
        raise ImageError(str(error))


def firmware_files(board: str, firmware: pathlib.Path = FIRMWARE) -> dict[str, bytes]:
    """Return what is flashed for a board: name in the image to bytes."""
    board_json = board_map(board, firmware)
    files = {f"boards/{board}.json": board_json}
    for path in contents.modules(json.loads(board_json), firmware):
        name = path.relative_to(firmware).as_posix()
        if name in mpy.SOURCES:
            files[name] = mpy.uncommented(path)
        else:
            files[name.removesuffix(".py") + ".mpy"] = compiled(path, name)
    return files


def _mount(image: bytes | None) -> LittleFS:
    count = SIZE // BLOCK if image is None else len(image) // BLOCK
    file_system = LittleFS(
        block_size=BLOCK,
        block_count=count,
        read_size=_UNIT,
        prog_size=_UNIT,
        cache_size=4 * _UNIT,
        mount=False,
    )
    if image is None:
        file_system.format()
    else:
        file_system.context.buffer = bytearray(image)
    file_system.mount()
    return file_system


def _open(path: pathlib.Path) -> LittleFS:
    try:
        return _mount(path.read_bytes())
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}. Make an image with: python -m sim image")
    except LittleFSError as error:
        raise ImageError(f"{path} holds no LittleFS: {error}. Make an image with: python -m sim image")


def _put(file_system: LittleFS, files: Mapping[str, bytes | None]) -> None:
    for key, data in files.items():
        name = key.strip("/")
        try:
            if data is None:
                file_system.remove(name)
                continue
            folder = name.rpartition("/")[0]
            if folder:
                file_system.makedirs(folder, exist_ok=True)
            with file_system.open(name, "wb") as file:
                file.write(data)
        except (LittleFSError, OSError) as error:
            raise ImageError(f"cannot write {name} into the image: {error}")


def build(
    path: str | pathlib.Path, board: str, files: Mapping[str, bytes], *, firmware: pathlib.Path = FIRMWARE
) -> None:
    """
    Write a new image of 1 MiB to `path`: the firmware for `board`, and `files` (name to bytes) over it.

    ImageError: unknown board, source that does not compile, no room.
    """
    file_system = _mount(None)
    _put(file_system, {**firmware_files(board, firmware), **files})
    file_system.unmount()
    pathlib.Path(path).write_bytes(bytes(file_system.context.buffer))


def read(path: str | pathlib.Path) -> dict[str, bytes]:
    """Return every file of an image, name to bytes. ImageError when it is none."""
    file_system = _open(pathlib.Path(path))
    files = {}
    for folder, _, names in file_system.walk("/"):
        for name in names:
            full = f"{folder}/{name}".strip("/")
            with file_system.open(full, "rb") as file:
                files[full] = bytes(file.read())
    return files


def listed(path: str | pathlib.Path, folder: str) -> list[str]:
    """Return the names in one folder of an image, none when there is no such folder. ImageError when it is none."""
    try:
        return sorted(_open(pathlib.Path(path)).listdir(folder))
    except LittleFSError as error:
        if error.code == LittleFSError.Error.LFS_ERR_NOENT:
            return []
        raise ImageError(f"{path}: {folder} cannot be read: {error}")


def update(path: str | pathlib.Path, files: Mapping[str, bytes | None]) -> None:
    """Write `files` into an existing image, as the host does with the tag off; None removes a file."""
    target = pathlib.Path(path)
    file_system = _open(target)
    _put(file_system, files)
    file_system.unmount()
    target.write_bytes(bytes(file_system.context.buffer))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="FILE", help="the image to write")
    parser.add_argument("--board", required=True, metavar="NAME", help=f"one of: {', '.join(boards())}")
    parser.add_argument("--config", required=True, metavar="FILE", help="becomes /config.json on the tag")
    parser.add_argument("--identity", metavar="FILE", help="who the tag is: what `desk tags add` wrote")
    parser.add_argument("--ca", metavar="FILE", help="the CA of the broker's certificate (PEM or DER)")
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="DEST=SRC",
        help="put SRC at DEST on the tag; repeatable",
    )


def _read(path: str, what: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path} ({what}): {error.strerror}")


def _provisioned(arguments: argparse.Namespace) -> dict[str, bytes]:
    # Here, because provision imports firmware modules: `build` must work for any firmware.
    from sim import provision

    try:
        config = json.loads(_read(arguments.config, "--config"))
        identity = json.loads(_read(arguments.identity, "--identity")) if arguments.identity else None
        ca = _read(arguments.ca, "--ca") if arguments.ca else None
        if ca and ca.lstrip().startswith(b"-----"):
            ca = ssl.PEM_cert_to_DER_cert(ca.decode())
        if identity is None:
            print("no --identity: this tag will say that it must be provisioned")
            return {"config.json": json.dumps(config).encode(), **provision.build_file()}
        return provision.files(identity, config, ca)
    except (ValueError, KeyError, TypeError) as error:
        raise ImageError(f"--config, --identity or --ca does not hold what it should: {error!r}")


async def run(arguments: argparse.Namespace) -> None:
    files = _provisioned(arguments)
    for pair in arguments.file:
        name, equals, source = pair.partition("=")
        if not equals or not name.strip("/"):
            raise ImageError(f"--file {pair!r}: say DEST=SRC, for example ca.der=build/ca.der")
        files[name] = _read(source, f"--file {pair}")
    build(arguments.out, arguments.board, files)
    print(f"{arguments.out}: {len(read(arguments.out))} files for {arguments.board}")
