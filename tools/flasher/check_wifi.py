"""The known Wi-Fi networks, and the broker over the one that lets the tag in (tag/check_wifi.py)."""

from typing import Any

from tools.flasher.check_call import called
from tools.flasher.errors import FlashError
from tools.flasher.findings import Findings, Part
from tools.flasher.repl import Repl
from tools.flasher.site import Site

_JOIN_S = 20
_CALL_S = 60
_JOINED = 1010
# The ESP32 port's numbers: WRONG_PASSWORD, and the reasons 15 and 204 of a handshake that fails, as with a wrong key.
_WRONG_KEY = (202, 15, 204)


def wifi(tag: Repl, site: Site, found: Findings) -> None:
    """Try wifi, broker_wifi."""
    networks: list[list[str]] = site.config.get("wifi") or []

    def join(part: Part) -> None:
        if not networks:
            return part.lacks("the settings name none")
        tag.soft_reset()
        tag.call("check_call")
        part.wait(f"joining, up to {_JOIN_S * len(networks)} s; 3 s are usual")
        seen = tag.call(
            *("check_wifi", "join", site.board, networks, _JOIN_S * 1000),
            deadline_s=_JOIN_S * len(networks) + 20,
            on_line=part.hear,
        )
        name, status = seen[-1]
        if status == _JOINED:
            return part.ok(f"{name} lets it in", name=name)
        for name, status in seen:
            if status in _WRONG_KEY:
                raise FlashError("wifi-key", name=name)
        if "broker_modem" in found.good:
            # The child's places are not the technician's.
            return part.lacks(f"none of {len(networks)} is here, so not tried; the modem is the way")
        raise FlashError("wifi-absent", names=", ".join(name for name, _ in seen))

    def call(part: Part) -> None:
        broker = site.config["broker"]
        tls, name = broker.get("tls", True), broker.get("name") or broker["host"]
        part.wait(f"calling {broker['host']}, up to {_CALL_S} s; 2 s are usual")
        given = (broker["host"], broker.get("port", 8883), tls, name, _CALL_S * 1000)
        seen: dict[str, Any] = tag.call(
            "check_wifi", "call", *given, deadline_s=3 * _CALL_S, on_line=part.hear
        )
        called(part, site, seen)

    found.part("wifi", join, "board")
    found.part("broker_wifi", call, "settings", "wifi")
