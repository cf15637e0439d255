"""What the broker's answer to a call means, over whichever bearer (tag/check_call.py)."""

from typing import Any

from tools.flasher.errors import FlashError
from tools.flasher.findings import Part
from tools.flasher.site import Site

# What the bearers say, in lower case: first match counts. The modem tells what is wrong with a certificate by number
# (AT manual 12.2.3), MicroPython by mbedtls' words.
_SIGNS = (
    ("names another host and", "tls-name"),
    ("names another host", "tls-name"),
    ("does not match", "tls-name"),
    ("out of date", "tls-clock"),
    ("expired", "tls-clock"),
    ("in the future", "tls-clock"),
    ("no tls with this broker", "tls"),
    ("trusted ca", "tls"),
    ("certificate", "tls"),
    ("mbedtls", "tls"),
    ("no such host", "no-host"),
)


def called(part: Part, site: Site, seen: dict[str, Any]) -> None:
    """Say that the broker was reached, or raise why not. A password that is refused is no fault of a part."""
    broker = site.config["broker"]
    for text in (seen["text"], seen["warning"] or ""):
        if text:
            low = text.lower()
            kind = next((kind for sign, kind in _SIGNS if sign in low), "broker")
            raise FlashError(kind, text=text, host=broker["host"], name=broker.get("name") or broker["host"])
    tls = broker.get("tls", True)
    how = "TLS with our CA" if tls else "no TLS (site.toml says so)"
    knows = seen["connack"] == 0
    words = (
        "it knows this tag"
        if knows
        else ("it does not know this tag's password yet: import the registration before commissioning")
    )
    part.ok(f"{how}, answered in {seen['ms']} ms; {words}", tls=tls, ms=seen["ms"], known=knows)
