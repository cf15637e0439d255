"""The desk's commands: what people type, what they read, what they are told when it is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from desk.__main__ import main
from desk.intake import Intake
from desk.store import Store
from tests.host.test_desk_support import KYIV, KeyTag, cti, new_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OBEREG_DB", "sqlite:///desk.db")
    monkeypatch.delenv("OBEREG_BROKER_PASSWORD", raising=False)
    return tmp_path / "desk.db"


@pytest.fixture
def tag(db: Path) -> KeyTag:
    """A tag that the database knows, with one open incident."""
    tag = KeyTag()
    store = new_store(db.parent, tag)
    Intake(store).handle(tag.topic, tag.say(1, 1, location=KYIV, k2=3900, k3=16))
    store.close()
    return tag


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that must fail."""
    capsys.readouterr()
    assert main(list(arguments)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("desk: ")
    return line


def _says(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_a_new_tags_root_is_in_its_file_alone(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _says(capsys, "tags", "add", "--name", "Mia")
    (path,) = db.parent.glob("obereg-*.json")
    identity = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(identity) == {"tag", "root", "generation"}
    assert identity["root"] not in said
    everything = b"".join(each.read_bytes() for each in db.parent.glob("desk.db*"))
    assert bytes.fromhex(identity["root"]) not in everything
    assert identity["root"].encode() not in everything
    assert "Mia" in _says(capsys, "tags", "list")
    assert json.loads(_says(capsys, "tags", "list", "--json"))[0]["tag"] == identity["tag"]


def test_an_identity_file_is_never_overwritten(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.json").write_text("precious")
    assert "not overwritten" in _fails(capsys, "tags", "add", "--out", "mine.json")
    assert Path("mine.json").read_text() == "precious"
    assert json.loads(_says(capsys, "tags", "list", "--json")) == []


def test_keys_are_the_ones_of_the_protocol() -> None:
    """HKDF-SHA-256 written out from RFC 5869 with hmac alone."""
    import hashlib
    import hmac

    tag = KeyTag({"tag": "0123456789abcdef", "root": bytes(range(32)).hex(), "generation": 1})
    secret = hmac.digest(bytes.fromhex("0123456789abcdef"), bytes(range(32)), hashlib.sha256)
    for name in ("up", "down", "broker"):
        expected = hmac.digest(secret, b"obereg/1 " + name.encode() + b"\x01", hashlib.sha256)
        assert getattr(tag.registration, name) == expected
    assert tag.registration.kid.hex() == "0123456789abcdef01"


def test_registrations_go_round(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        _says(capsys, "tags", "add")
    _says(capsys, "tags", "export", "--out", "all.jsonl")
    assert Path("all.jsonl").stat().st_mode & 0o777 == 0o600
    lines = Path("all.jsonl").read_text().splitlines()
    assert [set(json.loads(line)) for line in lines] == [
        {"obereg", "tag", "generation", "up", "down", "broker"}
    ] * 3
    Path("one.json").write_text(json.dumps(json.loads(lines[0]), indent=2))
    other = ("--db", "other.db")
    assert _says(capsys, "tags", "import", "one.json", *other) == "1 registered, 0 known already\n"
    assert (
        _says(capsys, "tags", "import", "all.jsonl", "one.json", *other) == "2 registered, 2 known already\n"
    )
    assert _says(capsys, "tags", "export", *other).splitlines() == lines


def test_other_keys_for_a_known_tag_need_replace(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _says(capsys, "tags", "add")
    fields = json.loads(_says(capsys, "tags", "export"))
    fields["up"] = "00" * 32
    Path("changed.json").write_text(json.dumps(fields))
    assert "--replace" in _fails(capsys, "tags", "import", "changed.json")
    assert _says(capsys, "tags", "import", "--replace", "changed.json") == "1 registered, 0 known already\n"
    assert json.loads(_says(capsys, "tags", "export")) == fields


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"obereg": 2}, '"obereg"'),
        ({"tag": "0123456789ABCDEF"}, '"tag"'),
        ({"generation": 256}, '"generation"'),
        ({"generation": True}, '"generation"'),
        ({"down": "00"}, '"down"'),
        ({"root": "00" * 32}, "identity"),
    ],
)
def test_a_wrong_registration_is_named_and_nothing_is_imported(
    db: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], words: str
) -> None:
    good = {
        "obereg": 1,
        "tag": "0" * 16,
        "generation": 1,
        "up": "0" * 64,
        "down": "1" * 64,
        "broker": "2" * 64,
    }
    Path("tags.jsonl").write_text(json.dumps(good) + "\n" + json.dumps({**good, "tag": "1" * 16, **change}))
    line = _fails(capsys, "tags", "import", "tags.jsonl")
    assert words in line
    assert "tags.jsonl" in line
    assert not db.exists()


def test_a_revoked_tag_is_given_to_no_broker(tag: KeyTag, capsys: pytest.CaptureFixture[str]) -> None:
    assert _says(capsys, "tags", "export", "--mosquitto").startswith(f"{tag.id}:$7$101$")
    _says(capsys, "tags", "revoke", tag.id)
    assert "revoked" in _says(capsys, "tags", "list")
    assert _says(capsys, "tags", "export", "--mosquitto") == ""
    assert "revoked" in _fails(capsys, "tags", "export", tag.id)
    assert "revoked already" in _fails(capsys, "tags", "revoke", tag.id)


def test_the_desks_own_broker_line_needs_its_password(
    tag: KeyTag, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export = ("tags", "export", "--mosquitto", "--desk-user", "desk")
    assert "OBEREG_BROKER_PASSWORD" in _fails(capsys, *export)
    monkeypatch.setenv("OBEREG_BROKER_PASSWORD", "secret")
    assert _says(capsys, *export).splitlines()[1].startswith("desk:$7$101$")


def test_incidents_and_acts_are_shown(tag: KeyTag, capsys: pytest.CaptureFixture[str]) -> None:
    table = _says(capsys, "incidents")
    for word in ("received", "50.4501000, 30.5234000 ±12 m, 3 s old", "3900 mV", "discreet", tag.id):
        assert word in table
    assert "coming, by Anna" in _says(capsys, "take", "1", "--by", "Anna")
    (shown,) = json.loads(_says(capsys, "incidents", "--json"))
    assert (shown["level"], shown["rev"], shown["place"]["lat_e7"]) == (3, 2, 504501000)
    assert [(each["act"], each["who"]) for each in shown["acts"]] == [("take", "Anna")]
    assert "incident 1 is coming" in _fails(capsys, "take", "1")
    _says(capsys, "decline", "1")
    _says(capsys, "seen", "1")
    _says(capsys, "close", "1")
    assert "incident 1 is closed" in _fails(capsys, "close", "1")
    assert "no incident 7" in _fails(capsys, "close", "7")
    assert _says(capsys, "incidents") == "no open incidents\n"
    assert "closed" in _says(capsys, "incidents", "--all")


def test_a_test_is_shown_as_one(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tag = KeyTag()
    store = new_store(db.parent, tag)
    Intake(store).handle(tag.topic, tag.say(1, 1, k3=1, k4=[255, 1, 77, 99, -97]))
    Intake(store).handle(tag.topic, tag.say(2, 2, k1=cti(1, 1), k3=1))
    store.close()
    table = _says(capsys, "incidents")
    assert "TEST, asks to cancel" in table
    assert "ci 99" in table


@pytest.mark.parametrize("form", ["bytes", "hex"])
def test_verify_reads_a_message(form: str, tag: KeyTag, capsys: pytest.CaptureFixture[str]) -> None:
    sealed = tag.say(3, 7, epoch=2, location=KYIV, k1=cti(2, 5), k3=2 | 16)
    Path("message").write_bytes(sealed if form == "bytes" else sealed.hex().encode() + b"\n")
    text = _says(capsys, "verify", "message")
    for words in (
        "update (3)",
        "50.4501000",
        "position not to be trusted, discreet",
        "epoch 2, seq 7",
        "seq 5",
    ):
        assert words in text
    values = json.loads(_says(capsys, "verify", "message", "--json"))
    assert (values["valid"], values["place"]["lon_e7"], values["iat"]) == (True, 305234000, None)
    assert _says(capsys, "verify", "message", "--key", tag.registration.up.hex()) == text


def test_verify_gives_the_reason_of_a_refusal(tag: KeyTag, capsys: pytest.CaptureFixture[str]) -> None:
    Path("message").write_bytes(tag.say(1, 1))
    assert main(["verify", "message", "--key", "00" * 32]) == 1
    assert capsys.readouterr().err.startswith("refused: mac: ")
    assert main(["verify", "message", "--json", "--key", "00" * 32]) == 1
    assert json.loads(capsys.readouterr().out) == {"valid": False, "reason": "mac"}
    assert "64 hex digits" in _fails(capsys, "verify", "message", "--key", "00")
    Path("message").write_bytes(KeyTag().say(1, 1))
    assert "no key" in _fails(capsys, "verify", "message")
    assert "No such file" in _fails(capsys, "verify", "nowhere")


def test_a_text_cannot_command_the_terminal(tag: KeyTag, capsys: pytest.CaptureFixture[str]) -> None:
    Path("message").write_bytes(tag.say(4, 9, k7="brown\x1b[2Jout"))
    assert "\x1b" not in _says(capsys, "verify", "message")


@pytest.mark.parametrize("arguments", [["take"], ["take", "x"], ["incidents"], ["nonsense"], []])
def test_a_wrong_call_is_told_so(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBEREG_DB", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_list_cut_short_by_its_reader_is_no_error(db: Path) -> None:
    Store("desk.db", create=True).close()
    command = [sys.executable, "-m", "desk", "incidents", "--db", str(db)]
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        command, cwd=ROOT, env=buffered, stdout=writer, stderr=subprocess.PIPE, timeout=15, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
