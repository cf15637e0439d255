"""
Long random lives, by Hypothesis: outbox and counters across restarts, the incident's table against the desk's levels,
the desk's store across kills. Each is a model of a few lines beside the real thing. test_counters.py has the counters'.
"""

import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import envelope
import incident as life
import pytest
from counters import Counters, pack_epoch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from journal import Journal
from log import Log
from outbox import Entry, Outbox, OutboxError

from desk.claims import Claims
from desk.incidents import ACTS, LATE, NEW, REPEAT, REUSE, IncidentError, act, receive
from desk.intake import Intake
from desk.store import Store, StoreError
from desk.token import CLOSED, COMING, DECLINED, RECEIVED, SEEN
from tests.host.fakes import FakeNVS, FakeRTCMemory, Flash
from tests.host.test_desk_support import KeyTag, cti, new_store

MOST = 24  # entries, before old position updates are thinned
QUICK = settings(max_examples=40, stateful_step_count=40, deadline=None)


class Keeping(RuleBasedStateMachine):
    """Messages are sealed, settled, lost from RAM and restored: what flash took is there until it is settled."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.nvs, self.journal, self.rtc = FakeNVS(), Journal(str(root)), FakeRTCMemory()
        self.flash = Flash(root / "outbox")
        for store in (self.nvs, self.journal):
            store.put("epoch", pack_epoch(0))
        self.waiting: list[Entry] = []  # oldest first, as the model has it
        self.on_flash: set[bytes] = set()
        self.given: set[bytes] = set()
        self.restart(True)

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(kept=st.booleans())
    def restart(self, kept: bool) -> None:
        """A reset, or with RTC memory lost a cut."""
        if not kept:
            self.rtc.data = b""
        self.counters = Counters(self.nvs, self.journal, self.rtc, random.Random(1).getrandbits)
        self.outbox = Outbox(self.flash, envelope.digest, Log(lambda: 0, lambda line: None))
        self.waiting = [entry for entry in self.waiting if entry.cti in self.on_flash]

    @rule(times=st.integers(1, 6), kind=st.sampled_from((1, 2, 3, 3)), refused=st.integers(0, 9))
    def say(self, times: int, kind: int, refused: int) -> None:
        for n in range(times):
            self.say_one(kind, n == 0, refused)

    def say_one(self, kind: int, pressed: bool, refused: int) -> None:
        name = self.counters.next_cti()
        assert name not in self.given
        self.given.add(name)
        token = bytes((kind,)) + name * 12
        entry = Entry(name, kind, name, pressed or kind == 1, token, envelope.digest(token))
        self.flash.puts_left = 0 if refused == 0 else None
        try:
            self.outbox.add(entry)
            self.on_flash.add(name)
        except OutboxError:
            assert refused == 0
        self.flash.puts_left = None
        if len(self.waiting) >= MOST:
            thinned = next((each for each in self.waiting if not each.urgent()), None)
            if thinned:
                self.waiting.remove(thinned)
        self.waiting.append(entry)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 99))
    def settle(self, which: int) -> None:
        entry = self.waiting.pop(which % len(self.waiting))
        self.outbox.settle(self.outbox.find(entry.cti))

    @invariant()
    def what_waits_is_what_was_said_alerts_first_and_in_order(self) -> None:
        said = [(each.cti, each.token, each.pressed, each.kind) for each in self.outbox.pending()]
        ordered = sorted(self.waiting, key=lambda each: not each.urgent())
        assert said == [(each.cti, each.token, each.pressed, each.kind) for each in ordered]


class Levels(RuleBasedStateMachine):
    """
    A tag and a desk and one incident. Acks are lost, doubled, late and out of order, and the desk is restored from a
    backup. Whenever two messages in a row get through, both are at one level; "coming" is never felt for nothing.
    """

    FIRST = cti(1, 1)
    STATES = {RECEIVED: "received", SEEN: "seen", COMING: "coming", DECLINED: "received"}

    def __init__(self) -> None:
        super().__init__()
        self.seq = 1
        self.desk, _ = receive(None, Claims(1, self.FIRST), b"digest..", NEW, "tag", 0)
        self.tag: Any = life.Incident("calling", self.FIRST, b"digest..", 0, 1)
        self.acks = [(self.desk.level, self.desk.rev)]
        self.backup = self.copy()
        self.taken = False

    def copy(self) -> Any:
        return replace(self.desk, flags=list(self.desk.flags))

    @rule(name=st.sampled_from(sorted(ACTS)), last_backup=st.booleans())
    def act(self, name: str, last_backup: bool) -> None:
        if last_backup:
            self.back_up()
        try:
            act(self.desk, name, 0)
            self.taken = self.taken or name == "take"
        except IncidentError:
            return
        self.acks.append((self.desk.level, self.desk.rev))

    @rule()
    def back_up(self) -> None:
        self.backup = self.copy()

    @rule()
    def restore(self) -> None:
        self.desk = self.backup
        self.back_up()

    @precondition(lambda self: self.tag)
    @rule()
    def press(self) -> None:
        state, signal = life.step(self.tag.state, "press")
        assert (state, signal) == (self.tag.state, "sent_off")
        self.tag = self.tag._replace(presses=self.tag.presses + 1)

    @precondition(lambda self: self.tag)
    @rule()
    def update(self) -> None:
        """Something is said, and answered; whether the answer arrives is for hear()."""
        self.seq += 1
        claims = Claims(3, cti(1, self.seq), incident=self.FIRST, rev=self.tag.rev, presses=self.tag.presses)
        receive(self.desk, claims, b"", NEW, "tag", 0)
        self.acks.append((self.desk.level, self.desk.rev))

    @precondition(lambda self: self.tag)
    @rule(which=st.integers(0, 99))
    def hear(self, which: int) -> None:
        """Any ack that was ever said arrives, the latest most often."""
        level, rev = self.acks[-1 - which % len(self.acks)] if which > 50 else self.acks[-1]
        before = self.tag
        said, event, _ = life.heard(before, level, rev)
        if not event:
            assert (said.state, said.rev >= before.rev) == (before.state, True)
            self.tag = said
            return
        state, signal = life.step(said.state, event)
        assert rev > before.rev
        assert (signal == "coming") == (level == COMING)
        assert signal != "coming" or self.taken
        self.tag = None if state == "idle" else said._replace(state=state)

    @precondition(lambda self: self.tag)
    @rule()
    def two_messages_get_through(self) -> None:
        for _ in range(2):
            if self.tag:
                self.update()
                self.hear(0)
        if self.tag:
            assert (self.STATES[self.desk.level], self.desk.rev) == (self.tag.state, self.tag.rev)
        else:
            assert self.desk.level == CLOSED


class Storing(RuleBasedStateMachine):
    """The desk on its file, killed before and after commits: what is answered is stored, and nothing counts twice."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.tag = KeyTag()
        self.path = Path(self.folder.name)
        self.store = new_store(self.path, self.tag)
        self.said: dict[tuple[int, int], bytes] = {}  # the first message of each identity that was stored
        self.again: set[bytes] = set()  # others with an identity that was used
        self.alerts: set[bytes] = set()
        self.mark = (-1, -1)
        self.begin()

    def begin(self) -> None:
        # What becomes of the file in a cut of its own is SQLite's business.
        self.store.db.execute("PRAGMA synchronous = OFF")
        self.intake = Intake(self.store)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule()
    def kill(self) -> None:
        self.store.close()
        self.store = Store(str(self.path / "desk.db"))
        self.begin()

    @rule(
        kind=st.sampled_from((1, 1, 3, 4)),
        epoch=st.integers(1, 3),
        seq=st.integers(1, 6),
        battery=st.sampled_from((3700, 3800)),
        full=st.integers(0, 5),
    )
    def hear(self, kind: int, epoch: int, seq: int, battery: int, full: int) -> None:
        more = {"k1": cti(1, 1)} if kind == 3 else {"k2": battery}
        token = self.tag.say(kind, seq, epoch, **more)
        name = (epoch, seq)
        if full == 0:
            self.store.db.execute("PRAGMA query_only = ON")
            with pytest.raises(StoreError):
                self.intake.handle(self.tag.topic, token)
            self.store.db.execute("PRAGMA query_only = OFF")
            return
        answer = self.intake.handle(self.tag.topic, token)
        known = token in self.again or self.said.get(name) == token
        if known:
            verdict = REPEAT
        elif name in self.said:
            verdict = REUSE
            self.again.add(token)
        elif name > self.mark:
            verdict, self.mark = NEW, name
        else:
            verdict = LATE
        rings = [event["reason"] for event in answer.events if event["what"] == "rang"]
        if verdict in (NEW, LATE) and (kind != 4 or verdict == NEW):
            self.said[name] = token
        if verdict == LATE and kind == 4:
            assert answer.token is None
        else:
            assert bool(answer.token) == (verdict != REPEAT or kind != 4)
        if verdict == REPEAT or (kind == 4 and verdict != REUSE):
            assert rings == []
        if kind == 1 and verdict in (NEW, LATE):
            self.alerts.add(cti(epoch, seq))

    @invariant()
    def what_was_answered_is_stored_once(self) -> None:
        rows = self.store.rows("SELECT epoch, seq, token FROM messages")
        assert {(row["epoch"], row["seq"]): row["token"] for row in rows} == self.said
        assert len(rows) == len(self.said)
        assert {row["token"] for row in self.store.rows("SELECT token FROM reuses")} == self.again
        assert [(row["mark_epoch"], row["mark_seq"]) for row in self.store.tag_rows()] == [self.mark]

    @invariant()
    def every_alert_has_an_incident_of_its_own(self) -> None:
        firsts = [each.first for each in self.store.incidents(all_=True) if "counter reuse" not in each.flags]
        assert len(firsts) == len(set(firsts))
        assert self.alerts <= set(firsts)


TestKeeping = Keeping.TestCase
TestKeeping.settings = QUICK
TestLevels = Levels.TestCase
TestLevels.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestStoring = Storing.TestCase
TestStoring.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
