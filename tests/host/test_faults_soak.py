"""faults/soak.py: a tag lives for long, and what goes wrong only then is found."""

import pytest

from faults.planted import SOAK
from tests.host.faults_cli import campaign


def test_two_months_are_lived_through_with_every_press_answered():
    status, result, said = campaign("soak", "--days", "61")
    assert (status, result["violations"]) == (0, 0), said
    assert result["days"] == 61
    assert result["tick_wraps"] >= 4
    assert result["packet_id_wraps"] == 1
    assert result["starts"] == 6
    assert result["presses"] >= 14
    assert result["heartbeats"] > 61 * 23


# The year in which it shows soonest, and the days that takes.
WHEN = {
    "ticks are compared without their ring": ("2038", "14"),
    "the packet id does not wrap": ("2038", "45"),
    "the epoch starts over": ("2038", "60"),
    "the clock ends in 2038": ("2038", "24"),
    "the receiver's time is believed": ("2039", "10"),
}


@pytest.mark.parametrize("fault", SOAK)
def test_what_goes_wrong_only_after_weeks_is_found(fault):
    year, days = WHEN.get(fault, ("2038", "95"))
    status, result, said = campaign("soak", "--seed", year, "--days", days, "--break", fault)
    assert status == 1
    assert result["violations"] > 0
    assert "replay: python -m faults.soak --seed" in said
