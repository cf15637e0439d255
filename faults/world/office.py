"""
The desk and the people in front of it: desk/intake.py and desk/store.py on a real SQLite file, killed and restored.

What serve.py does is done here in virtual time: a message in, its answer out, levels said when people change them.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import desk.intake
import desk.store
from desk import incidents as rules
from desk import token
from desk.intake import Intake
from desk.store import Store, StoreError
from desk.tags import Registration
from tests.host.fakes import BUILT_S, hkdf
from tests.host.joined import ROOT, TAG_ID

SIBLING_ID = bytes.fromhex("fedcba9876543210")  # another child's tag, known to the same desk
_COMMAND = 33


def registration(tag_id: bytes, root: bytes) -> Registration:
    keys = [hkdf(root, tag_id, b"obereg/1 " + use) for use in (b"up", b"down", b"broker")]
    return Registration(tag_id.hex(), 1, *keys)


OURS = registration(TAG_ID, ROOT)
SIBLING = registration(SIBLING_ID, bytes(reversed(ROOT)))


def new_file(path: Path) -> bytes:
    """The bytes of a desk's database that knows both tags and has heard nothing."""
    store = Store(str(path), create=True)
    with store.transaction():
        for each in (OURS, SIBLING):
            store.put_tag(each)
    image = store.db.serialize()
    store.close()
    remove(path)
    return image


def remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(str(path) + end)


class Office:
    """`manners`: how people behave (story.py). `doom`: the desk dies "before" or "after" its next commit."""

    def __init__(self, world: Any, path: Path, image: bytes) -> None:
        self._world = world
        self._path = path
        self._jump_s = 0
        self._old_image = image
        self.doom: str | None = None
        self.manners: dict[str, float] = {}
        self.working = True
        self.restores = 0
        self.fails_after_act = False  # the disk, soon, and the last backup was just before
        self.last_cti = bytes(8)
        began_s = world.now.s
        desk.intake.time = SimpleNamespace(  # type: ignore[assignment]
            time=lambda: BUILT_S + 1000 + self._jump_s + world.now.s - began_s
        )
        desk.intake.secrets = SimpleNamespace(token_bytes=world.dice.randbytes)  # type: ignore[assignment]
        desk.intake.unix_ms = desk.store.unix_ms = lambda: int(world.now.s * 1000)
        self._put(image)
        self.start()

    # ------------------------------------------------------------------------------------------- its life and death

    def start(self) -> None:
        self.up = True
        self.doom = None
        self.store = Store(str(self._path))
        self._intake = Intake(self.store)
        self._peek = sqlite3.connect(self._path, isolation_level=None)
        self.say_changes()

    def kill(self) -> None:
        """What is not committed is lost."""
        if self.up:
            self.up = False
            self.store.close()
            self._peek.close()

    def back_up(self) -> None:
        if self.up:
            self._old_image = self.store.db.serialize()

    def restore(self) -> None:
        """The disk is lost; what was backed up last is all there is."""
        self._world.judge.remember(self)
        self.kill()
        self._put(self._old_image)
        self.restores += 1
        self.start()
        # People look at what it shows, which is not what they knew, and act on it.
        for incident in self.store.incidents():
            self._alarm(incident.id)

    def _fail(self) -> None:
        if self.working:
            self._world.log("desk", "the disk fails")
            self.restore()

    def fill_disk(self, full: bool) -> None:
        """Nothing more can be written."""
        if self.up:
            self.store.db.execute(f"PRAGMA query_only = {'ON' if full else 'OFF'}")

    def jump_clock(self, seconds: int) -> None:
        self._jump_s += seconds

    def committed(self, sql: str, *values: Any) -> list[Any]:
        """Rows as another process sees them: what would be left after a kill."""
        if self.up:
            return self._peek.execute(sql, values).fetchall()
        with contextlib.closing(sqlite3.connect(self._path)) as peek:
            return peek.execute(sql, values).fetchall()

    def _put(self, image: bytes) -> None:
        remove(self._path)
        self._path.write_bytes(image)

    # ----------------------------------------------------------------------------------------------------- messages

    def hear(self, topic: str, payload: bytes) -> None:
        if not self.up:
            return
        doom, self.doom = self.doom, None
        if doom == "before":
            self._die()
            return
        judge = self._world.judge
        try:
            answer = self._intake.handle(topic, payload)
        except StoreError:
            return  # the disk is full: not a word to the tag
        except Exception as error:  # noqa: BLE001 - serve.py counts it as a bug and goes on
            judge.crashed(error)
            return
        judge.desk_says(answer.events)
        if doom == "after":
            self._die()
            return
        if answer.token is not None:
            self.last_cti = judge.cti_of(payload) or self.last_cti
            self._say(answer)
        for event in answer.events:
            if event["what"] == "rang":
                self._alarm(event["incident"])
        self.say_changes()

    def say_changes(self) -> None:
        if not self.up:
            return
        with contextlib.suppress(StoreError):
            for answer in self._intake.changes():
                if self._say(answer):
                    self._intake.said(answer)

    def command(self) -> None:
        """A command as a later version of the desk may say it. This firmware knows none."""
        claims = {
            6: BUILT_S + 2000,
            -65537: {0: _COMMAND, 1: self.last_cti, 4: self._world.dice.randbytes(8), 5: 1, 8: 1},
        }
        sealed = token.seal(claims, OURS.down, OURS.kid)
        self._world.broker.from_desk(f"obereg/{OURS.tag}/down", sealed)

    def _say(self, answer: Any) -> bool:
        self._world.judge.answered(answer)
        return self._world.broker.from_desk(answer.topic, answer.token)

    def _die(self) -> None:
        self._world.log("desk", "killed")
        self.kill()
        self._world.later(self._world.dice.uniform(1, 20), self._revive)

    def _revive(self) -> None:
        if not self.up:
            self.start()

    # ------------------------------------------------------------------------------------------------------- people

    def _alarm(self, incident: int) -> None:
        """Somebody may do something about it, now and later."""
        dice = self._world.dice
        at_s = 0.0
        for act in ("seen", "take", "decline", "take", "close"):
            at_s += dice.uniform(0.5, self.manners["slow_s"])
            if dice.random() < self.manners[act]:
                self._world.later(at_s, lambda act=act: self.act(incident, act))

    def act(self, number: int, act: str) -> None:
        """As `python -m desk take`, beside a running desk or a dead one."""
        if not self.working:
            return
        if self.up and self.fails_after_act:
            self.fails_after_act = False
            self.back_up()
            self._world.later(self._world.dice.uniform(0.3, 6), self._fail)
        store = self.store if self.up else Store(str(self._path))
        try:
            with store.transaction():
                incident = store.incident(number)
                if incident is None:
                    return
                rules.act(incident, act, 0)
                store.put_incident(incident)
                store.put_act(incident, act, "somebody")
            self._world.log("people", "%s %d, rev %d", act, number, incident.rev)
        except (rules.IncidentError, StoreError):
            return
        finally:
            if not self.up:
                store.close()
        self.say_changes()

    def close_all(self) -> None:
        for incident in self.store.incidents():
            self.act(incident.id, "close")
