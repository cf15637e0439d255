"""
What the desk's database must hold: read with sqlite3, verified with `cwt`, by nothing of the desk's own code.

For each tag: as many alerts and updates as it put on flash, each once; of each incident every press from the first to
the last; for each alert one incident and no other; no (epoch, seq) twice; the file sound.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cwt

from faults.town.programs import Desk
from faults.town.worn import Worn

_CTI, _OBEREG = 7, -65537
_KIND, _INCIDENT, _PRESSES, _TEXT = 0, 1, 6, 7
_ALERT, _UPDATE = 1, 3


def rows(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Read the database beside a desk that may be running."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        return db.execute(sql, values).fetchall()


def _key(tag: Worn) -> Any:
    kid = bytes.fromhex(tag.id) + bytes([tag.keys["generation"]])
    return cwt.COSEKey.new({1: 4, 2: kid, 3: 5, -1: bytes.fromhex(tag.keys["up"])})


def texts(path: Path, tag: Worn) -> list[str]:
    """What the tag's state messages say in words."""
    sql = "SELECT token FROM messages WHERE tag = ? AND kind = 4 ORDER BY rowid"
    found: list[Any] = [cwt.decode(token, _key(tag)) for (token,) in rows(path, sql, tag.id)]
    return [claims[_OBEREG].get(_TEXT, "") for claims in found]


def stored(path: Path) -> Counter[str]:
    """By tag, how many alerts and updates are stored."""
    sql = "SELECT tag, count(*) FROM messages WHERE kind IN (1, 3) GROUP BY tag"
    return Counter(dict(rows(path, sql)))


class Judge:
    """look() as often as you like: what it has verified once, it does not verify again."""

    def __init__(self, desk: Desk, tags: Sequence[Worn]) -> None:
        self.messages = 0
        self._path, self._tags = desk.path, tags
        self._last = 0
        self._seen: Counter[tuple[str, int, int]] = Counter()
        self._tokens: Counter[bytes] = Counter()
        self._said: Counter[str] = Counter()  # alerts and updates, by tag
        self._presses: dict[tuple[str, bytes], set[int]] = {}  # by incident
        self._pressed: Counter[str] = Counter()  # alerts, by tag

    def look(self) -> list[str]:
        """Return what is wrong, when every tag has said all it had to say."""
        try:
            checked = rows(self._path, "PRAGMA integrity_check")
        except sqlite3.DatabaseError as error:
            checked = [(str(error),)]
        if checked != [("ok",)]:
            return [f"PRAGMA integrity_check: {text}" for (text,) in checked]
        wrong = [*self._read(), *self._counters()]
        for tag in self._tags:
            wrong += self._tag(tag)
        return wrong

    def _read(self) -> Iterator[str]:
        """Take in what is new in the database."""
        tags = {tag.id: tag for tag in self._tags}
        sql = "SELECT rowid, tag, epoch, seq, kind, token FROM messages WHERE rowid > ? ORDER BY rowid"
        for number, tag, epoch, seq, kind, token in rows(self._path, sql, self._last):
            self._last = number
            try:
                claims: Any = cwt.decode(token, _key(tags[tag]))
            except cwt.CWTError as error:
                yield f"a stored message of {tag} is not what the tag has sealed: {error}"
                continue
            said = claims[_OBEREG]
            if claims[_CTI] != epoch.to_bytes(4, "big") + seq.to_bytes(4, "big") or said[_KIND] != kind:
                yield f"a row of {tag} does not say what its message says"
            self.messages += 1
            self._seen[tag, epoch, seq] += 1
            self._tokens[token] += 1
            if kind not in (_ALERT, _UPDATE):
                continue
            self._said[tag] += 1
            first = claims[_CTI] if kind == _ALERT else said[_INCIDENT]
            self._pressed[tag] += kind == _ALERT
            self._presses.setdefault((tag, first), set()).add(said.get(_PRESSES, 1))

    def _counters(self) -> Iterator[str]:
        for (tag, epoch, seq), count in self._seen.items():
            if count > 1:
                yield f"({epoch}, {seq}) of {tag} is stored {count} times"
        if max(self._tokens.values(), default=0) > 1:
            yield "a message is stored under two counters"
        for (count,) in rows(self._path, "SELECT count(*) FROM reuses"):
            if count:
                yield f"{count} messages are taken for reused counters"

    def _tag(self, tag: Worn) -> Iterator[str]:
        there, said = self._said[tag.id], tag.said
        if there != said:
            yield f"{tag.name}: {said} alerts and updates came to its flash, {there} are stored"
        incidents = rows(self._path, "SELECT first, presses, level FROM incidents WHERE tag = ?", tag.id)
        if len(incidents) != self._pressed[tag.id]:
            yield f"{tag.name}: {self._pressed[tag.id]} alerts, {len(incidents)} incidents"
        pressed = 0
        for first, presses, _ in incidents:
            heard = self._presses.get((tag.id, first), set())
            pressed += max(heard, default=0)
            if heard != set(range(1, presses + 1)):
                yield f"{tag.name}: of {presses} presses of an incident {sorted(heard)} are stored"
        if pressed != tag.count("on flash"):
            yield f"{tag.name}: pressed {tag.count('on flash')} times, {pressed} presses are stored"
        if waiting := tag.waiting():
            yield f"{tag.name}: {len(waiting)} messages are not acked: {waiting[:3]}"
