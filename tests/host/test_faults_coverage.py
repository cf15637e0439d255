"""faults/coverage.py: what it feeds, and that it says so without atheris. The breeding itself is not for CI."""

import random
import sys

import pytest

from faults import coverage


@pytest.mark.parametrize("name", coverage.PARSERS)
def test_each_parser_takes_what_it_begins_with_and_what_is_made_of_it(name, tmp_path):
    feed, seeds = coverage.PARSERS[name](tmp_path)
    assert seeds
    dice = random.Random(1)
    for seed in seeds[:10]:
        feed(seed)
        for _ in range(20):
            data = bytearray(seed)
            for _ in range(dice.randint(1, 4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            feed(bytes(data[: dice.randint(0, len(data))]))


def test_an_error_that_is_not_the_parsers_own_comes_out(tmp_path, monkeypatch):
    feed, seeds = coverage.PARSERS["faults"](tmp_path)

    def parse(line):
        raise KeyError(line)

    monkeypatch.setattr("sim.modem.faults.parse", parse)
    with pytest.raises(KeyError):
        feed(seeds[0])


def test_without_atheris_it_is_skipped_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(coverage, "available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["coverage"])
    assert coverage.main() == 0
    assert "skipped: there is no atheris" in capsys.readouterr().out
