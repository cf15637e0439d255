"""What each command does. Arguments come from __main__.py; every error is a DeskError or an OSError."""

import asyncio
import getpass
import json
import logging
import os
import re
import sqlite3
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desk import DeskError, show, tags, token
from desk import incidents as rules
from desk.broker import parse_broker
from desk.events import Events
from desk.serve import serve
from desk.store import Store, registration_of, unix_ms

_PASSWORD = "OBEREG_BROKER_PASSWORD"
_HEX_FILE = re.compile(rb"(?:[0-9a-fA-F]{2}\s*)+")


class CommandError(DeskError):
    """A command that cannot be done as it was asked."""


def run(arguments: Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    broker = parse_broker(arguments.broker, os.environ.get(_PASSWORD), arguments.ca)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with _store(arguments, create=True) as store:
        events = Events(arguments.events)
        try:
            asyncio.run(serve(broker, store, events))
        finally:
            events.close()


def incidents(arguments: Namespace) -> None:
    """List incidents."""
    with _store(arguments) as store:
        names = {row["tag"]: row["name"] for row in store.rows("SELECT tag, name FROM tags")}
        found = [
            (incident, names[incident.tag], store.acts(incident.id))
            for incident in store.incidents(arguments.all)
        ]
    if arguments.json:
        print(json.dumps([show.incident_values(*each) for each in found], indent=2))
    elif found:
        print(show.table(show.INCIDENT_HEAD, (show.incident_row(*each) for each in found)))
    else:
        print("no incidents" if arguments.all else "no open incidents")


def act(arguments: Namespace) -> None:
    """Do take, close, decline or seen; a running desk says it to the tag."""
    who = arguments.by or _user()
    with _store(arguments) as store, store.transaction():
        incident = store.incident(arguments.id)
        if incident is None:
            raise CommandError(f"there is no incident {arguments.id}; `incidents --all` lists them")
        rules.act(incident, arguments.act, unix_ms())
        store.put_incident(incident)
        store.put_act(incident, arguments.act, who)
    print(f"incident {incident.id} is {token.LEVELS[incident.level]}, by {who}")


def verify(arguments: Namespace) -> int:
    """Check one message; 1 when it is refused."""
    data = Path(arguments.file).read_bytes()
    if _HEX_FILE.fullmatch(data.strip()):
        data = bytes.fromhex(data.decode())
    try:
        kid = token.kid_of(data)
        claims = token.verify(data, _up_key(arguments, kid), kid)
    except token.TokenError as error:
        if arguments.json:
            print(json.dumps({"valid": False, "reason": error.reason}))
        print(f"refused: {error}", file=sys.stderr)
        return 1
    shown = (claims, kid, token.digest(data))
    if arguments.json:
        print(json.dumps({"valid": True, **show.claims_values(*shown)}))
    else:
        print(show.claims_text(*shown))
    return 0


def tags_add(arguments: Namespace) -> None:
    """Make an identity, write its file, store the derived keys."""
    identity = tags.new_identity()
    out = arguments.out or f"obereg-{identity['tag']}.json"
    with _store(arguments, create=True) as store:
        # The file first: a registered tag whose identity could not be written would be nobody's.
        _write_new(out, json.dumps(identity) + "\n")
        try:
            with store.transaction():
                store.put_tag(tags.parse_registration(tags.registration(identity)), arguments.name)
        except DeskError:
            os.unlink(out)
            raise
    print(f"tag {identity['tag']} is registered; its secret is in {out}: delete it once it is on the tag")


def tags_list(arguments: Namespace) -> None:
    """List the tags."""
    with _store(arguments) as store:
        rows = store.tag_rows()
    if arguments.json:
        names = (
            "tag",
            "name",
            "generation",
            "heard_ms",
            "silent_ms",
            "battery_mv",
            "revoked_ms",
            "link_lost",
        )
        print(json.dumps([{name: row[name] for name in names} for row in rows], indent=2))
        return
    print(
        show.table(
            ["TAG", "NAME", "KEYS", "STATE", "LAST HEARD", "BATTERY"],
            (
                [
                    row["tag"],
                    show.printable(row["name"]) or "-",
                    str(row["generation"]),
                    _state(row),
                    show.utc(row["heard_ms"] // 1000 if row["heard_ms"] else None),
                    f"{row['battery_mv']} mV" if row["battery_mv"] else "-",
                ]
                for row in rows
            ),
        )
    )


def _state(row: sqlite3.Row) -> str:
    if row["revoked_ms"]:
        return "revoked"
    if row["silent_ms"]:
        return "SILENT"
    return "link lost" if row["link_lost"] else "in service"


def tags_import(arguments: Namespace) -> None:
    """Register tags; all the files or none."""
    found = [tag for path in arguments.files for tag in tags.read_registrations(path)]
    with _store(arguments, create=True) as store, store.transaction():
        taken = sum(store.put_tag(tag, replace=arguments.replace) for tag in found)
    print(f"{taken} registered, {len(found) - taken} known already")


def tags_export(arguments: Namespace) -> None:
    """Write registrations, mosquitto's password file, or its access list."""
    if arguments.acl:
        return _give(arguments, tags.mosquitto_acl(arguments.desk_user or "desk"))
    with _store(arguments) as store:
        rows = {row["tag"]: row for row in store.tag_rows() if not row["revoked_ms"]}
    for tag in arguments.tags:
        if tag not in rows:
            raise CommandError(f"tag {tag} is unknown or revoked; `tags list` shows them")
    chosen = [registration_of(rows[tag]) for tag in arguments.tags or rows]
    if not arguments.mosquitto:
        return _give(arguments, "".join(tags.registration_json(tag) + "\n" for tag in chosen))
    lines = tags.mosquitto_passwords(chosen)
    if arguments.desk_user:
        password = os.environ.get(_PASSWORD)
        if not password:
            raise CommandError(f"--desk-user needs the desk's password in {_PASSWORD}")
        lines.append(tags.mosquitto_password(arguments.desk_user, password))
    return _give(arguments, "".join(line + "\n" for line in lines))


def tags_revoke(arguments: Namespace) -> None:
    """Refuse a tag from now on; a running desk does so at once."""
    with _store(arguments) as store, store.transaction():
        if not store.revoke(arguments.tag):
            raise CommandError(f"tag {arguments.tag} is unknown or revoked already; `tags list` shows them")
    print(f"tag {arguments.tag} is revoked; give the broker a new `tags export --mosquitto` too")


@contextmanager
def _store(arguments: Namespace, create: bool = False) -> Iterator[Store]:
    store = Store(arguments.db, create)
    try:
        yield store
    finally:
        store.close()


def _up_key(arguments: Namespace, kid: bytes) -> bytes:
    if arguments.key:
        try:
            key = bytes.fromhex(arguments.key)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise CommandError("--key must be the tag's up key, 64 hex digits")
        return key
    with _store(arguments) as store:
        row = store.tag(kid[:8].hex())
    if row is None or registration_of(row).kid != kid:
        raise CommandError(f"the database holds no key of tag {kid[:8].hex()}, generation {kid[8]}")
    return registration_of(row).up


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        raise CommandError("this system does not know your name: give --by NAME") from None


def _give(arguments: Namespace, text: str) -> None:
    if arguments.out:
        _write_new(arguments.out, text)
    else:
        sys.stdout.write(text)


def _write_new(path: str, text: str) -> None:
    """Write a secret: a new file for its owner alone, never over another."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} exists and is not overwritten; choose another --out") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
