"""
site.toml: what all tags of one place share. site.example.toml explains each field.

    site = load("site.toml")
    site.board; site.config_file(); site.ca; site.pins["esp32s3"]
"""

import json
import pathlib
import re
import ssl
import tomllib
from typing import Any, NamedTuple

from sim import image as source
from sim.provision import config_file, firmware_module
from tools.flasher.errors import FlashError

TABLES = ("tag", "micropython", "desk")
_DESK = ("registrations", "import")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):([0-5]\d)")


class Site(NamedTuple):
    """
    A site file that was checked. `config` is config.json, `ca` the broker's CA as DER or None.

    importer: the words of the command that makes a registration known at the desk, {file} in them; none: by hand.
    """

    path: pathlib.Path
    board: str
    config: dict[str, Any]
    ca: bytes | None
    pins: dict[str, dict[str, str]]
    registrations: pathlib.Path
    importer: tuple[str, ...] = ()

    def config_file(self) -> bytes:
        """Return the bytes of config.json on the tag."""
        return config_file(self.config, self.ca)


def load(path: str | pathlib.Path, board: str | None = None) -> Site:
    """Read and check a site file; `board` overrides its board. FlashError: site-missing, site-bad."""
    file = pathlib.Path(path)
    try:
        data = tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise FlashError("site-missing", path=file) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FlashError("site-bad", path=file, text=error) from None

    def bad(text: str) -> FlashError:
        return FlashError("site-bad", path=file, text=text)

    for name, value in data.items():
        if name not in TABLES or not isinstance(value, dict):
            raise bad(f"there is no table [{name}]; there are {', '.join(TABLES)}")
    config: dict[str, Any] = json.loads(json.dumps(data.get("tag", {})))
    if board:
        config["board"] = board
    try:
        _night(config)
    except ValueError as error:
        raise bad(str(error)) from None
    ca_path = config.get("broker", {}).pop("ca", None) if isinstance(config.get("broker"), dict) else None
    checker = firmware_module("config")
    try:
        settings = checker.load(config)
    except checker.ConfigError as error:
        raise bad(str(error).replace("config.json: ", "[tag] ")) from None
    if settings.board not in source.boards():
        raise bad(f"[tag] board {settings.board!r} is unknown; there is {', '.join(source.boards())}")
    for name in data.get("desk", {}):
        if name not in _DESK:
            raise bad(f"[desk] there is no field {name}; there is {', '.join(_DESK)}")
    words = data.get("desk", {}).get("import", [])
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise bad('[desk] import must be a list of words, for example ["./register.sh", "{file}"]')
    if words and not any("{file}" in word for word in words):
        raise bad("[desk] import must say {file} where the registration file's name belongs")
    importer = tuple(words)
    pins = data.get("micropython", {})
    for chip, pin in pins.items():
        if not isinstance(pin, dict) or set(pin) != {"version", "sha256"} or len(str(pin["sha256"])) != 64:
            raise bad(f'[micropython] {chip} must be {{version = "1.28.0", sha256 = "64 hex digits"}}')
    ca = _ca(file, ca_path) if ca_path else None
    if settings.broker_tls and ca is None:
        raise bad("[tag.broker] ca is missing: the file with the CA of the broker's certificate")
    folder = file.parent / data.get("desk", {}).get("registrations", "registrations")
    return Site(file, settings.board, config, ca, pins, folder, importer)


def _night(config: dict[str, Any]) -> None:
    """Turn `night` and `utc_offset` (texts a person writes) into what a tag without a time zone needs. ValueError."""
    offset, night = config.pop("utc_offset", None), config.get("night")
    if night is None:
        return
    times = [_TIME.fullmatch(str(each)) for each in night] if isinstance(night, list) else []
    zone = _OFFSET.fullmatch(str(offset))
    if len(times) != 2 or not all(times):
        raise ValueError('[tag] night must be two times, for example ["21:00", "07:00"]')
    if zone is None:
        raise ValueError('[tag] night needs utc_offset, for example "+03:00"')
    ahead = (int(zone[2]) * 60 + int(zone[3])) * (1 if zone[1] == "+" else -1)
    config["night"] = [(int(each[1]) * 60 + int(each[2]) - ahead) % 1440 for each in times if each]


def _ca(file: pathlib.Path, name: str) -> bytes:
    path = file.parent / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlashError("site-bad", path=file, text=f"[tag.broker] ca: {path}: {error.strerror}") from None
    if data.lstrip().startswith(b"-----"):
        try:
            return ssl.PEM_cert_to_DER_cert(data.decode())
        except ValueError as error:
            raise FlashError("site-bad", path=file, text=f"[tag.broker] ca: {path}: {error}") from None
    if data[:1] != b"\x30":
        raise FlashError("site-bad", path=file, text=f"[tag.broker] ca: {path} is neither PEM nor DER")
    return data
