"""firmware/outbox.py on real files: what is not settled is never lost, never changed, and said in the right order."""

import os

import pytest
from journal import Journal, pack
from log import Log
from outbox import Entry, Outbox, OutboxError

from tests.host.fakes import Flash, digest

ALERT, CANCEL, UPDATE = 1, 2, 3


class Setup:
    def __init__(self, folder) -> None:
        self.folder = folder
        self.journal = Flash(folder)
        self.open()

    def open(self) -> None:
        """What a restart does."""
        self.log = Log(lambda: 0, lambda line: None)
        self.outbox = Outbox(self.journal, digest, self.log)

    def add(self, n: int, kind: int = ALERT, pressed: bool = True) -> Entry:
        cti = n.to_bytes(8, "big")
        token = b"token %d " % n * 10
        entry = Entry(cti, kind, (1).to_bytes(8, "big"), pressed, token, digest(token))
        self.outbox.add(entry)
        return entry

    def update(self, n: int) -> Entry:
        return self.add(n, UPDATE, False)

    def numbers(self) -> list[int]:
        return [int.from_bytes(entry.cti, "big") for entry in self.outbox.pending()]


@pytest.fixture
def setup(tmp_path) -> Setup:
    return Setup(tmp_path / "outbox")


def test_what_was_added_is_on_flash_when_add_returns(setup):
    entry = setup.add(5)
    assert entry.token in (setup.folder / "0000000000000005").read_bytes()


def test_alerts_presses_and_cancels_go_before_updates_and_the_oldest_first(setup):
    setup.update(1)
    setup.add(2, ALERT)
    setup.update(3)
    setup.add(4, UPDATE, pressed=True)
    setup.add(5, CANCEL, pressed=False)
    assert setup.numbers() == [2, 4, 5, 1, 3]


def test_a_restart_keeps_bytes_order_and_everything_else(setup):
    for n in (300, 2, 1 << 40):
        setup.add(n, UPDATE, pressed=n == 2)
    before = {entry.cti: vars(entry) for entry in setup.outbox.pending()}
    setup.open()
    assert {entry.cti: vars(entry) for entry in setup.outbox.pending()} == before
    assert setup.numbers() == [2, 300, 1 << 40]
    assert setup.log.counters == {}


def test_settled_is_gone_from_ram_and_flash(setup):
    first, second = setup.add(1), setup.add(2)
    setup.outbox.settle(first)
    assert setup.outbox.pending() == [second]
    assert setup.outbox.find(first.cti) is None
    setup.open()
    assert setup.numbers() == [2]


def test_find_knows_what_waits_and_nothing_else(setup):
    entry = setup.add(1)
    assert setup.outbox.find(entry.cti) is entry
    assert setup.outbox.find(bytes(8)) is None


def test_who_reads_pending_may_settle_meanwhile(setup):
    for n in range(1, 4):
        setup.add(n)
    for entry in setup.outbox.pending():
        setup.outbox.settle(entry)
    assert setup.numbers() == []


# ---------------------------------------------------------------------------------------------------------- thinning


def test_beyond_24_the_oldest_position_update_gives_way_and_is_counted(setup):
    setup.add(1)
    for n in range(2, 31):
        setup.update(n)
    assert setup.numbers() == [1, *range(8, 31)]
    assert setup.log.counters == {"outbox.thinned": 6}
    setup.open()
    assert setup.numbers() == [1, *range(8, 31)]


def test_alerts_presses_and_cancels_are_never_thinned(setup):
    for n in range(1, 61, 3):
        setup.add(n, ALERT)
        setup.add(n + 1, UPDATE, pressed=True)
        setup.add(n + 2, CANCEL, pressed=False)
    assert setup.numbers() == list(range(1, 61))
    assert setup.log.counters == {}


def test_the_newest_update_is_kept_even_among_alerts_alone(setup):
    for n in range(1, 30):
        setup.add(n)
    setup.update(30)
    assert setup.numbers() == list(range(1, 31))
    setup.update(31)
    assert setup.numbers() == [*range(1, 30), 31]


# ----------------------------------------------------------------------------------------------------- flash that errs


def test_flash_that_is_full_is_named_and_the_message_still_goes_out(setup):
    setup.journal.puts_left = 0
    with pytest.raises(OutboxError, match=r"not on flash: cannot write .*ENOSPC"):
        setup.add(1)
    assert setup.numbers() == [1]
    assert setup.log.counters == {"outbox.not_on_flash": 1}
    setup.outbox.settle(setup.outbox.pending()[0])
    assert setup.numbers() == []


@pytest.mark.parametrize("error", [OSError(5), ValueError(), MemoryError()], ids=repr)
def test_whatever_the_flash_raises_the_message_still_goes_out(setup, monkeypatch, error):
    def put(name, data):
        raise error

    monkeypatch.setattr(setup.journal, "put", put)
    with pytest.raises(OutboxError):
        setup.add(1)
    assert setup.numbers() == [1]


def test_flash_that_refuses_to_forget_is_no_obstacle(setup, monkeypatch):
    entry = setup.add(1)

    def remove(path):
        raise OSError(5)

    monkeypatch.setattr(os, "remove", remove)
    setup.outbox.settle(entry)
    assert setup.numbers() == []


NAME = "00000000000000aa"
DAMAGED = {
    "empty": (NAME, b""),
    "cut": (NAME, pack(b"\x84\x01\x48" + bytes(8) + b"\xf5\x41x")[:-5]),
    "without CRC": (NAME, b"OBR1\x84\x01\x48" + bytes(8) + b"\xf5\x41x"),
    "not CBOR": (NAME, pack(b"\xff")),
    "nothing in it": (NAME, pack(b"")),
    "too few parts": (NAME, pack(b"\x83\x01\x48" + bytes(8) + b"\xf5")),
    "too many parts": (NAME, pack(b"\x85\x01\x48" + bytes(8) + b"\xf5\x41x\x00")),
    "not a list": (NAME, pack(b"\x01")),
    "a token that is no bytes": (NAME, pack(b"\x84\x01\x48" + bytes(8) + b"\xf5\x01")),
    "a name that is no cti": ("README", pack(b"\x84\x01\x48" + bytes(8) + b"\xf5\x41x")),
    "half a byte in its name": ("abc", pack(b"\x84\x01\x48" + bytes(8) + b"\xf5\x41x")),
}


@pytest.mark.parametrize(("name", "raw"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_record_is_counted_and_dropped_and_the_others_stand(setup, name, raw):
    setup.add(1)
    setup.add(1 << 63)
    (setup.folder / name).write_bytes(raw)
    setup.open()
    assert setup.numbers() == [1, 1 << 63]
    assert setup.log.counters == {"outbox.damaged": 1}
    assert name not in Journal(str(setup.folder)).names()


@pytest.mark.parametrize("at", range(0, 100, 7))
def test_a_rotten_bit_never_changes_what_is_said(setup, at):
    entry = setup.add(1)
    path = setup.folder / entry.cti.hex()
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] ^= 4
    path.write_bytes(bytes(raw))
    setup.open()
    assert setup.numbers() == []
    assert setup.log.counters == {"outbox.damaged": 1}
    assert setup.journal.damaged == 1
