"""
A real tag and a real desk, and every frame between them: what flips and replays work on.

    pair = Pair(folder, dice)
    pair.press(); pair.talk(); pair.act("take"); pair.talk()
    pair.frames                # (up or not, the exact bytes), as they were said

The tag has no link and the desk no broker: talk() carries, at once, what each has to say.
"""

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import identity

import desk.intake
import desk.store
from desk import incidents as rules
from desk import token
from desk.intake import Intake
from desk.store import Store
from faults.world.office import OURS, SIBLING, SIBLING_ID
from tests.host.fakes import BUILT_S
from tests.host.joined import ROOT, TAG_ID
from tests.host.tag_setup import Worn

_NEW = ("stored", "rang")
_COMMAND = 33
_MANY = 100


class PairError(Exception):
    """Tag and desk do not understand each other, although nothing stands between them."""


class Pair:
    """
    `worn` is the child with the tag, `sibling` another child's, `store` the desk's.

    `heard(up, frame)` is called before each frame reaches whom it is for. `said_s` is the latest time that the desk
    told.
    """

    def __init__(self, folder: Path, dice: random.Random) -> None:
        setting = SimpleNamespace(setattr=setattr)
        self.sibling = Worn(setting, folder / "sibling")
        self._provide(self.sibling, SIBLING_ID, bytes(reversed(ROOT)), 1)
        self.worn = Worn(setting, folder / "ours")
        self.now = self.worn.now
        self._began_s = self.now.s
        desk.intake.time = SimpleNamespace(time=self.utc_s)  # type: ignore[attr-defined]
        desk.intake.secrets = SimpleNamespace(token_bytes=dice.randbytes)  # type: ignore[attr-defined]
        desk.intake.unix_ms = lambda: int(self.now.s * 1000)  # type: ignore[attr-defined]
        folder.mkdir(exist_ok=True)
        self.store = Store(str(folder / "desk.db"), create=True)
        # What becomes of it in a cut is not the question here.
        self.store.db.execute("PRAGMA synchronous = OFF")
        with self.store.transaction():
            for each in (OURS, SIBLING):
                self.store.put_tag(each)
        self._intake = Intake(self.store)
        self._dice = dice
        self.kid = OURS.kid
        self.frames: list[tuple[bool, bytes]] = []
        self.heard: Callable[[bool, bytes], None] = lambda up, frame: None
        self.worn.tag.start("power on")

    def close(self) -> None:
        self.store.close()

    @property
    def tag(self) -> Any:
        return self.worn.tag

    def utc_s(self) -> float:
        return BUILT_S + 1000 + self.now.s - self._began_s

    # ------------------------------------------------------------------------------------------------- what happens

    def press(self) -> None:
        self.worn.press()

    def cancel(self) -> None:
        """The button is held for 5 s while an incident is open."""
        self.worn.hold()

    def locate(self) -> None:
        """A good fix, and the update that follows it."""
        self.now.s += 70
        self.worn.see(12)
        self.tag.tick(self.now.ticks_ms())

    def act(self, name: str) -> None:
        """A person does something about the newest incident."""
        with self.store.transaction():
            incident = self.store.incidents()[-1]
            rules.act(incident, name, 0)
            self.store.put_incident(incident)
            self.store.put_act(incident, name, "somebody")

    def command(self) -> None:
        """A command as a later version of the desk may say it. This firmware knows none."""
        of = max(
            entry[0] for entry in self.store.rows("SELECT cti FROM (SELECT first AS cti FROM incidents)")
        )
        said = {0: _COMMAND, 1: of, 4: bytes(8), 5: 1, 8: 1}
        self.down(token.seal({6: int(self.utc_s()), -65537: said}, OURS.down, self.kid))

    def restart(self, cut: bool) -> None:
        """A reset; with `cut` RTC memory and the clock are lost as well."""
        (self.worn.cut if cut else self.worn.restart)()
        self.tag.start("power on" if cut else "hard reset")

    def change_keys(self) -> None:
        """The next generation; of the same root, so that nothing but the kid tells old frames from new ones."""
        fresh = type(OURS)(OURS.tag, 2, OURS.up, OURS.down, OURS.broker)
        with self.store.transaction():
            self.store.db.execute("UPDATE tags SET generation = 2 WHERE tag = ?", (OURS.tag,))
        self.kid = fresh.kid
        self._provide(self.worn, TAG_ID, ROOT, 2)
        self.tag.start("power on")

    @staticmethod
    def _provide(worn: Worn, tag_id: bytes, root: bytes, generation: int) -> None:
        for store in (worn.nvs, worn.journal):
            store.put("identity", identity.pack(tag_id, root, generation))
        worn.restart()

    # ---------------------------------------------------------------------------------------------------- the frames

    def talk(self) -> None:
        """Whatever either side has to say, until both are silent."""
        for _ in range(_MANY):
            self.now.s += 1
            waiting = [entry.token for entry in self.tag.outbox.pending()]
            if self.tag.link.state:
                waiting.append(self.tag.link.state)
            for frame in waiting[:1]:
                self.up(frame)
            changes = self._intake.changes()
            for answer in changes:
                self.down(answer.token or b"")
                self._intake.said(answer)
            if not waiting and not changes:
                return
        raise PairError("they never come to an end")

    def up(self, frame: bytes) -> None:
        self.heard(True, frame)
        self.frames.append((True, frame))
        answer = self.to_desk(frame)
        if answer.token:
            self.down(answer.token)

    def down(self, frame: bytes) -> None:
        self.heard(False, frame)
        self.frames.append((False, frame))
        self.to_tag(frame)

    def to_desk(self, frame: bytes, tag: str = OURS.tag) -> Any:
        """Say it to the desk; return its Answer, which goes nowhere."""
        return self._intake.handle(f"obereg/{tag}/up/alert", frame)

    def to_tag(self, frame: bytes) -> None:
        self.tag.on_down(frame)

    # ------------------------------------------------------------------------------------------- what came of a frame

    def tag_after(self, frame: bytes, worn: Worn | None = None) -> str:
        """
        Say a frame to the tag, which must not act on it; return what it did all the same, "" for nothing.

        It may believe the time that its own desk said, if that is later than its own.
        """
        worn = worn or self.worn
        before, was_s, nonce = _state(worn.tag), worn.tag.utc.utc_s(), worn.tag.nonce
        worn.calls.clear()
        worn.tag.on_down(frame)
        done = [f"it did {call}" for call in worn.calls]
        for name, value, now in zip(_STATE, before, _state(worn.tag), strict=True):
            if value != now:
                done.append(f"{name}: {value!r} became {now!r}")
        if worn.tag.nonce != nonce:
            done.append("it took the nonce")
        utc_s = worn.tag.utc.utc_s()
        if utc_s != was_s and (utc_s is None or utc_s < (was_s or 0) or utc_s > self.utc_s() + 1):
            done.append(f"its clock went from {was_s} to {utc_s}")
        return "; ".join(done)

    def desk_after(self, frame: bytes, tag: str = OURS.tag, known: bool = False) -> str:
        """Say a frame to the desk, likewise; `known`: its tag has said it: the desk may say its ack again."""
        before = self._stored()
        answer = self.to_desk(frame, tag)
        done = [f"it told {event['what']}" for event in answer.events if event["what"] in _NEW]
        if answer.token and not known:
            done.append("it answered")
        if self._stored() != before:
            done.append("it stored something")
        return "; ".join(done)

    def _stored(self) -> Any:
        rows = self.store.rows
        counts = rows(
            "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM reuses), count(*) FROM acts"
        )
        marks = rows("SELECT mark_epoch, mark_seq FROM tags")
        return [tuple(row) for row in [*counts, *marks, *rows("SELECT * FROM incidents")]]


_STATE = ("incident", "outbox", "state message", "its name", "epoch", "seq")


def _state(tag: Any) -> tuple[Any, ...]:
    entries = [entry.digest for entry in tag.outbox.pending()]
    counting = tag._counters
    return tag.incident, entries, tag.link.state, tag._state_id, counting.epoch, counting.seq
