"""faults/replays.py: nobody acts on a frame twice, and who does is found."""

import pytest

from faults.planted import REPLAYS
from tests.host.faults_cli import campaign


def test_nobody_acts_on_a_frame_that_was_said_before():
    status, result, said = campaign("replays", "--count", "1000")
    assert (status, result["violations"]) == (0, 0), said
    # Every frame in seven situations, and the random ones.
    assert result["runs"] > 7 * 15 + 1000


def test_a_world_is_the_same_each_time():
    first, second = (campaign("replays", "--seed", "3")[1] for _ in range(2))
    assert first["runs"] == second["runs"] == 200


@pytest.mark.parametrize("fault", REPLAYS)
def test_who_acts_on_one_is_found(fault):
    status, result, said = campaign("replays", "--break", fault, "--count", "1000")
    assert status == 1
    assert result["violations"] > 0
    assert "replay: python -m faults.replays --seed" in said
