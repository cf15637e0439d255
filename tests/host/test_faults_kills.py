"""faults/kills.py and faults/loss.py on real programs: a slice of each, and deliberate faults that they must find."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import faults  # noqa: F401  the firmware's folders on the path
from desk.intake import Intake
from desk.store import Store
from desk.tags import new_identity, parse_registration, registration
from desk.token import digest, seal
from faults.breaks import broken
from faults.loss import SHARES
from faults.town.breaks import KILLS, firmware
from faults.town.judge import Judge
from faults.town.programs import mosquitto
from tests.host.faults_cli import campaign

real = pytest.mark.skipif(
    mosquitto() is None, reason="mosquitto is not installed (apt-get install mosquitto)"
)
SLICES = {
    "kills": ("kills", "--count", "5", "--no-scenes"),
    "loss": ("loss", "--count", "1"),
    "desk": ("kills", "--scene", "disk", "--break", "the desk answers what it could not store"),
    "tag": ("kills", "--scene", "full", "--break", "the tag settles on PUBACK"),
}


@pytest.fixture(scope="module")
def slices() -> Iterator[dict[str, Future[Any]]]:
    """They mostly wait, so all of them at once."""
    with ThreadPoolExecutor(len(SLICES)) as pool:
        yield {name: pool.submit(campaign, *words) for name, words in SLICES.items()}


@real
def test_kills_lose_nothing_and_double_nothing(slices):
    status, result, said = slices["kills"].result()
    assert (status, result["violations"]) == (0, 0), said
    assert result["kills"] == 5
    assert result["broker_kills"] + result["desk_kills"] >= 5
    assert result["presses"] >= 3
    assert result["messages"] > result["presses"]
    assert result["settled_s"]["max"] < 90


@real
def test_a_press_at_each_share_of_loss_is_stored_once_and_known(slices):
    status, result, said = slices["loss"].result()
    assert (status, result["violations"]) == (0, 0), said
    assert result["runs"] == len(SHARES)
    for row in result["loss"].values():
        assert row["stored"] == row["known"] == row["presses"] == 1
        assert 0 < row["stored_ms"][0] < row["known_ms"][0]
    if result["way"] == "wire":
        assert result["not_run"] == []
        assert result["loss"]["0%"]["lost"] == 0 < result["loss"]["60%"]["lost"]
    else:
        assert result["not_run"] == ["loss on a real wire"]


@real
def test_a_desk_that_answers_what_it_could_not_store_is_found(slices):
    status, _, said = slices["desk"].result()
    assert status == 1
    assert "acked at the tag, and not stored at the desk" in said


@real
def test_a_tag_that_settles_on_puback_is_found(slices):
    status, _, said = slices["tag"].result()
    assert status == 1
    assert "acked at the tag, and not stored at the desk" in said


@pytest.mark.parametrize("name", KILLS)
def test_every_fault_still_has_its_place(name, tmp_path):
    module, old, new = KILLS[name]
    if module.startswith("desk."):
        text = Path(f"{module.replace('.', '/')}.py").read_text()
        assert text.count(old) == 1
        compile(text.replace(old, new), name, "exec")
    else:
        [text] = broken(KILLS, name).values()
        [path] = firmware(name, tmp_path).rglob(f"{module}.py")
        assert path.read_text() == text
        compile(text, name, "exec")


class Office:
    """A database of two alerts and another press of the second, as the desk's own code stores them."""

    def __init__(self, folder: Path) -> None:
        identity = new_identity()
        self.keys = registration(identity)
        self.path = folder / "desk.db"
        self.worn = SimpleNamespace(id=self.keys["tag"], keys=self.keys, name="tag 0", said=3, waiting=list)
        self.worn.count = lambda what: 3
        store = Store(str(self.path), create=True)
        with store.transaction():
            store.put_tag(parse_registration(self.keys))
        for seq, claims in ((1, {0: 1}), (2, {0: 1}), (3, {0: 3, 1: bytes([0, 0, 0, 1, 0, 0, 0, 2]), 6: 2})):
            Intake(store).handle(f"obereg/{self.keys['tag']}/up/alert", self.token(seq, claims))
        store.close()

    def token(self, seq: int, said: dict[int, Any]) -> bytes:
        kid = bytes.fromhex(self.keys["tag"]) + bytes([self.keys["generation"]])
        cti = (1).to_bytes(4, "big") + seq.to_bytes(4, "big")
        return seal({7: cti, -65537: said}, bytes.fromhex(self.keys["up"]), kid)

    def change(self, sql: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            db.execute(sql, values)
            db.commit()

    def look(self) -> list[str]:
        return Judge(SimpleNamespace(path=self.path), [self.worn]).look()  # type: ignore[arg-type, list-item]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_what_a_desk_stores_is_right(office):
    assert office.look() == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM messages WHERE seq = 1", "3 alerts and updates came to its flash, 2 are stored"),
        ("DELETE FROM messages WHERE seq = 3", "of 2 presses of an incident [1] are stored"),
        ("DELETE FROM incidents WHERE id = 1", "2 alerts, 1 incidents"),
        ("INSERT INTO incidents SELECT 9, tag, first, digest, level, rev, said_rev, presses, test, flags,"
         " tag_flags, battery_mv, place, cell, opened_ms, rang_ms, cancel_ms FROM incidents WHERE id = 1",
         "2 alerts, 3 incidents"),
        ("UPDATE messages SET seq = 7 WHERE seq = 3", "does not say what its message says"),
        ("INSERT INTO messages SELECT tag, epoch, 9, digest, kind, token, received_ms, verdict, void, incident"
         " FROM messages WHERE seq = 1", "a message is stored under two counters"),
        ("INSERT INTO reuses SELECT tag, epoch, seq, digest, kind, token, received_ms, verdict, incident"
         " FROM messages WHERE seq = 1", "1 messages are taken for reused counters"),
    ],
    ids=["lost", "press lost", "incident lost", "incident doubled", "other counters", "doubled", "reused"],
)  # fmt: skip
def test_whatever_is_wrong_in_the_database_is_found(office, sql, said):
    office.change(sql)
    assert said in "\n".join(office.look())


def test_a_stored_message_that_the_tag_did_not_seal_is_found(office):
    token = office.token(2, {0: 1})
    office.change("UPDATE messages SET token = ? WHERE seq = 2", token[:-1] + bytes([token[-1] ^ 1]))
    assert "is not what the tag has sealed" in "\n".join(office.look())


def test_a_message_that_waits_at_the_tag_is_found(office):
    office.worn.waiting = lambda: ["0000000100000003"]
    assert office.look() == ["tag 0: 1 messages are not acked: ['0000000100000003']"]


def test_a_database_that_is_not_sound_is_found(office):
    data = bytearray(office.path.read_bytes())
    at = data.index(digest(office.token(1, {0: 1})))
    data[at - 40 : at - 8] = bytes(32)
    office.path.write_bytes(data)
    assert any("integrity_check" in text for text in office.look())
