"""
The tag tests itself, part by part: each is said with a figure; what fails, with its likely cause and the next step.

    check(port, site, screen, figures)      # {"flash": {"free": ...}, "modem": {"imei": ...}, ...}

Nothing of it stays on the tag: the scripts tag/check_*.py use the firmware that is installed there. Every part that
does not need one that failed is tried; then the first failure is raised. What the board or the settings lack is None.
"""

import json
import time
from functools import partial
from typing import Any

from tools.flasher import firmware
from tools.flasher.check_modem import modem
from tools.flasher.check_sky import sky
from tools.flasher.check_wifi import wifi
from tools.flasher.errors import FlashError
from tools.flasher.findings import Findings, Part
from tools.flasher.install import check_interpreter
from tools.flasher.repl import Repl
from tools.flasher.show import Screen
from tools.flasher.site import Site

PRESS_S = 60
SEARCH_S = 180
_HELD_S = 15
_BLOCKS = 32  # of 512 bytes
_RTC_HEAD = 256  # bytes of RTC memory that may be in use
_HASHES_S = 60.0
# What a lithium cell can have, and what it should have before the tag is handed out.
_CELL_MV = (2500, 4350)
_LEAST_MV = 3500
# The chip's clock may go so much faster or slower than this computer's, in 1/1000; over at least so long.
_CLOCK_E3 = 50
_CLOCK_S = 3.0


def check(
    port: str,
    site: Site,
    screen: Screen,
    figures: dict[str, Any],
    press_s: int = PRESS_S,
    search_s: int = SEARCH_S,
) -> None:
    """
    Fill `figures` by part (Findings says how). `press_s`: how long to wait for the press; `search_s`: for network and
    satellites.

    FlashError: not-installed, port-*, old-micropython, wrong-chip; else of the first part that failed, at the end.
    """
    found = Findings(port, screen, figures)
    with Repl(port) as tag:
        state = tag.call("state")
        check_interpreter(port, site, state)
        if not state["obereg"]:
            raise FlashError("not-installed", port=port)
        found.part("firmware", partial(_firmware, tag, site))
        found.part("flash", partial(_flash, tag))
        found.part("rtc_memory", partial(_rtc, tag))
        found.part("settings", partial(_settings, tag, site, state["tag"]), "firmware")
        _body(tag, site, found, press_s)
        modem(tag, site, found, search_s)
        # Before Wi-Fi: the receiver may be inside the modem, which is awake now.
        sky(tag, site, found, search_s)
        wifi(tag, site, found)
    if found.first:
        raise found.first
    screen.say(port, f"all parts work: {', '.join(found.good)}", parts=found.good, ok=True)


def _firmware(tag: Repl, site: Site, part: Part) -> None:
    """What is there is what the manifest says, for this board."""
    there = tag.call("hashes", deadline_s=_HASHES_S)
    manifest = json.loads(tag.run("print(open('/manifest.json').read())"))
    if manifest["board"] != site.board:
        raise FlashError("firmware-other", what=f"it is for the board {manifest['board']}, not {site.board}")
    wrong = [name for name, digest in manifest["files"].items() if there.get(name) != digest]
    if wrong:
        raise FlashError("firmware-other", what=f"{len(wrong)} files, the first is {wrong[0]}")
    count = len(manifest["files"])
    part.ok(
        f"{manifest['version']}, {count} files, all as installed", version=manifest["version"], files=count
    )


def _flash(tag: Repl, part: Part) -> None:
    try:
        seen = tag.call("check_flash", _BLOCKS)
    except FlashError as error:
        if "28" in error.text or "ENOSPC" in error.text:
            free = tag.call("state")["free"]
            raise FlashError("flash-full", need=_BLOCKS * 512, free=free) from None
        raise
    if seen["wrong"]:
        raise FlashError("flash-bad", wrong=seen["wrong"], count=_BLOCKS)
    text = f"{seen['free'] // 1024} of {seen['total'] // 1024} KB free, {_BLOCKS // 2} KB written and read"
    part.ok(text, free=seen["free"], total=seen["total"])


def _rtc(tag: Repl, part: Part) -> None:
    seen = tag.call("check_rtc", _RTC_HEAD)
    if seen["wrong"]:
        raise FlashError("rtc-bad", wrong=seen["wrong"])
    part.ok(f"{seen['bytes']} bytes written and read", bytes=seen["bytes"])


def _settings(tag: Repl, site: Site, identity: str | None, part: Part) -> None:
    """Whether the tag was provisioned from this site file; what leads to the broker is tried only then."""
    if not identity:
        return part.lacks("not provisioned yet, so it cannot call the broker")
    there = tag.call("hashes", deadline_s=_HASHES_S)
    wanted = {"config.json": site.config_file()} | ({"ca.der": site.ca} if site.ca else {})
    other = [name for name, data in wanted.items() if there.get(name) != firmware.digest(data)]
    if other:
        raise FlashError("settings-other", what=", ".join(other))
    return part.ok(f"those of {site.path.name}, tag {identity}", tag=identity)


def _body(tag: Repl, site: Site, found: Findings, press_s: int) -> None:
    """What hangs on the chip's pins, and the chip's clock."""
    tag.soft_reset()
    has: list[str] = []
    began: list[tuple[float, float, int]] = []

    def board(part: Part) -> None:
        has.extend(_step(tag, "begin", site.board)["has"])
        began.append(_clock(tag))
        part.ok(site.board, name=site.board)

    def charger(part: Part) -> None:
        if not {"charger", "pmu"} & set(has):
            return part.lacks("this board cannot tell")
        plugged = _step(tag, "charger")["plugged"]
        return part.ok("plugged in" if plugged else "not plugged in, so not tried", plugged=plugged)

    def vibration(part: Part) -> None:
        if part.name not in has:
            return part.lacks("this board has none")
        if not part.screen.ask(part.port, "Did it vibrate three times?", lambda: _step(tag, "vibrate")):
            raise FlashError("not-felt")
        return part.ok("felt", answer=True)

    def light(part: Part) -> None:
        if part.name not in has:
            return part.lacks("this board has none")
        answer = part.screen.ask(part.port, "Is its light on?", lambda: _step(tag, "light", True))
        _step(tag, "light", False)
        if not answer:
            raise FlashError("not-seen")
        return part.ok("seen", answer=True)

    found.part("board", board, "firmware")
    found.part("battery", partial(_battery, tag), "board")
    found.part("charger", charger, "board")
    found.part("button", partial(_button, tag, press_s), "board")
    found.part("vibration", vibration, "board")
    found.part("light", light, "board")
    found.part("clock", lambda part: _pace(tag, began[0], part), "board")


def _step(tag: Repl, step: str, *given: object, **options: Any) -> dict[str, Any]:
    seen: dict[str, Any] = tag.call("check_body", step, *given, **options)
    if kind := seen.pop("fault", None):
        raise FlashError(kind, **seen)
    return seen


def _battery(tag: Repl, part: Part) -> None:
    seen = _step(tag, "battery")
    mv = seen["mv"]
    if not _CELL_MV[0] <= mv <= _CELL_MV[1]:
        raise FlashError("battery-none", mv=mv)
    if mv < _LEAST_MV:
        raise FlashError("battery-low", mv=mv, least=_LEAST_MV)
    part.ok(f"{mv} mV, steady to {seen['spread_mv']} mV", **seen)


def _button(tag: Repl, press_s: int, part: Part) -> None:
    _step(tag, "up")
    part.wait("press the button now, for a second", step="press")

    def on_line(line: str) -> None:
        if line == "pressed":
            part.wait("pressed, let it go", step="latched")
        else:
            part.hear(line)

    most_s = press_s + _HELD_S
    seen = _step(tag, "press", press_s * 1000, _HELD_S * 1000, deadline_s=most_s + 10, on_line=on_line)
    part.ok(f"held for {seen['held_ms']} ms, {seen['edges']} edges", **seen)


def _clock(tag: Repl) -> tuple[float, float, int]:
    """Return this computer's seconds before and after the chip's clock was asked, and its ms."""
    before_s = time.monotonic()
    ms = _step(tag, "time")["ms"]
    return before_s, time.monotonic(), ms


def _pace(tag: Repl, began: tuple[float, float, int], part: Part) -> None:
    """The chip's clock must go as fast as this computer's: at least, at most, whatever the cable takes."""
    time.sleep(max(0.0, began[1] + _CLOCK_S - time.monotonic()))
    ended = _clock(tag)
    took_ms = ended[2] - began[2]
    least_ms, most_ms = (ended[0] - began[1]) * 1000, (ended[1] - began[0]) * 1000
    if took_ms < 0:
        return part.ok("the month has just turned, so its pace was not measured")
    if not least_ms * (1000 - _CLOCK_E3) / 1000 <= took_ms + 2 <= most_ms * (1000 + _CLOCK_E3) / 1000 + 4:
        text = f"the chip's clock counts {took_ms / 1000:.1f} s in {least_ms / 1000:.1f} s"
        raise FlashError("clock-bad", text=text, cure="Put the board aside: its crystal is broken.")
    return part.ok(f"{took_ms / 1000:.1f} s counted in {least_ms / 1000:.1f} s", counted_ms=took_ms)
