"""
Who a tag is and where it calls: id, root, settings, the broker's CA; then the tag proves that it holds its key.

The root is made here, goes over the cable to the tag and is forgotten. What stays on this computer is the registration
for `desk tags import`: keys derived from it, in a file only its owner can read. No key is shown, logged or reported.
"""

import hashlib
import hmac
import json
import os
import pathlib
import secrets
import tempfile
from typing import Any

from desk import tags
from sim.provision import files as provision_files
from sim.provision import firmware_module
from tools.flasher import firmware
from tools.flasher.errors import FlashError
from tools.flasher.install import put
from tools.flasher.repl import Repl
from tools.flasher.show import Screen
from tools.flasher.site import Site

_PROOF = b"obereg/1 proof"


def provision(port: str, site: Site, screen: Screen, new: bool = False) -> str:
    """
    Write identity and settings, have the key proved, write the registration. Return the tag's id.

    A tag that has an identity keeps it, unless `new`. FlashError: not-installed, not-written, key-wrong, file.
    """
    with Repl(port) as tag:
        state = tag.call("state")
        if not state["obereg"]:
            raise FlashError("not-installed", port=port)
        _settings(tag, site)
        fresh = None if state["tag"] and not new else tags.new_identity()
        known = identify(tag, fresh)
        if known is None and fresh is None:
            # The stores hold something that is damaged on both sides: there is no identity to keep.
            fresh = tags.new_identity()
            known = identify(tag, fresh)
        if known is None:
            raise FlashError("not-written", what="the identity")
    # What the desk expects of it: silence is a fault.
    rhythm: dict[str, Any] = {
        name: site.config[name] for name in ("heartbeat_s", "night") if name in site.config
    }
    registration = tags.parse_registration({"obereg": 1, **known, **rhythm})
    path = write_registration(site.registrations, registration)
    kept = "new identity" if fresh else "its identity is kept"
    screen.say(
        port,
        f"tag {registration.tag}: {kept}; registration {path}",
        tag=registration.tag,
        registration=str(path),
    )
    return registration.tag


def identify(tag: Repl, fresh: dict[str, Any] | None) -> dict[str, Any] | None:
    """
    Give the tag the identity `fresh`, or, None, let it keep its own; have the key proved. Return what is registered.

    None: it has none. FlashError: not-written, key-wrong.
    """
    nonce = secrets.token_bytes(16)
    said = tag.call("identity", _records(fresh) if fresh else {}, nonce.hex())
    if said is None:
        return None
    if not said["same"]:
        raise FlashError("not-written", what="the identity")
    known = {name: said[name] for name in ("tag", "generation", "up", "down", "broker")}
    _prove(fresh, known, said["proof"], nonce)
    return known


def _settings(tag: Repl, site: Site) -> None:
    there = tag.call("hashes")
    files = {"config.json": site.config_file()}
    if site.ca is not None:
        files["ca.der"] = site.ca
    for name, data in files.items():
        if there.get(name) != firmware.digest(data):
            # Written aside and moved: a cut leaves the old settings or the new ones.
            put(tag, f"/{name}.new", data)
            tag.call("move", f"/{name}.new", f"/{name}")
    there = tag.call("hashes")
    for name, data in files.items():
        if there.get(name) != firmware.digest(data):
            raise FlashError("not-written", what=name)
    if tag.call("settings") != site.board:
        raise FlashError("not-written", what="config.json")


def _records(identity: dict[str, Any]) -> dict[str, str]:
    """Return the records that both stores get, as the firmware's own code writes them, in hex."""
    unpack = firmware_module("journal").unpack
    files = provision_files(identity, {})
    return {name: unpack(files[f"data/{name}"]).hex() for name in ("epoch", "identity")}


def _prove(fresh: dict[str, Any] | None, known: dict[str, Any], proof: str, nonce: bytes) -> None:
    if fresh:
        wanted = tags.registration(fresh)
        if any(wanted[name] != known[name] for name in known):
            raise FlashError("key-wrong")
    right = hmac.new(bytes.fromhex(known["up"]), _PROOF + nonce, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right, proof):
        raise FlashError("key-wrong")


def write_registration(folder: pathlib.Path, registration: tags.Registration) -> pathlib.Path:
    """
    Write TAG.json into `folder`, mode 0600, whole or not at all. One that is there and the same is left as it is.

    FlashError: file.
    """
    path = folder / f"{registration.tag}.json"
    text = tags.registration_json(registration) + "\n"
    try:
        if path.exists() and path.stat().st_mode & 0o77 == 0 and path.read_text() == text:
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".", delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)  # NamedTemporaryFile makes it 0600
    except OSError as error:
        raise FlashError("file", path=path, text=error.strerror) from None
    return path


def registered(folder: pathlib.Path, tag: str) -> bool:
    """Whether this computer has written the registration of `tag`."""
    try:
        return bool(json.loads((folder / f"{tag}.json").read_text()).get("tag") == tag)
    except (OSError, ValueError):
        return False
