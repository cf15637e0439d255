"""What the broker's answer to a call means, over whichever bearer (tag/check_call.py)."""

from typing import Any

from tools.flasher.errors import FlashError
from tools.flasher.findings import Part
from tools.flasher.site import Site

# What the bearers say, in lower case: first match counts. The modem tells what is wrong with a certificate by number
# (AT manual 12.2.3), MicroPython by mbedtls' words.
_SIGNS = (
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
    # getaddrinfo's, on the ESP32 and on the Unix port
    ("-202", "no-host"),
    ("addrinfo error", "no-host"),
)


def called(part: Part, site: Site, seen: dict[str, Any]) -> None:
    """Say that the broker was reached, or raise why not. A password that is refused is no fault of a part."""
    broker = site.config["broker"]
    tls, name = broker.get("tls", True), broker.get("name") or broker["host"]
    for text in (seen["text"], seen["warning"] or ""):
        if text:
            signs = (kind for sign, kind in _SIGNS if sign in text.lower())
            kind = next((kind for kind in signs if tls or not kind.startswith("tls")), "broker")
            raise FlashError(kind, text=text, host=broker["host"], name=name)
    how = "TLS with our CA" if tls else "no TLS (site.toml says so)"
    known = seen["connack"] == 0
    words = (
        "it knows this tag" if known else "it refuses this tag's password until its registration is imported"
    )
    part.ok(f"{how}, answered in {seen['ms']} ms; {words}", tls=tls, ms=seen["ms"], known=known)
