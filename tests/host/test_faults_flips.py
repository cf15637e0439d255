"""faults/flips.py: no frame with a bit turned is accepted, and a receiver that accepts one is found."""

import pytest

from faults.planted import FLIPS
from tests.host.faults_cli import campaign


def test_no_frame_with_a_bit_or_two_turned_is_accepted():
    status, result, said = campaign("flips", "--count", "2000")
    assert (status, result["violations"]) == (0, 0), said
    # Some 20 frames of 80 to 140 bytes.
    assert result["frames"] >= 15
    assert result["single"] > 12_000
    assert result["double"] >= 2000


@pytest.mark.parametrize("fault", FLIPS)
def test_a_receiver_that_accepts_one_is_found(fault):
    status, result, said = campaign("flips", "--break", fault)
    assert status == 1
    assert result["violations"] > 0
    assert "replay: python -m faults.flips --seed" in said
