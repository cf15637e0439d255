"""A tag that has missed three heartbeats is a fault that the desk raises, once, until it is heard again."""

import asyncio
import contextlib
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as some

from desk import serve, store
from desk.__main__ import main
from desk.broker import Broker
from desk.events import Events
from desk.intake import Intake
from desk.silence import USUAL, Rhythm
from desk.store import Store
from desk.tags import TagError, parse_registration, registration_json
from sim.broker import Broker as RealBroker
from tests.host.test_desk_support import KeyTag, new_store

DAY_S = 86400
HEARTBEAT = 4


class Clock:
    """The wall's clock of the desk, in ms."""

    def __init__(self, monkeypatch, start_s: int = 1_790_000_000) -> None:
        self.s = start_s
        for module in (store, serve):
            monkeypatch.setattr(module, "unix_ms", self.ms)
        monkeypatch.setattr("desk.intake.unix_ms", self.ms)

    def ms(self) -> int:
        return self.s * 1000


# ------------------------------------------------------------------------------------------------------------ rhythm


def _by_minutes(rhythm: Rhythm, last_s: int) -> int:
    """As the firmware does it (App._every_s): at each moment it looks whether the last one was long enough ago."""
    at_s = last_s
    while True:
        at_s += 60
        every_s = rhythm.heartbeat_s
        if rhythm.night:
            begin, end = rhythm.night
            if (at_s // 60 - begin) % 1440 < (end - begin) % 1440:
                every_s = max(4 * 3600, every_s)
        if at_s - last_s >= every_s:
            return at_s


@given(
    some.integers(1, 600),
    some.none() | some.tuples(some.integers(0, 1439), some.integers(0, 1439)),
    some.integers(0, 2 * 1440),
)
def test_the_next_heartbeat_is_due_when_the_tag_says_it(minutes, night, heard_min):
    rhythm = Rhythm(60 * minutes, night)
    assert rhythm.next_s(60 * heard_min) == _by_minutes(rhythm, 60 * heard_min)


def test_three_are_missed_after_half_an_hour_by_day_and_after_the_night():
    assert USUAL.silent_s(0) == 1800 + 120
    rhythm = Rhythm(600, (20 * 60, 4 * 60))
    # Last heard at 19:55: due at 23:55, at 03:55, and by day again at 04:05.
    assert rhythm.silent_s(19 * 3600 + 55 * 60) == DAY_S + 4 * 3600 + 300 + 120
    # Last heard at 22:00: due at 02:00, when the night ends, and ten minutes later.
    assert rhythm.silent_s(22 * 3600) == DAY_S + 4 * 3600 + 600 + 120
    assert rhythm.silent_s(DAY_S + 4 * 3600) == DAY_S + 4 * 3600 + 1920


@pytest.mark.parametrize(
    ("fields", "rhythm"),
    [({}, USUAL), ({"heartbeat_s": 3600}, Rhythm(3600)), ({"night": [1200, 240]}, Rhythm(600, (1200, 240)))],
)
def test_a_registration_says_when_its_tag_is_to_be_heard(fields, rhythm):
    plain = json.loads(registration_json(KeyTag().registration))
    assert "heartbeat_s" not in plain
    assert "night" not in plain
    tag = parse_registration({**plain, **fields})
    assert tag.rhythm == rhythm
    assert parse_registration(json.loads(registration_json(tag))) == tag


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"heartbeat_s": 59}, "heartbeat_s"),
        ({"heartbeat_s": True}, "heartbeat_s"),
        ({"heartbeat_s": "600"}, "heartbeat_s"),
        ({"night": [1]}, "night"),
        ({"night": [0, 1440]}, "night"),
        ({"night": [0.0, 1]}, "night"),
        ({"night": "20:00"}, "night"),
    ],
)
def test_a_rhythm_that_cannot_be_is_refused_by_name(fields, words):
    with pytest.raises(TagError, match=words):
        parse_registration({**json.loads(registration_json(KeyTag().registration)), **fields})


# ----------------------------------------------------------------------------------------------------------- the desk


class Desk:
    """`hear()` a heartbeat, `look()` for who is silent; `now` may be moved."""

    def __init__(self, folder, monkeypatch) -> None:
        self.now = Clock(monkeypatch)
        self.tag = KeyTag()
        self.store = new_store(folder, self.tag)
        self.intake = Intake(self.store)
        self.seq = 0

    def hear(self) -> list[str]:
        self.seq += 1
        answer = self.intake.handle(f"obereg/{self.tag.id}/up/state", self.tag.say(HEARTBEAT, self.seq))
        return [event["what"] for event in answer.events]

    def look(self, since_s: int = 0) -> list[str]:
        return [event["tag"] for event in self.intake.silences(since_s * 1000)]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    made = Desk(tmp_path, monkeypatch)
    yield made
    made.store.close()


def test_silence_is_told_once_and_ends_with_the_next_message(desk):
    assert desk.hear() == ["stored"]
    desk.now.s += 1900
    assert desk.look() == []
    desk.now.s += 30
    assert desk.look() == [desk.tag.id]
    assert desk.look() == []
    desk.now.s += 3600
    assert desk.hear() == ["stored", "heard_again"]
    assert desk.hear() == ["stored"]
    desk.now.s += 1930
    assert desk.look() == [desk.tag.id]


def test_a_tag_that_says_itself_is_never_silent(desk):
    for _ in range(50):
        desk.hear()
        desk.now.s += 600 * 3
        assert desk.look() == []


def test_who_was_never_heard_is_not_missed_nor_is_one_that_is_revoked(desk):
    desk.now.s += DAY_S
    assert desk.look() == []
    desk.hear()
    with desk.store.transaction():
        desk.store.revoke(desk.tag.id)
    desk.now.s += DAY_S
    assert desk.look() == []


def test_what_the_desk_did_not_listen_to_does_not_count(desk):
    desk.hear()
    desk.now.s += DAY_S
    began_s = desk.now.s
    assert desk.look(began_s) == []
    desk.now.s += 1900
    assert desk.look(began_s) == []
    desk.now.s += 30
    assert desk.look(began_s) == [desk.tag.id]


def test_a_repeat_does_not_end_it(desk):
    said = desk.tag.say(HEARTBEAT, 1)
    topic = f"obereg/{desk.tag.id}/up/state"
    desk.intake.handle(topic, said)
    desk.now.s += 2000
    assert desk.look() == [desk.tag.id]
    desk.intake.handle(topic, said)
    assert desk.store.tag(desk.tag.id)["silent_ms"]


def test_a_known_tag_with_another_rhythm_is_taken_and_waited_for_as_it_says(desk):
    slow = parse_registration({**json.loads(registration_json(desk.tag.registration)), "heartbeat_s": 3600})
    with desk.store.transaction():
        assert desk.store.put_tag(slow) is False
    desk.hear()
    desk.now.s += 3 * 3600
    assert desk.look() == []
    desk.now.s += 200
    assert desk.look() == [desk.tag.id]


def test_a_database_of_schema_1_is_brought_here_and_loses_nothing(tmp_path, monkeypatch, capsys):
    desk = Desk(tmp_path, monkeypatch)
    desk.hear()
    desk.store.close()
    path = tmp_path / "desk.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP INDEX tags_by_due")
        for column in ("heartbeat_s", "night", "due_ms", "silent_ms"):
            db.execute(f"ALTER TABLE tags DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    desk.store = Store(str(path))
    desk.intake = Intake(desk.store)
    assert desk.store.rows("PRAGMA user_version")[0][0] == 2
    desk.now.s += 2000
    assert desk.look(desk.now.s) == []
    assert desk.look() == [desk.tag.id]
    desk.store.close()
    assert main(["tags", "list", "--db", str(path)]) == 0
    assert "SILENT" in capsys.readouterr().out


def test_a_running_desk_says_it_in_its_events(tmp_path, monkeypatch):
    now = Clock(monkeypatch)
    monkeypatch.setattr(serve, "_SILENCE_POLL_S", 0.02)
    tag = KeyTag()
    known = new_store(tmp_path, tag)
    Intake(known).handle(f"obereg/{tag.id}/up/state", tag.say(HEARTBEAT, 1))
    file = tmp_path / "events"

    def told() -> list[str]:
        return [json.loads(line)["what"] for line in file.read_text().splitlines()]

    async def story() -> None:
        broker = RealBroker("127.0.0.1", 0, {"desk": "secret"})
        await broker.start()
        where = Broker("127.0.0.1", broker.address[1], "desk", "secret", None)
        events = Events(str(file))
        server = serve.Server(where, known, events)
        running = asyncio.create_task(server.run())
        try:
            async with asyncio.timeout(30):
                while "ready" not in told():
                    await asyncio.sleep(0.02)
                now.s += 1900
                await asyncio.sleep(0.2)
                assert "silent" not in told()
                now.s += 30
                while "silent" not in told():
                    await asyncio.sleep(0.02)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            server.close()
            events.close()
            await broker.stop()

    file.touch()
    asyncio.run(story())
    known.close()
    assert told().count("silent") == 1
