"""
The desk's memory: one SQLite file (WAL, synchronous=FULL). What is not committed was not received.

Every change is one transaction. A `Store` is used by one thread at a time; other processes (`desk take`) may
use the same file beside it.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from desk import DeskError
from desk.claims import LINK_LOST, Claims
from desk.incidents import CLOSED, FLAG_REUSE, REUSE, Incident
from desk.schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, UPGRADES
from desk.silence import Rhythm
from desk.tags import Registration

_BUSY_TIMEOUT_MS = 5000
_NONCES_KEPT = 4
_NONCE_BYTES = 8

_UNSAID = """
SELECT incidents.* FROM incidents JOIN tags USING (tag)
WHERE said_rev < rev AND digest IS NOT NULL AND revoked_ms IS NULL ORDER BY id
"""
_TAGS = """
SELECT *, EXISTS (SELECT 1 FROM messages WHERE messages.tag = tags.tag AND kind = ? AND void = 0) AS link_lost
FROM tags ORDER BY rowid
"""
_INCIDENT_COLUMNS = tuple(field.name for field in fields(Incident) if field.name != "id")


class StoreError(DeskError):
    """The database cannot be used, or did not commit."""


def unix_ms() -> int:
    """Now, in ms since 1970."""
    return time.time_ns() // 1_000_000


def path_of(url: str) -> Path:
    """The file of `sqlite:///relative`, `sqlite:////absolute` or a plain path. Raises StoreError."""
    if "://" not in url:
        return Path(url)
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        raise StoreError(
            f"--db {parts.scheme}://: only SQLite is built yet (no PostgreSQL); use sqlite:///FILE"
        )
    path = unquote(parts.path)[1:]
    if parts.netloc or not path:
        raise StoreError(f"--db {url}: write sqlite:///FILE (relative) or sqlite:////FILE (absolute)")
    return Path(path)


class Store:
    """An open database. `create` makes a missing file (mode 0600: it holds keys). Raises StoreError."""

    def __init__(self, url: str, create: bool = False) -> None:
        self.path = path_of(url)
        try:
            if create:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            elif not self.path.exists():
                raise StoreError(f"no database at {self.path}; `tags add` or `tags import` makes one")
            self.db = sqlite3.connect(
                self.path, timeout=_BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open the database {self.path}: {error}") from error
        try:
            self._prepare()
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, or nothing of it. Raises StoreError when it cannot be committed."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except BaseException as error:
            if self.db.in_transaction:
                self.db.rollback()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"the database {self.path} did not commit: {error}") from error
            raise

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Read. Raises StoreError."""
        try:
            return self.db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the database {self.path}: {error}") from error

    def _prepare(self) -> None:
        try:
            self.db.row_factory = sqlite3.Row
            empty = self._check_owner()  # before anything is written: it may be somebody else's file
            (mode,) = self.db.execute("PRAGMA journal_mode = WAL").fetchone()
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be used as a database: {error}") from error
        if mode != "wal":
            raise StoreError(f"{self.path} cannot use a write-ahead log here; put it on a local disk")
        if empty:
            with self.transaction():
                if self._check_owner():  # still, now that no other process can write
                    self._execute(SCHEMA)
                    self.db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self.db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif self._version() != SCHEMA_VERSION:
            with self.transaction():
                for version in range(self._version(), SCHEMA_VERSION):
                    self._execute(UPGRADES[version])
                self.db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _execute(self, statements: str) -> None:
        for statement in statements.split(";"):
            self.db.execute(statement)

    def _version(self) -> int:
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _check_owner(self) -> bool:
        """True for an empty file, False for a desk's database, this old at most; StoreError for any other."""
        version = self._version()
        (owner,) = self.db.execute("PRAGMA application_id").fetchone()
        if version == owner == 0 and not self.db.execute("SELECT 1 FROM sqlite_master").fetchone():
            return True
        if owner != APPLICATION_ID:
            raise StoreError(f"{self.path} is another program's database")
        if version > SCHEMA_VERSION or version < min(UPGRADES):
            raise StoreError(
                f"{self.path} has schema {version}, this desk knows {SCHEMA_VERSION}: run a newer desk"
            )
        return False

    # Tags

    def tag(self, tag: str) -> sqlite3.Row | None:
        """The row of one tag, or None."""
        found = self.rows("SELECT * FROM tags WHERE tag = ?", tag)
        return found[0] if found else None

    def tag_rows(self) -> list[sqlite3.Row]:
        """All tags; `link_lost` is 1 when the tag's will stands."""
        return self.rows(_TAGS, LINK_LOST)

    def put_tag(self, tag: Registration, name: str = "", replace: bool = False) -> bool:
        """Keep a registration; True if it is new or replaced, False if known. StoreError on other keys."""
        known = self.tag(tag.tag)
        night = json.dumps(tag.rhythm.night) if tag.rhythm.night else None
        if known and replace_fields(registration_of(known), rhythm=tag.rhythm) == tag:
            # A tag that was given other settings is no other tag.
            self.db.execute(
                "UPDATE tags SET heartbeat_s = ?, night = ? WHERE tag = ?",
                (tag.rhythm.heartbeat_s, night, tag.tag),
            )
            return False
        if known and not replace:
            raise StoreError(f"tag {tag.tag} is known with other keys; --replace takes the new ones")
        self.db.execute(
            "INSERT INTO tags (tag, generation, up, down, broker, name, added_ms, heartbeat_s, night)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (tag) DO UPDATE SET generation = excluded.generation, up = excluded.up,"
            " down = excluded.down, broker = excluded.broker, revoked_ms = NULL,"
            " heartbeat_s = excluded.heartbeat_s, night = excluded.night",
            (
                *(tag.tag, tag.generation, tag.up, tag.down, tag.broker, name, unix_ms()),
                *(tag.rhythm.heartbeat_s, night),
            ),
        )
        return True

    def revoke(self, tag: str) -> bool:
        """Refuse a tag from now on; False if it is unknown or revoked already."""
        wanted = "tag = ? AND revoked_ms IS NULL"
        return (
            self.db.execute(f"UPDATE tags SET revoked_ms = ? WHERE {wanted}", (unix_ms(), tag)).rowcount > 0
        )

    def fall_silent(self, since_ms: int) -> list[sqlite3.Row]:
        """
        Note which tags have missed three heartbeats; return the rows of those that were not noted before. A tag that
        was never heard is not missed; before `since_ms` nobody listened.
        """
        now_ms = unix_ms()
        wanted = "due_ms < ? AND silent_ms IS NULL AND revoked_ms IS NULL"
        found = [
            row
            for row in self.rows(f"SELECT * FROM tags WHERE {wanted}", now_ms)
            if _due_ms(registration_of(row), max(row["heard_ms"], since_ms)) < now_ms
        ]
        for row in found:
            self.db.execute("UPDATE tags SET silent_ms = ? WHERE tag = ?", (now_ms, row["tag"]))
        return found

    def say_nonce(self, tag: str, nonce: bytes) -> None:
        """Remember a nonce before it is said; the last few are kept, because any ack may be lost."""
        kept = b"".join([nonce, *nonces_of(self.tag(tag))][:_NONCES_KEPT])
        self.db.execute("UPDATE tags SET nonces = ? WHERE tag = ?", (kept, tag))

    # Messages

    def seen(self, tag: str, claims: Claims, digest: bytes) -> tuple[bool | None, int | None]:
        """(seen as `judge` wants it, the incident of a repeat)."""
        found = self.rows(
            "SELECT digest, incident FROM messages WHERE tag = ? AND epoch = ? AND seq = ?"
            " UNION ALL SELECT digest, incident FROM reuses WHERE tag = ? AND epoch = ? AND seq = ?",
            *(tag, claims.epoch, claims.seq) * 2,
        )
        same = [row["incident"] for row in found if row["digest"] == digest]
        if same:
            return True, same[0]
        return (False if found else None), None

    def put_message(
        self, tag: str, claims: Claims, digest: bytes, token: bytes, verdict: str, incident: int | None
    ) -> None:
        """Keep the exact bytes of a message."""
        self.db.execute(
            f"INSERT INTO {'reuses' if verdict == REUSE else 'messages'}"
            " (tag, epoch, seq, digest, kind, token, received_ms, verdict, incident)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (tag, claims.epoch, claims.seq, digest, claims.kind, token, unix_ms(), verdict, incident),
        )

    def move_mark(self, registration: Registration, claims: Claims) -> None:
        """This message is the tag's latest: earlier wills are void, and it is silent no longer."""
        tag, heard_ms = registration.tag, unix_ms()
        self.db.execute(
            "UPDATE tags SET mark_epoch = ?, mark_seq = ?, heard_ms = ?, battery_mv = coalesce(?, battery_mv),"
            " due_ms = ?, silent_ms = NULL WHERE tag = ?",
            (
                *(claims.epoch, claims.seq, heard_ms, claims.battery_mv),
                *(_due_ms(registration, heard_ms), tag),
            ),
        )
        self.db.execute(
            "UPDATE messages SET void = 1 WHERE tag = ? AND kind = ? AND (epoch, seq) <> (?, ?)",
            (tag, LINK_LOST, claims.epoch, claims.seq),
        )

    # Incidents

    def incident(self, number: int) -> Incident | None:
        """One incident by its number, or None."""
        return self._one_incident("id = ?", number)

    def incident_named(self, tag: str, first: bytes) -> Incident | None:
        """The incident of this first alert: an open one, or the latest."""
        return self._one_incident("tag = ? AND first = ?", tag, first)

    def open_reuse(self, tag: str) -> Incident | None:
        """The tag's open incident flagged counter reuse, or None."""
        wanted = "tag = ? AND level <> ? AND instr(flags, ?)"
        return self._one_incident(wanted, tag, CLOSED, FLAG_REUSE)

    def incidents(self, all_: bool = False) -> list[Incident]:
        """The open incidents, or all, oldest first."""
        rows = self.rows("SELECT * FROM incidents WHERE level <> ? OR ? ORDER BY id", CLOSED, all_)
        return [_incident(row) for row in rows]

    def unsaid(self) -> list[Incident]:
        """The incidents whose level changed and whose tag was not told yet."""
        return [_incident(row) for row in self.rows(_UNSAID)]

    def said(self, number: int, rev: int) -> None:
        """This rev was given to the broker."""
        self.db.execute("UPDATE incidents SET said_rev = max(said_rev, ?) WHERE id = ?", (rev, number))

    def put_incident(self, incident: Incident) -> None:
        """Insert it (and number it) or update it."""
        values = {name: getattr(incident, name) for name in _INCIDENT_COLUMNS}
        values["flags"] = ",".join(incident.flags)
        if incident.id:
            names = ", ".join(f"{name} = ?" for name in values)
            self.db.execute(f"UPDATE incidents SET {names} WHERE id = ?", (*values.values(), incident.id))
            return
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        cursor = self.db.execute(f"INSERT INTO incidents ({names}) VALUES ({marks})", tuple(values.values()))
        incident.id = cursor.lastrowid or 0

    def put_act(self, incident: Incident, act: str, who: str) -> None:
        """Keep who did what, when, and what it led to."""
        self.db.execute(
            "INSERT INTO acts (incident, act, who, at_ms, level, rev) VALUES (?, ?, ?, ?, ?, ?)",
            (incident.id, act, who, unix_ms(), incident.level, incident.rev),
        )

    def acts(self, number: int) -> list[sqlite3.Row]:
        """What people did in an incident, in order."""
        return self.rows("SELECT * FROM acts WHERE incident = ? ORDER BY rowid", number)

    def _one_incident(self, wanted: str, *values: Any) -> Incident | None:
        sql = f"SELECT * FROM incidents WHERE {wanted} ORDER BY level = {CLOSED}, id DESC LIMIT 1"
        found = self.rows(sql, *values)
        return _incident(found[0]) if found else None


def registration_of(row: sqlite3.Row) -> Registration:
    """The registration in a row of `tags`."""
    night = tuple(json.loads(row["night"])) if row["night"] else None
    rhythm = Rhythm(row["heartbeat_s"], night)
    return Registration(row["tag"], row["generation"], row["up"], row["down"], row["broker"], rhythm)


def _due_ms(registration: Registration, heard_ms: int) -> int:
    return registration.rhythm.silent_s(heard_ms // 1000) * 1000


def nonces_of(row: sqlite3.Row | None) -> list[bytes]:
    """The last few nonces said to a tag, the latest first."""
    kept = row["nonces"] if row else b""
    return [kept[at : at + _NONCE_BYTES] for at in range(0, len(kept), _NONCE_BYTES)]


def _incident(row: sqlite3.Row) -> Incident:
    values = dict(row)
    values["flags"] = [flag for flag in values["flags"].split(",") if flag]
    values["test"] = bool(values["test"])
    return Incident(**values)
