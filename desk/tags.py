"""
Tags as the desk knows them: identities, derived keys, registrations, and what the broker needs.

Keys are docs/protocol.md §2. The root is made here, written to the tag's identity file, and never stored.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from desk import DeskError
from desk.silence import DEFAULT_S, USUAL, Rhythm

KEY_NAMES = ("up", "down", "broker")
_TAG = re.compile(r"[0-9a-f]{16}")
_KEY = re.compile(r"[0-9a-f]{64}")
_VERSION = 1

# mosquitto 2.0's own defaults for a $7$ line. The password is a random key, so few iterations lose nothing.
_PBKDF2_ITERATIONS = 101
_PBKDF2_SALT_BYTES = 12


class TagError(DeskError):
    """An identity or registration that cannot be used; the text names the field."""


@dataclass(frozen=True)
class Registration:
    """What the desk holds of one tag: `tag` is 16 hex digits, the keys 32 bytes each; when it is to be heard."""

    tag: str
    generation: int
    up: bytes
    down: bytes
    broker: bytes
    rhythm: Rhythm = USUAL

    @property
    def kid(self) -> bytes:
        """The 9 bytes that name this tag's keys in a message."""
        return bytes.fromhex(self.tag) + bytes([self.generation])


def new_identity() -> dict[str, Any]:
    """A new tag: {"tag": 16 hex digits, "root": 64 hex digits, the tag's secret, "generation": 1}."""
    return {"tag": secrets.token_hex(8), "root": secrets.token_hex(32), "generation": 1}


def registration(identity: dict[str, Any]) -> dict[str, Any]:
    """The registration (§2) of an identity: derived keys as hex, without the root. Raises TagError."""
    tag = _hex(identity, "tag", _TAG)
    root = bytes.fromhex(_hex(identity, "root", _KEY))
    keys = {name: _derive(root, bytes.fromhex(tag), name).hex() for name in KEY_NAMES}
    return {"obereg": _VERSION, "tag": tag, "generation": _generation(identity), **keys}


def parse_registration(fields: object) -> Registration:
    """Check a registration. Raises TagError naming the field."""
    if not isinstance(fields, dict):
        raise TagError("a registration is a JSON object")
    if "root" in fields:
        raise TagError("this is a tag's identity (it holds the root): the desk takes registrations only")
    if fields.get("obereg") != _VERSION:
        raise TagError(f'"obereg" is {fields.get("obereg")!r}; this desk knows {_VERSION}')
    keys = {name: bytes.fromhex(_hex(fields, name, _KEY)) for name in KEY_NAMES}
    tag, generation, rhythm = _hex(fields, "tag", _TAG), _generation(fields), _rhythm(fields)
    return Registration(tag=tag, generation=generation, rhythm=rhythm, **keys)


def registration_json(tag: Registration) -> str:
    """One registration as one line of JSON."""
    keys = {name: getattr(tag, name).hex() for name in KEY_NAMES}
    fields = {"obereg": _VERSION, "tag": tag.tag, "generation": tag.generation, **keys}
    if tag.rhythm.heartbeat_s != DEFAULT_S:
        fields["heartbeat_s"] = tag.rhythm.heartbeat_s
    if tag.rhythm.night:
        fields["night"] = list(tag.rhythm.night)
    return json.dumps(fields)


def read_registrations(path: str) -> Iterator[Registration]:
    """The registrations in a file: one JSON object, or one a line. Raises TagError, OSError."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    try:
        objects = [json.loads(text)]
    except ValueError:
        objects = list(_json_lines(path, text))
    for fields in objects:
        try:
            yield parse_registration(fields)
        except TagError as error:
            raise TagError(f"{path}: {error}") from None


def mosquitto_password(user: str, password: str) -> str:
    """One line of mosquitto's password file: $7$, PBKDF2-HMAC-SHA-512."""
    if not user or re.search(r"[:+#/\s]", user):
        raise TagError(f"the user name {user!r} must hold none of : + # / and no space")
    salt = secrets.token_bytes(_PBKDF2_SALT_BYTES)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _PBKDF2_ITERATIONS)
    salt_text, hash_text = (base64.b64encode(part).decode() for part in (salt, derived))
    return f"{user}:$7${_PBKDF2_ITERATIONS}${salt_text}${hash_text}"


def mosquitto_passwords(tags: Iterable[Registration]) -> list[str]:
    """The password lines of these tags: user = the id, password = the `broker` key as 64 hex digits."""
    return [mosquitto_password(tag.tag, tag.broker.hex()) for tag in tags]


def mosquitto_acl(desk_user: str) -> str:
    """The access list of §1 in mosquitto's notation."""
    return (
        "# A tag's user name is its id (%u).\n"
        "pattern write obereg/%u/up/#\n"
        "pattern read obereg/%u/down\n"
        "\n"
        f"user {desk_user}\n"
        "topic read obereg/+/up/#\n"
        "topic write obereg/+/down\n"
    )


def _derive(root: bytes, salt: bytes, name: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"obereg/1 " + name.encode()).derive(root)


def _json_lines(path: str, text: str) -> Iterator[object]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                raise TagError(f"{path} line {number}: this is not JSON") from None


def _hex(fields: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise TagError(f'"{name}" must be {16 if form is _TAG else 64} lower-case hex digits')
    return value


def _rhythm(fields: dict[str, Any]) -> Rhythm:
    heartbeat_s, night = fields.get("heartbeat_s", DEFAULT_S), fields.get("night")
    if type(heartbeat_s) is not int or not 60 <= heartbeat_s <= 86400:
        raise TagError('"heartbeat_s" must be 60..86400')
    if night is None:
        return Rhythm(heartbeat_s)
    ends = night if isinstance(night, list) else []
    if len(ends) != 2 or any(type(end) is not int or not 0 <= end < 1440 for end in ends):
        raise TagError('"night" must be two minutes of the UTC day, each 0..1439')
    return Rhythm(heartbeat_s, (ends[0], ends[1]))


def _generation(fields: dict[str, Any]) -> int:
    value = fields.get("generation")
    if type(value) is not int or not 0 <= value <= 255:
        raise TagError('"generation" must be 0..255')
    return value
