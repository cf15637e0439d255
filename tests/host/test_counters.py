"""firmware/counters.py: no two messages ever have one identity. DESIGN §6."""

import random

import pytest
from counters import Counters, pack_epoch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from journal import Journal, JournalError

from tests.host.fakes import FakeNVS, FakeRTCMemory


def rot(data: bytes) -> bytes:
    return data[:5] + bytes((data[5] ^ 1,)) + data[6:]


class Stores:
    """NVS, the real Journal on files, RTC memory. Both stores have seen epoch 41."""

    def __init__(self, folder) -> None:
        self.nvs = FakeNVS()
        self.journal = Journal(str(folder / "data"))
        self.rtc = FakeRTCMemory()
        for store in (self.nvs, self.journal):
            store.put("epoch", pack_epoch(41))

    def start(self) -> Counters:
        return Counters(self.nvs, self.journal, self.rtc, random.Random(5).getrandbits)

    def kept(self) -> list[bytes | None]:
        return [self.nvs.get("epoch"), self.journal.get("epoch")]

    def lose(self, store: str, how: str) -> None:
        """A store loses its record, or a bit of it rots."""
        place = getattr(self, store)
        if how == "rot":
            place.put("epoch", rot(place.get("epoch")))
        elif store == "nvs":
            self.nvs.records.clear()
        else:
            self.journal.remove("epoch")


@pytest.fixture
def stores(tmp_path) -> Stores:
    return Stores(tmp_path)


def test_a_start_without_rtc_memory_opens_the_next_epoch_in_both_stores_before_any_message(stores):
    counters = stores.start()
    assert stores.kept() == [pack_epoch(42), pack_epoch(42)]
    assert counters.next_cti().hex() == "0000002a00000001"
    assert counters.next_cti().hex() == "0000002a00000002"
    assert not counters.regenerated


def test_after_a_reset_the_epoch_stays_and_seq_goes_on(stores):
    stores.start().next_cti()
    counters = stores.start()
    assert counters.next_cti().hex() == "0000002a00000002"
    assert stores.kept() == [pack_epoch(42), pack_epoch(42)]


def test_rtc_memory_knows_a_number_before_the_caller_does(stores):
    stores.start()
    written = []
    stores.rtc.write = lambda data: written.append(data)  # type: ignore[method-assign]
    counters = stores.start()
    written.clear()
    cti = counters.next_cti()
    assert [cti in data for data in written] == [True]


def test_what_else_lies_in_rtc_memory_does_not_matter(stores):
    stores.start().next_cti()
    stores.rtc.data += bytes(2031)
    assert stores.start().next_cti().hex() == "0000002a00000002"


@pytest.mark.parametrize("at", range(16))
def test_an_rtc_record_with_any_changed_byte_means_a_new_epoch(stores, at):
    stores.start().next_cti()
    data = bytearray(stores.rtc.data)
    data[at] ^= 0x10
    stores.rtc.data = bytes(data)
    assert stores.start().next_cti().hex() == "0000002b00000001"


@pytest.mark.parametrize("size", range(16))
def test_an_rtc_record_cut_short_means_a_new_epoch(stores, size):
    stores.start().next_cti()
    stores.rtc.data = stores.rtc.data[:size]
    assert stores.start().next_cti().hex() == "0000002b00000001"


def test_an_rtc_record_of_an_older_epoch_is_not_believed(stores):
    stores.start().next_cti()
    for store in (stores.nvs, stores.journal):
        store.put("epoch", pack_epoch(50))
    assert stores.start().next_cti().hex() == "0000003300000001"


@pytest.mark.parametrize("store", ["nvs", "journal"])
def test_of_two_stores_the_larger_counts(stores, store):
    getattr(stores, store).put("epoch", pack_epoch(900))
    assert stores.start().epoch == 901
    assert stores.kept() == [pack_epoch(901), pack_epoch(901)]


@pytest.mark.parametrize("how", ["lost", "rot"])
@pytest.mark.parametrize("rtc", [True, False])
@pytest.mark.parametrize("store", ["nvs", "journal"])
def test_one_lost_store_is_mended_at_the_next_start(stores, store, rtc, how):
    """Also at a start that RTC memory vouches for: the other store may be the next to go."""
    stores.start()
    stores.lose(store, how)
    if not rtc:
        stores.rtc.data = b""
    counters = stores.start()
    assert not counters.regenerated
    assert stores.kept() == [pack_epoch(counters.epoch)] * 2


def test_with_both_stores_lost_an_epoch_is_made_up_and_said(stores):
    for store in ("nvs", "journal"):
        stores.lose(store, "lost")
    counters = stores.start()
    assert counters.regenerated
    assert counters.epoch == 1 << 31 | random.Random(5).getrandbits(31)
    assert stores.kept() == [pack_epoch(counters.epoch)] * 2


def test_a_made_up_epoch_is_said_for_as_long_as_it_lasts(stores):
    for store in ("nvs", "journal"):
        stores.lose(store, "lost")
    stores.start()
    assert stores.start().regenerated
    stores.rtc.data = b""
    assert stores.start().regenerated
    assert stores.kept() == [pack_epoch((1 << 31 | random.Random(5).getrandbits(31)) + 1)] * 2


def test_with_both_stores_lost_rtc_memory_still_knows(stores):
    stores.start().next_cti()
    for store in ("nvs", "journal"):
        stores.lose(store, "lost")
    counters = stores.start()
    assert (counters.epoch, counters.seq, counters.regenerated) == (42, 1, False)
    assert stores.kept() == [pack_epoch(42)] * 2


def test_one_store_that_refuses_is_enough_no_more(stores, monkeypatch):
    stores.nvs.refuses = True
    assert (stores.start().epoch, stores.start().regenerated) == (42, False)
    assert stores.journal.get("epoch") == pack_epoch(42)


def test_when_both_stores_refuse_each_start_makes_an_epoch_up(stores, monkeypatch):
    """An epoch that is nowhere written would be used twice."""
    stores.nvs.refuses = True
    monkeypatch.setattr(Journal, "put", lambda self, name, data: (_ for _ in ()).throw(JournalError("full")))
    bits = random.Random(5).getrandbits
    epochs = set()
    for _ in range(5):
        stores.rtc.data = b""
        counters = Counters(stores.nvs, stores.journal, stores.rtc, bits)
        assert counters.regenerated
        epochs.add(counters.epoch)
    assert len(epochs) == 5


def test_after_the_last_epoch_one_is_made_up(stores):
    stores.nvs.put("epoch", pack_epoch((1 << 32) - 1))
    counters = stores.start()
    assert counters.regenerated
    assert 1 << 31 <= counters.epoch < 1 << 32


@pytest.mark.parametrize("bits", [0, (1 << 31) - 1])
def test_a_made_up_epoch_is_above_every_counted_one(stores, bits):
    """So the desk's mark is passed at once, unless counters were lost before; and it never looks like a counted one."""
    for store in ("nvs", "journal"):
        stores.lose(store, "lost")
    assert Counters(stores.nvs, stores.journal, stores.rtc, lambda _: bits).epoch == (1 << 31) + bits


def test_trust_in_the_clock_is_kept_with_the_counters(stores):
    counters = stores.start()
    assert not counters.clock_trusted
    counters.clock_trusted = True
    counters.save()
    assert stores.start().clock_trusted
    stores.rtc.data = b""
    assert not stores.start().clock_trusted


class PowerCut(BaseException):
    """No `except Exception` survives it."""


class Fused(FakeNVS):
    """A store at whose n-th put the power goes, before or after the record is there: a put is atomic."""

    puts_left: int | None = None
    after = False

    def put(self, name: str, data: bytes) -> None:
        if Fused.puts_left is not None:
            Fused.puts_left -= 1
            if Fused.puts_left < 0:
                if Fused.after:
                    super().put(name, data)
                raise PowerCut
        super().put(name, data)


class Counting(RuleBasedStateMachine):
    """Starts, resets, power cuts at any write, losses of one store at a time: no identity is ever given twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stores = (Fused(), Fused())
        for store in self.stores:
            store.put("epoch", pack_epoch(1))
        self.rtc = FakeRTCMemory()
        self.bits = random.Random(3).getrandbits
        self.counters: Counters | None = None
        self.given: list[bytes] = []
        self.whole = True  # both stores, since the last start that came to its end

    @rule(puts=st.none() | st.integers(0, 3), after=st.booleans())
    def start(self, puts, after):
        Fused.puts_left, Fused.after = puts, after
        self.counters = None
        try:
            self.counters = Counters(*self.stores, self.rtc, self.bits)
            self.whole = True
        except PowerCut:
            self.rtc.data = b""
        Fused.puts_left = None

    @precondition(lambda self: self.counters)
    @rule(times=st.integers(1, 3))
    def say(self, times):
        for _ in range(times):
            self.given.append(self.counters.next_cti())

    @rule(garbage=st.binary(max_size=20))
    def power_cut(self, garbage):
        """RTC memory comes back empty or as noise."""
        self.counters = None
        self.rtc.data = garbage

    @precondition(lambda self: self.whole)
    @rule(which=st.sampled_from((0, 1)), how=st.sampled_from(("lost", "rot")))
    def one_store_is_lost(self, which, how):
        self.whole = False
        records = self.stores[which].records
        if how == "lost":
            records.clear()
        else:
            records["epoch"] = rot(records["epoch"])

    @invariant()
    def no_identity_was_given_twice(self):
        assert len(self.given) == len(set(self.given))

    @invariant()
    def numbers_only_rise(self):
        assert self.given == sorted(self.given)

    @invariant()
    def no_epoch_was_made_up(self):
        assert not (self.counters and self.counters.regenerated)


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
