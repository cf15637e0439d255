"""What is on a board: `list` looks at all, `read` asks one tag, `wipe` makes a board forget."""

from typing import Any

from tools.flasher import flashfs, image, rom
from tools.flasher.errors import FlashError
from tools.flasher.repl import Repl
from tools.flasher.show import Screen


def look(port: str) -> dict[str, Any]:
    """
    Return what is at `port`: chip, mac, micropython, obereg, tag, service, and `what` in words. Without a prompt all of
    it is read off the flash, but micropython, which is None. FlashError: port-*, no-answer.
    """
    found: dict[str, Any] = {"micropython": None, "obereg": None, "tag": None, "service": None}
    try:
        with Repl(port) as tag:
            state = tag.call("state")
            mac = tag.call("mac")
        version = ".".join(map(str, state["version"]))
        chip = state["machine"].lower().replace("-", "").rpartition(" with ")[2].split(" ")[0]
        found |= {"what": "in use", "chip": chip, "mac": mac, "micropython": version}
        found |= {name: state[name] for name in ("obereg", "tag", "service")}
        found["what"] = _words(found)
    except FlashError as error:
        if error.kind != "no-answer":
            raise
        found |= _silent(port)
    return found


def silence(port: str) -> FlashError:
    """Return why there is no prompt at `port`: no interpreter, a closed window, or nothing that answers at all."""
    try:
        service = _silent(port)["service"]
    except FlashError as error:
        return error
    return FlashError({None: "no-micropython", True: "window-closed", False: "no-prompt"}[service], port=port)


def _silent(port: str) -> dict[str, Any]:
    """What its ROM loader tells of a board without a prompt. FlashError: port-*, no-answer, esptool."""
    with rom.hold(port):
        chip, mac = rom.identify(port)
        found = {"chip": chip, "mac": mac, "service": None}
        files = flashfs.FlashFiles(port, chip)
        if files.blank:
            return found | {"what": "blank"}
        closed = flashfs.service(files)
    if closed:
        return found | closed | {"what": "in service, window closed", "service": True}
    return found | {"what": "no prompt, and not in service", "service": False}


def _words(found: dict[str, Any]) -> str:
    if not found["obereg"]:
        return "MicroPython, no firmware"
    if not found["tag"]:
        return "firmware, no identity"
    return "in service, window open" if found["service"] else "not in service yet"


def read(port: str, screen: Screen) -> dict[str, Any]:
    """Show a tag's state: versions, identity, counters, what waits, why it started last. FlashError."""
    with Repl(port) as tag:
        state = tag.call("state")
        if not state["obereg"]:
            raise FlashError("not-installed", port=port)
        report = tag.call("report")
    facts = {**state, **report}
    said = "obereg tag service waiting incident_open damaged_records reset_cause failed_starts"
    for name in said.split():
        screen.say(port, f"{name.replace('_', ' '):16} {facts[name]}", **{name: facts[name]})
    for name in ("crash", "counters", "log"):
        screen.say(port, f"{name:16} {facts[name] or 'none kept'}", **{name: facts[name]})
    return facts


def wipe(port: str, screen: Screen) -> None:
    """
    Erase NVS and the file system, read them back, and show that no byte is left. MicroPython stays.

    FlashError: no-micropython, not-wiped, port-*, esptool.
    """
    try:
        parts = image.partitions(rom.read(port, image.TABLE, image.TABLE_BYTES))
    except image.ImageError:
        raise FlashError("no-micropython", port=port) from None
    # Everything that a program could have written: data partitions, and none that holds code.
    data = {name: part for name, part in parts.items() if part.kind == 1}
    for part in data.values():
        rom.erase(port, part.offset, part.size)
    for name, part in data.items():
        bar = screen.bar(port, f"reading {name}")
        left = rom.read(port, part.offset, part.size, bar)
        bar.close()
        count = len(left) - left.count(0xFF)
        if count:
            raise FlashError("not-wiped", count=count, where=name)
        screen.say(
            port, f"{name}: {part.size} bytes read, every one is erased", partition=name, bytes=part.size
        )
