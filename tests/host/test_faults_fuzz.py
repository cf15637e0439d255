"""faults/fuzz.py: every parser ends each input with a result or its one error, and one that does not is found."""

import pytest

from faults.fuzz import NAMES
from faults.inputs import Inputs, corpus
from faults.planted import FUZZ
from tests.host.faults_cli import campaign


def test_every_parser_takes_whatever_comes_on_both_interpreters():
    status, result, said = campaign("fuzz", "--count", "1000")
    assert (status, result["violations"]) == (0, 0), said
    assert result["parsers"] == dict.fromkeys(NAMES, 1000)
    assert result["on_micropython"] == 200 * 9


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_the_same_for_a_seed_and_others_for_another(name):
    first, again, other = Inputs(name, 1), Inputs(name, 1), Inputs(name, 2)
    made = [first() for _ in range(50)]
    assert made == [again() for _ in range(50)]
    assert made != [other() for _ in range(50)]
    assert len(set(made)) > 30
    assert corpus(name)


# By the parser that it breaks
PARSER = {
    "at": "at",
    "at_gnss": "fix",
    "nmea": "nmea",
    "cbor": "cbor",
    "alert": "claims",
    "desk.token": "desk",
    "mqtt": "mqtt",
    "config": "config",
    "incident": "record",
    "sim7080": "line",
}


@pytest.mark.parametrize("fault", FUZZ)
def test_a_parser_that_does_not_is_found(fault):
    status, result, said = campaign(
        "fuzz", "--break", fault, "--parser", PARSER[FUZZ[fault][0]], "--count", "4000"
    )
    assert status == 1
    assert result["violations"] > 0
    assert "replay: python -m faults.fuzz --seed" in said
