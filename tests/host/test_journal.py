"""Records on flash: their bytes, and real files in a real folder."""

import binascii
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal import Journal, JournalError, pack, unpack


def test_a_record_has_exactly_these_bytes() -> None:
    assert pack(b"abc") == b"OBR1abc" + binascii.crc32(b"OBR1abc").to_bytes(4, "big")
    assert pack(b"").hex() == b"OBR1".hex() + "487ef135"
    assert unpack(pack(b"abc")) == b"abc"


@given(st.binary(max_size=400))
def test_what_was_packed_is_unpacked(data: bytes) -> None:
    assert unpack(pack(data)) == data


@given(st.binary(max_size=60))
def test_every_prefix_and_every_flipped_bit_is_none(data: bytes) -> None:
    raw = pack(data)
    for end in range(len(raw)):
        assert unpack(raw[:end]) is None
    for bit in range(len(raw) * 8):
        bad = bytearray(raw)
        bad[bit // 8] ^= 1 << bit % 8
        assert unpack(bytes(bad)) is None


@given(st.binary(max_size=100))
def test_noise_is_none(raw: bytes) -> None:
    """Nothing is raised, whatever flash holds; a right record would need its magic and its CRC."""
    assert unpack(raw) is None


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path / "data" / "outbox"))


def test_the_folder_is_made_at_the_first_put_with_all_above_it(journal: Journal, tmp_path: Path) -> None:
    assert journal.names() == []
    assert not (tmp_path / "data").exists()
    journal.put("a", b"1")
    assert (tmp_path / "data/outbox/a").read_bytes() == pack(b"1")


def test_what_was_put_is_there_for_another_journal_of_the_folder(journal: Journal, tmp_path: Path) -> None:
    journal.put("a", b"1")
    journal.put("empty", b"")
    after_restart = Journal(str(tmp_path / "data" / "outbox"))
    assert after_restart.get("a") == b"1"
    assert after_restart.get("empty") == b""
    assert after_restart.damaged == 0


def test_names_are_sorted_and_nothing_but_records(journal: Journal) -> None:
    for name in ("0000000200000001", "000000010000000a", "0000000100000009"):
        journal.put(name, name.encode())
    assert journal.names() == ["0000000100000009", "000000010000000a", "0000000200000001"]


def test_a_record_is_overwritten_in_place_whether_longer_or_shorter(journal: Journal, tmp_path: Path) -> None:
    journal.put("a", b"long" * 100)
    inode = (tmp_path / "data/outbox/a").stat().st_ino
    for data in (b"", b"x" * 1000, b"y"):
        journal.put("a", data)
        assert journal.get("a") == data
    assert (tmp_path / "data/outbox/a").stat().st_ino == inode
    assert journal.names() == ["a"]


def test_what_is_not_there_is_none_and_not_damaged(journal: Journal) -> None:
    assert journal.get("a") is None
    journal.put("a", b"1")
    assert journal.get("b") is None
    assert journal.damaged == 0


def test_a_damaged_record_is_not_returned_and_counted(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "data/outbox/a"
    journal.put("a", b"12345")
    path.write_bytes(path.read_bytes().replace(b"3", b"4"))
    assert journal.get("a") is None
    path.write_bytes(b"")
    assert journal.get("a") is None
    assert journal.damaged == 2
    journal.put("a", b"new")
    assert journal.get("a") == b"new"


def test_remove_forgets_and_removing_again_is_no_error(journal: Journal) -> None:
    journal.remove("a")
    journal.put("a", b"1")
    journal.remove("a")
    journal.remove("a")
    assert journal.get("a") is None
    assert journal.names() == []


def test_a_flash_that_takes_nothing_is_a_journal_error_that_says_where_and_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"a file where the folder should be")
    with pytest.raises(JournalError, match=r"cannot write .*/data/a: .*Not a directory"):
        Journal(str(tmp_path / "data")).put("a", b"1")


def test_a_full_flash_is_a_journal_error() -> None:
    """/dev/full opens and takes nothing, as a full file system does."""
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(JournalError, match="No space left"):
        Journal("/dev").put("full", b"1")


def test_a_folder_in_the_root_is_made_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Journal("relative").put("a", b"1")
    assert Journal(f"{tmp_path}/relative").get("a") == b"1"


def test_what_could_not_be_read_again_is_refused_before_the_old_record_is_touched(tmp_path):
    journal = Journal(str(tmp_path))
    journal.put("a", b"x" * 2040)
    assert journal.get("a") == b"x" * 2040
    with pytest.raises(JournalError, match="a is too long"):
        journal.put("a", b"y" * 2041)
    assert journal.get("a") == b"x" * 2040
