"""firmware/identity.py: who the tag is, whichever of its two stores is lost. DESIGN §4, §6."""

import pathlib

import pytest
from identity import IdentityError, derive, keep, load, pack, spare
from journal import Journal

from tests.host.fakes import FakeNVS, hkdf

TAG_ID = bytes.fromhex("0123456789abcdef")
ROOT = bytes(range(32))
ME = derive(TAG_ID, ROOT, 3)


def rot(data: bytes) -> bytes:
    return data[:5] + bytes((data[5] ^ 1,)) + data[6:]


class Stores:
    """NVS and the real Journal on files."""

    def __init__(self, folder) -> None:
        self.nvs = FakeNVS()
        self.journal = Journal(str(folder / "data"))
        for store in (self.nvs, self.journal):
            store.put("identity", pack(TAG_ID, ROOT, 3))

    def lose(self, store: str, how: str) -> None:
        """A store loses its record, or a bit of it rots."""
        place = getattr(self, store)
        if how == "rot":
            place.put("identity", rot(place.get("identity")))
        elif store == "nvs":
            self.nvs.records.clear()
        else:
            self.journal.remove("identity")


@pytest.fixture
def stores(tmp_path) -> Stores:
    return Stores(tmp_path)


def test_the_keys_are_those_of_the_protocol_page(stores):
    me = load(stores.nvs, stores.journal)
    assert me.tag == "0123456789abcdef"
    assert me.kid == TAG_ID + b"\x03"
    assert me.up == hkdf(ROOT, TAG_ID, b"obereg/1 up")
    assert me.down == hkdf(ROOT, TAG_ID, b"obereg/1 down")
    assert me.password == hkdf(ROOT, TAG_ID, b"obereg/1 broker").hex()


@pytest.mark.parametrize("how", ["lost", "rot"])
@pytest.mark.parametrize("store", ["nvs", "journal"])
def test_with_one_store_gone_the_tag_is_still_itself_and_the_store_is_mended(stores, store, how):
    stores.lose(store, how)
    assert load(stores.nvs, stores.journal) == ME
    assert getattr(stores, store).get("identity") == pack(TAG_ID, ROOT, 3)


def test_a_store_that_cannot_be_mended_is_no_obstacle(stores):
    stores.lose("nvs", "lost")
    stores.nvs.refuses = True
    assert load(stores.nvs, stores.journal) == ME


@pytest.mark.parametrize("how", ["lost", "rot"])
def test_with_both_stores_gone_it_says_that_it_must_be_provisioned(stores, how):
    stores.lose("nvs", how)
    stores.lose("journal", how)
    with pytest.raises(IdentityError, match="must be provisioned"):
        load(stores.nvs, stores.journal)


@pytest.mark.parametrize("size", [0, 1, 4, 44, 46])
def test_a_record_of_another_size_is_no_identity_even_with_a_right_crc(stores, size):
    for store in (stores.nvs, stores.journal):
        store.put("identity", pack(bytes(size - 37), ROOT, 3) if size > 37 else bytes(size))
    with pytest.raises(IdentityError):
        load(stores.nvs, stores.journal)


@pytest.mark.parametrize("store", ["nvs", "journal"])
def test_a_whole_store_is_written_no_more(stores, store):
    """Flash wears."""
    puts = []
    getattr(stores, store).put = lambda *record: puts.append(record)
    assert load(stores.nvs, stores.journal) == ME
    assert puts == []


@pytest.mark.parametrize("store", ["nvs", "journal"])
def test_any_single_changed_byte_of_a_record_is_noticed(stores, store):
    place = getattr(stores, store)
    whole = place.get("identity")
    for at in range(len(whole)):
        place.put("identity", whole[:at] + bytes((whole[at] ^ 0x40,)) + whole[at + 1 :])
        assert load(stores.nvs, stores.journal) == ME
        assert place.get("identity") == whole


def test_where_the_stores_differ_one_of_them_is_taken_and_neither_is_lost(stores):
    """It cannot happen by itself; a technician who provisions again writes both."""
    stores.journal.put("identity", pack(bytes(8), ROOT, 4))
    assert load(stores.nvs, stores.journal) == ME
    assert stores.journal.get("identity") == pack(bytes(8), ROOT, 4)


# --------------------------------------------------------------------------------------- the spare of the last settings

SETTINGS = b'{"board": "tag-a"}\0CA'


def test_the_spare_is_in_both_stores_with_the_key_and_either_gives_it_back(stores):
    assert spare(stores.nvs, stores.journal) == b""
    keep(stores.nvs, stores.journal, SETTINGS)
    for store in ("nvs", "journal"):
        both = Stores(pathlib.Path(stores.journal.folder).parent / store)
        both.nvs.records.update(stores.nvs.records)
        both.journal.put("identity", stores.journal.get("identity"))
        both.lose(store, "rot")
        assert spare(both.nvs, both.journal) == SETTINGS
        assert load(both.nvs, both.journal) == ME
        assert both.nvs.get("identity") == both.journal.get("identity")


def test_settings_that_are_kept_already_are_written_no_more(stores):
    keep(stores.nvs, stores.journal, SETTINGS)
    puts = []
    stores.nvs.put = stores.journal.put = lambda *record: puts.append(record)
    keep(stores.nvs, stores.journal, SETTINGS)
    assert puts == []
    keep(stores.nvs, stores.journal, SETTINGS + b"2")
    assert len(puts) == 2


def test_more_settings_than_nvs_can_be_read_for_leave_the_key_as_it_is(stores):
    keep(stores.nvs, stores.journal, b"{" + bytes(1899))
    before = stores.nvs.get("identity")
    assert before is not None
    keep(stores.nvs, stores.journal, b"{" + bytes(1900))
    assert stores.nvs.get("identity") == before


def test_a_store_that_refuses_the_spare_is_no_obstacle(stores):
    stores.nvs.refuses = True
    keep(stores.nvs, stores.journal, SETTINGS)
    assert spare(stores.nvs, stores.journal) == SETTINGS
    assert load(stores.nvs, stores.journal) == ME
