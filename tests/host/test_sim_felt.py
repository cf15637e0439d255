"""The motor's pulses back to signals: each pattern, a little late, and one right behind another."""

import itertools

import pytest

from sim.felt import Finger, patterns

GAP_MS = 150


def felt(*played, late_ms=0):
    """Play signals one right behind the other, each switch `late_ms` later than it should be."""
    finger, t_ms = Finger(), 1000
    for name in played:
        for number, span in enumerate(patterns()[name]):
            finger.edge(1 - number % 2, t_ms)
            t_ms += span + late_ms
        finger.edge(0, t_ms)
        t_ms += GAP_MS + late_ms
    return [name for _, name in finger.felt()]


@pytest.mark.parametrize("late_ms", [0, 9])
@pytest.mark.parametrize("name", patterns())
def test_each_signal_is_recognised(name, late_ms):
    assert felt(name, late_ms=late_ms) == [name]


@pytest.mark.parametrize("pair", list(itertools.product(patterns(), repeat=2)), ids=" ".join)
def test_a_signal_right_behind_another_is_not_taken_for_a_third(pair):
    assert felt(*pair) == list(pair)
