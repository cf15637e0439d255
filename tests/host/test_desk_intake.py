"""desk.intake and desk.store: payloads into a real SQLite file, answers out."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from desk import token
from desk.incidents import act
from desk.intake import Answer, Intake
from desk.store import Store, StoreError
from tests.host.test_desk_support import KYIV, KeyTag, cti, new_store

ALERT = 1
CANCEL = 2
UPDATE = 3
HEARTBEAT = 4
LAST_GASP = 6
LINK_LOST = 7


@pytest.fixture
def tag() -> KeyTag:
    return KeyTag()


@pytest.fixture
def store(tmp_path: Path, tag: KeyTag) -> Iterator[Store]:
    store = new_store(tmp_path, tag)
    yield store
    store.close()


@pytest.fixture
def desk(store: Store) -> Intake:
    return Intake(store)


def _whats(answer: Answer) -> list[str]:
    return [event["what"] for event in answer.events]


def _do(store: Store, number: int, name: str) -> None:
    """What `python -m desk take` does, on this connection."""
    with store.transaction():
        incident = store.incident(number)
        assert incident
        act(incident, name, 0)
        store.put_incident(incident)
        store.put_act(incident, name, "Anna")


def _say_changes(desk: Intake) -> list[Answer]:
    answers = desk.changes()
    for answer in answers:
        desk.said(answer)
    return answers


def test_an_alert_is_stored_before_it_is_acknowledged(desk: Intake, store: Store, tag: KeyTag) -> None:
    sealed = tag.say(ALERT, 1, location=KYIV, k2=3900)
    answer = desk.handle(tag.topic, sealed)
    assert answer.topic == f"obereg/{tag.id}/down"
    assert answer.token
    heard = tag.hear(answer.token)
    assert heard == {0: 32, 1: cti(1, 1), 2: token.digest(sealed), 3: 1, 4: heard[4], 9: 1}
    with sqlite3.connect(store.path) as other:
        assert other.execute("SELECT token FROM messages").fetchall() == [(sealed,)]
    other.close()
    assert _whats(answer) == ["stored", "rang"]
    stored = answer.events[0]
    assert stored["token"] == sealed.hex()
    assert (stored["kind"], stored["epoch"], stored["seq"], stored["incident"]) == (1, 1, 1, 1)
    assert answer.sent[0]["what"] == "acked"


def test_a_repeat_is_acked_again_with_the_present_level_and_stores_nothing(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    sealed = tag.say(ALERT, 1)
    nonces = {tag.hear(desk.handle(tag.topic, sealed).token or b"")[4] for _ in range(3)}
    assert len(nonces) == 3
    _do(store, 1, "take")
    again = desk.handle(tag.topic, sealed)
    heard = tag.hear(again.token or b"")
    assert (heard[1], heard[3], heard[9]) == (cti(1, 1), 3, 2)
    assert again.events == []
    assert len(store.rows("SELECT * FROM messages")) == 1
    assert len(store.incidents()) == 1


def test_a_state_message_is_acked_once(desk: Intake, tag: KeyTag) -> None:
    sealed = tag.say(HEARTBEAT, 1, k2=3800)
    heard = tag.hear(desk.handle(tag.topic, sealed).token or b"")
    assert heard == {0: 34, 1: cti(1, 1), 2: token.digest(sealed), 4: heard[4]}
    again = desk.handle(tag.topic, sealed)
    assert (again.token, again.events) == (None, [])


def test_a_level_change_is_said_once_and_names_the_first_alert(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    alert = tag.say(ALERT, 1)
    desk.handle(tag.topic, alert)
    desk.handle(tag.topic, tag.say(UPDATE, 2, k1=cti(1, 1)))
    assert _say_changes(desk) == []
    said = []
    for name in ("take", "decline", "take", "close"):
        _do(store, 1, name)
        (answer,) = _say_changes(desk)
        heard = tag.hear(answer.token or b"")
        assert (heard[0], heard[1], heard[2]) == (32, cti(1, 1), token.digest(alert))
        said.append((heard[3], heard[9], [event["what"] for event in answer.sent]))
        assert _say_changes(desk) == []
    assert said == [(3, 2, ["level"]), (5, 3, ["level", "rang"]), (3, 4, ["level"]), (4, 5, ["level"])]
    assert [row["who"] for row in store.acts(1)] == ["Anna"] * 4


def test_a_level_that_was_not_published_is_said_again(desk: Intake, store: Store, tag: KeyTag) -> None:
    desk.handle(tag.topic, tag.say(ALERT, 1))
    _do(store, 1, "take")
    assert len(desk.changes()) == 1
    assert len(desk.changes()) == 1


def test_a_level_waits_for_the_alert_it_must_name(desk: Intake, store: Store, tag: KeyTag) -> None:
    """Its digest is not known before; until then the acks of the updates carry the level."""
    desk.handle(tag.topic, tag.say(UPDATE, 2, k1=cti(1, 1)))
    _do(store, 1, "take")
    assert desk.changes() == []
    heard = tag.hear(desk.handle(tag.topic, tag.say(UPDATE, 3, k1=cti(1, 1))).token or b"")
    assert (heard[3], heard[9]) == (3, 2)
    late = desk.handle(tag.topic, tag.say(ALERT, 1))
    assert late.events[0]["reason"] == "late"
    assert len(store.incidents()) == 1
    assert len(_say_changes(desk)) == 1


def test_a_rev_above_the_desks_own_is_answered_above_it(desk: Intake, tag: KeyTag) -> None:
    desk.handle(tag.topic, tag.say(ALERT, 1))
    heard = tag.hear(desk.handle(tag.topic, tag.say(UPDATE, 2, k1=cti(1, 1), k8=4)).token or b"")
    assert (heard[3], heard[9]) == (1, 5)


def test_a_reused_counter_rings_and_is_acked_and_its_repeat_is_only_acked(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    first, second = tag.say(ALERT, 1), tag.say(ALERT, 1, k2=3900)
    desk.handle(tag.topic, first)
    answer = desk.handle(tag.topic, second)
    assert tag.hear(answer.token or b"")[2] == token.digest(second)
    assert answer.events[1]["reason"] == "counter reuse"
    again = desk.handle(tag.topic, second)
    assert again.token
    assert again.events == []
    assert [incident.flags for incident in store.incidents()] == [[], ["counter reuse"]]
    _do(store, 1, "take")
    assert tag.hear(desk.handle(tag.topic, first).token or b"")[3] == 3
    assert tag.hear(desk.handle(tag.topic, second).token or b"")[3] == 1


def test_a_chattering_clone_gets_one_incident_beside_its_presses(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    for seq in range(1, 6):
        desk.handle(tag.topic, tag.say(HEARTBEAT, seq, k2=3900))
    for seq in range(1, 6):
        assert desk.handle(tag.topic, tag.say(HEARTBEAT, seq, k2=3800)).token
    assert len(store.incidents()) == 1


def test_old_state_messages_are_dropped_and_a_last_gasp_is_not(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    desk.handle(tag.topic, tag.say(HEARTBEAT, 9))
    for kind in (HEARTBEAT, 5, LINK_LOST):
        answer = desk.handle(tag.topic, tag.say(kind, kind))
        assert (answer.token, [event["reason"] for event in answer.events]) == (None, ["late"])
    assert desk.handle(tag.topic, tag.say(LAST_GASP, 6)).token
    assert len(store.rows("SELECT * FROM messages")) == 2


def test_a_will_stands_until_anything_later_is_stored_and_never_rings(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    answer = desk.handle(tag.topic, tag.say(LINK_LOST, 1))
    assert _whats(answer) == ["stored"]
    assert [row["link_lost"] for row in store.tag_rows()] == [1]
    desk.handle(tag.topic, tag.say(HEARTBEAT, 2))
    assert [row["link_lost"] for row in store.tag_rows()] == [0]
    assert store.incidents(all_=True) == []


def _marks(store: Store) -> list[tuple[int, int]]:
    return [(row["mark_epoch"], row["mark_seq"]) for row in store.tag_rows()]


def test_a_tag_that_lost_its_counters_is_believed_when_it_echoes_the_desk(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    desk.handle(tag.topic, tag.say(HEARTBEAT, 1, epoch=900))
    first = desk.handle(tag.topic, tag.say(HEARTBEAT, 1, epoch=7, k3=8))
    assert [event["reason"] for event in first.events] == ["late"]
    assert _marks(store) == [(900, 1)]
    nonce = tag.hear(first.token or b"")[4]
    assert desk.handle(tag.topic, tag.say(HEARTBEAT, 2, epoch=7, k3=8, k5=nonce)).token
    assert _marks(store) == [(7, 2)]
    assert desk.handle(tag.topic, tag.say(HEARTBEAT, 3, epoch=7)).token


def test_an_old_state_message_of_a_made_up_epoch_moves_no_mark_however_often_it_is_said(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    old = tag.say(HEARTBEAT, 1, epoch=7, k3=8, k5=bytes(8))
    desk.handle(tag.topic, tag.say(HEARTBEAT, 1, epoch=900))
    heard_ms = store.tag_rows()[0]["heard_ms"]
    assert [bool(desk.handle(tag.topic, old).token) for _ in range(3)] == [True, False, False]
    assert _marks(store) == [(900, 1)]
    assert store.tag_rows()[0]["heard_ms"] == heard_ms


def test_only_the_last_nonces_said_are_believed(desk: Intake, store: Store, tag: KeyTag) -> None:
    nonces = [
        tag.hear(desk.handle(tag.topic, tag.say(HEARTBEAT, seq)).token or b"")[4] for seq in range(1, 7)
    ]
    desk.handle(tag.topic, tag.say(HEARTBEAT, 1, epoch=0, k3=8, k5=nonces[0]))
    assert _marks(store) == [(1, 6)]
    desk.handle(tag.topic, tag.say(HEARTBEAT, 2, epoch=0, k3=8, k5=nonces[-1]))
    assert _marks(store) == [(0, 2)]


def _refusals(desk: Intake, topic: str, payload: bytes) -> list[str]:
    answer = desk.handle(topic, payload)
    assert answer.token is None
    assert _whats(answer) == ["refused"]
    return [event["reason"] for event in answer.events]


def test_the_unknown_the_revoked_and_the_forged_are_refused(desk: Intake, store: Store, tag: KeyTag) -> None:
    stranger = KeyTag()
    assert _refusals(desk, stranger.topic, stranger.say(ALERT, 1)) == ["unknown"]
    assert _refusals(desk, tag.topic, stranger.say(ALERT, 1)) == ["kid"]
    assert _refusals(desk, "obereg/nonsense/up/x", tag.say(ALERT, 1)) == ["unknown"]
    forger = KeyTag({**tag.identity, "root": "00" * 32})
    assert _refusals(desk, tag.topic, forger.say(ALERT, 1)) == ["mac"]
    older = KeyTag({**tag.identity, "generation": 0})
    assert _refusals(desk, tag.topic, older.say(ALERT, 1)) == ["kid"]
    assert _refusals(desk, tag.topic, b"") == ["size"]
    with store.transaction():
        assert store.revoke(tag.id)
    assert _refusals(desk, tag.topic, tag.say(ALERT, 1)) == ["revoked"]
    assert store.rows("SELECT * FROM messages") == []


def test_another_registered_tags_topic_is_refused(tmp_path: Path) -> None:
    one, other = KeyTag(), KeyTag()
    (tmp_path / "two").mkdir()
    store = new_store(tmp_path / "two", one, other)
    assert _refusals(Intake(store), other.topic, one.say(ALERT, 1)) == ["kid"]
    store.close()


def _fill(desk: Intake, tag: KeyTag) -> int:
    """Send alerts until one is not committed; the seq of that one."""
    for seq in range(2, 1000):
        try:
            assert desk.handle(tag.topic, tag.say(ALERT, seq)).token
        except StoreError as error:
            if "full" not in str(error):
                raise
            return seq
    pytest.fail("the database never became full")


def test_without_a_commit_there_is_no_ack_and_the_desk_goes_on(
    desk: Intake, store: Store, tag: KeyTag
) -> None:
    """The database may grow no further, as on a full disk; then there is room again."""
    desk.handle(tag.topic, tag.say(HEARTBEAT, 1))
    (pages,) = store.rows("PRAGMA page_count")[0]
    store.db.execute(f"PRAGMA max_page_count = {pages}")
    seq = _fill(desk, tag)
    kept = len(store.rows("SELECT * FROM messages"))
    store.db.execute("PRAGMA max_page_count = 1000000")
    assert desk.handle(tag.topic, tag.say(ALERT, seq)).token
    assert len(store.rows("SELECT * FROM messages")) == kept + 1
    assert len(store.incidents()) == kept  # nothing half-done: one for each alert, none for the heartbeat


def test_a_locked_database_gives_no_ack(desk: Intake, store: Store, tag: KeyTag) -> None:
    store.db.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        desk.handle(tag.topic, tag.say(ALERT, 1))
    other.execute("ROLLBACK")
    other.close()
    assert desk.handle(tag.topic, tag.say(ALERT, 1)).token


def test_a_commit_reaches_the_disk_before_it_returns(store: Store) -> None:
    assert store.rows("PRAGMA synchronous")[0][0] == 2
    assert store.rows("PRAGMA journal_mode")[0][0] == "wal"
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://host/db", "PostgreSQL"),
        ("sqlite://host/x", "sqlite:///FILE"),
        ("sqlite:///", "sqlite:///FILE"),
        ("{tmp}/missing/desk.db", "cannot open"),
        ("{tmp}", "cannot open"),
        ("{tmp}/noise", "not a database"),
        ("{tmp}/theirs", "another program"),
        ("sqlite:///{tmp}/newer", "schema 3"),
    ],
)
def test_a_database_that_cannot_be_used_is_named(tmp_path: Path, url: str, words: str) -> None:
    (tmp_path / "noise").write_bytes(b"this is no database " * 100)
    for name, sql in (("theirs", "CREATE TABLE t (x)"), ("newer", "PRAGMA user_version = 3")):
        if name == "newer":
            Store(str(tmp_path / name), create=True).close()
        other = sqlite3.connect(tmp_path / name)
        other.execute(sql)
        other.commit()
        other.close()
    with pytest.raises(StoreError, match=words):
        Store(url.format(tmp=tmp_path), create=True)


def test_only_commands_that_fill_a_database_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database"):
        Store(str(tmp_path / "desk.db"))
    assert not list(tmp_path.iterdir())


def test_a_relative_and_an_absolute_url_name_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Store("sqlite:///desk.db", create=True).close()
    Store(f"sqlite:///{tmp_path}/desk.db").close()
    Store(str(tmp_path / "desk.db")).close()
    with pytest.raises(StoreError):
        Store(f"sqlite:///{tmp_path}/other.db")
