"""
The firmware onto the tag: a whole file system on a blank board, the changed files on a used one.

On a used tag new files first go to /stage. When all of them are there and read back, one small file says so, and they
are moved into place; boot.py goes on with that at the next start if it was cut. The tag starts the old
firmware or the new one, never a mixture.
"""

from base64 import b64encode
from typing import Any, NamedTuple

from tools.flasher import firmware, image, rom
from tools.flasher.errors import FlashError
from tools.flasher.repl import Repl
from tools.flasher.show import Screen
from tools.flasher.site import Site

_CHUNK = 2048
_HASHES_S = 60.0
_SPARE = 16 * 1024  # blocks that the file system itself needs while files move


class Installed(NamedTuple):
    """What was done: bytes and files sent, round trips, and how ("image", "files" or "nothing")."""

    how: str
    files: int
    bytes: int
    trips: int


def install(port: str, site: Site, screen: Screen, erase: bool = False) -> Installed:
    """
    Bring the tag's firmware to this one.

    FlashError: no-micropython, old-micropython, wrong-chip, flash-full, not-written. Identity, alerts and
    settings stay. `erase`: write a new file system even so (they are lost).
    """
    wanted = firmware.files(site.board)
    with Repl(port) as tag:
        state = tag.call("state")
        check_interpreter(port, site, state)
        blank = erase or (not state["tag"] and not state["obereg"] and state["files"] <= 1)
        done = None if blank else _files(tag, wanted, state, screen)
    if done is None:
        done = _image(port, wanted, screen)
        with Repl(port) as tag:
            _check(tag, wanted)
    words = "nothing had changed" if done.how == "nothing" else f"{done.files} files, {done.bytes} bytes"
    screen.say(
        port,
        f"firmware {firmware.version()} is installed: {words}",
        how=done.how,
        files=done.files,
        bytes=done.bytes,
    )
    return done


def check_interpreter(port: str, site: Site, state: dict[str, Any]) -> None:
    """Refuse an old interpreter and another chip than the board's. FlashError."""
    if tuple(state["version"][:2]) < image.OLDEST:
        raise FlashError("old-micropython", port=port, version=".".join(map(str, state["version"])))
    wanted = firmware.chip(site.board)
    there = state["machine"].lower().replace("-", "").rpartition(" with ")[2].split(" ")[0]
    if there and there != wanted:
        raise FlashError("wrong-chip", port=port, chip=there, board=site.board, wanted=wanted)


def _image(port: str, wanted: dict[str, bytes], screen: Screen) -> Installed:
    table = rom.read(port, image.TABLE, image.TABLE_BYTES)
    try:
        place = image.file_system(table)
    except image.ImageError:
        raise FlashError("no-micropython", port=port) from None
    data = firmware.image({**wanted, "build.json": firmware.build_file()}, place.size)
    bar = screen.bar(port, "firmware")
    # The two blocks that make it a file system come last: until then it is blank, and this can begin anew.
    head = 2 * firmware.BLOCK
    rom.erase(port, place.offset, head)
    rom.write(port, {place.offset + head: data[head:], place.offset: data[:head]}, bar)
    bar.close()
    return Installed("image", len(wanted) + 1, len(data), 1)


def _files(tag: Repl, wanted: dict[str, bytes], state: dict[str, Any], screen: Screen) -> Installed:
    tag.call("finish")
    plan = firmware.plan(wanted, tag.call("hashes", deadline_s=_HASHES_S))
    if not plan.send and not plan.remove:
        return Installed("nothing", 0, 0, tag.trips)
    tag.call("clear")
    need = sum(len(data) + -len(data) % firmware.BLOCK for data in plan.send.values()) + _SPARE
    free = tag.call("state")["free"]
    if free < need:
        raise FlashError("flash-full", need=need, free=free)
    bar = screen.bar(tag.port, "firmware")
    total = sum(map(len, plan.send.values()))
    sent = 0
    for name, data in plan.send.items():
        put(tag, f"/stage/{name}", data)
        sent += len(data)
        bar(sent, total)
    bar.close()
    there = tag.call("hashes", deadline_s=_HASHES_S)
    for name, data in plan.send.items():
        if there.get(f"stage/{name}") != firmware.digest(data):
            raise FlashError("not-written", what=name)
    order = sorted(plan.send, key=lambda name: (name == "manifest.json", name))
    for folder in sorted({name.rpartition("/")[0] for name in order} - {""}):
        tag.call("mkdir", f"/{folder}")
    ready = [f"/{name}" for name in order] + [f"-/{name}" for name in plan.remove]
    put(tag, "/stage/ready", "\n".join(ready).encode())
    tag.call("finish")
    tag.call("clear")
    _check(tag, wanted)
    return Installed("files", len(plan.send), total, tag.trips)


def _check(tag: Repl, wanted: dict[str, bytes]) -> None:
    plan = firmware.plan(wanted, tag.call("hashes", deadline_s=_HASHES_S))
    if plan.send or plan.remove:
        raise FlashError("not-written", what=", ".join([*plan.send, *plan.remove][:3]))


def put(tag: Repl, path: str, data: bytes) -> None:
    """Write one file whole. FlashError: flash-full, not-written."""
    size = 0
    for at in range(0, len(data) or 1, _CHUNK):
        try:
            size = tag.call("write", path, at, b64encode(data[at : at + _CHUNK]))
        except FlashError as error:
            if "28" in error.text or "ENOSPC" in error.text:
                raise FlashError("flash-full", need=len(data), free=0) from None
            raise
    if size != len(data):
        raise FlashError("not-written", what=path)
