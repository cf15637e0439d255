"""The GNSS receiver: on a UART of its own (tag/check_sky.py) or inside the modem (tag/check_lte.py)."""

import json
from typing import Any

from sim import image as source
from tools.flasher.errors import FlashError
from tools.flasher.findings import Findings, Part
from tools.flasher.repl import Repl
from tools.flasher.site import Site


def sky(tag: Repl, site: Site, found: Findings, search_s: int) -> None:
    """Try gnss."""
    own = "gnss" in json.loads(source.board_map(site.board))

    def listen(part: Part) -> None:
        if not own and found.figures.get("modem") is None:
            return part.lacks("it is inside the modem, which is not used")
        part.wait(f"listening for satellites, up to {search_s} s; under an open sky 30 s are usual")
        seen = _own(tag, site, search_s, part) if own else _inside(tag, search_s, part)
        satellites = seen["satellites"]
        if not satellites and part.screen.ask(
            part.port, "No satellite is heard. Is the tag under an open sky?"
        ):
            raise FlashError("gnss-deaf")
        where = (
            f"{satellites} satellites" if satellites else "no satellites indoors: its antenna is not tried"
        )
        return part.ok(f"{seen.pop('text')}, {where}", **seen)

    found.part("gnss", listen, "board", *(() if own else ("modem",)))


def _own(tag: Repl, site: Site, search_s: int, part: Part) -> dict[str, Any]:
    tag.soft_reset()
    seen: dict[str, Any] = tag.call(
        "check_sky", site.board, search_s * 1000, deadline_s=search_s + 20, on_line=part.hear
    )
    if not seen["bytes"]:
        raise FlashError("gnss-mute")
    if not seen["sentences"]:
        raise FlashError("gnss-garbled", bytes=seen["bytes"])
    return {**seen, "text": f"{seen['sentences']} sentences, {seen['bad']} bad"}


def _inside(tag: Repl, search_s: int, part: Part) -> dict[str, Any]:
    seen: dict[str, Any] = tag.call(
        "check_lte", "sky", search_s * 1000, deadline_s=search_s + 30, on_line=part.hear
    )
    if not seen["runs"]:
        raise FlashError("gnss-mute")
    return {**seen, "text": "the receiver in the modem runs" + (", it has a fix" if seen["fix"] else "")}
