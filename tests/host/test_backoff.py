"""When to try again."""

import random

from backoff import Backoff
from hypothesis import given
from hypothesis import strategies as st

# What link.py does with a message: again at 0, 2, 5, 10, 20, 30 s, then every 60 s +- 20 %.
TABLE_MS = (2000, 3000, 5000, 10000, 10000)


def test_the_table_is_exact_and_in_order() -> None:
    backoff = Backoff(TABLE_MS, 60000, 20, random.getrandbits)
    assert [backoff.delay_ms() for _ in TABLE_MS] == list(TABLE_MS)
    assert backoff.attempt == 5


def test_after_the_table_the_last_delay_goes_on_without_end() -> None:
    backoff = Backoff(TABLE_MS, 60000, 20, random.Random(1).getrandbits)
    delays = [backoff.delay_ms() for _ in range(5000)][5:]
    assert min(delays) < 48100
    assert max(delays) > 71900
    assert all(48000 <= delay <= 72000 for delay in delays)
    assert abs(sum(delays) / len(delays) - 60000) < 600


def test_the_jitter_reaches_both_ends_and_no_further() -> None:
    assert Backoff((), 60000, 20, lambda bits: 0).delay_ms() == 48000
    assert Backoff((), 60000, 20, lambda bits: 24000).delay_ms() == 72000
    assert Backoff((), 60000, 20, lambda bits: 24001).delay_ms() == 48000


def test_without_jitter_the_tail_is_exact() -> None:
    backoff = Backoff((1,), 7, 0, random.getrandbits)
    assert [backoff.delay_ms() for _ in range(4)] == [1, 7, 7, 7]


def test_reset_starts_over() -> None:
    backoff = Backoff(TABLE_MS, 60000, 20, random.getrandbits)
    for _ in range(9):
        backoff.delay_ms()
    backoff.reset()
    assert backoff.attempt == 0
    assert [backoff.delay_ms() for _ in TABLE_MS] == list(TABLE_MS)


def test_two_tags_do_not_call_in_step() -> None:
    first, second = (Backoff((), 60000, 20, random.Random(seed).getrandbits) for seed in (1, 2))
    assert [first.delay_ms() for _ in range(5)] != [second.delay_ms() for _ in range(5)]


@given(st.integers(0, 10**6), st.integers(0, 100), st.integers(0, (1 << 24) - 1))
def test_a_delay_is_never_negative_nor_out_of_its_range(tail_ms: int, percent: int, bits: int) -> None:
    delay = Backoff((), tail_ms, percent, lambda n: bits >> (24 - n)).delay_ms()
    jitter = tail_ms * percent // 100
    assert tail_ms - jitter <= delay <= tail_ms + jitter
