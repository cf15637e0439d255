"""faults/__main__.py: every campaign has its turn, and what one of them says is not lost among the others."""

from pathlib import Path

import pytest

from faults.__main__ import ALONE, PAIRED, REAL, Runs

FAULTS = Path(__file__).parents[2] / "faults"


def test_every_campaign_is_run():
    campaigns = {path.stem for path in FAULTS.glob("*.py") if "finish(" in path.read_text()}
    # The technician's tray and the host's parsers have targets of their own.
    assert set(PAIRED + ALONE + REAL) == campaigns - {"common", "tray", "coverage"}


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ({"cuts": 0, "loss": 0}, 0),
        ({"cuts": 0, "loss": 3}, 3),
        ({"cuts": 1, "loss": 3}, 1),
        ({"cuts": 3, "modem": -9, "loss": 0}, -9),
    ],
)
def test_what_was_found_weighs_more_than_what_was_not_run(statuses, status, capsys):
    runs = Runs(False, 1)
    runs.statuses, runs.seconds = statuses, dict.fromkeys(statuses, 1.0)
    assert runs.status() == status
    said = capsys.readouterr().out
    for name, each in statuses.items():
        assert ("NOT RUN" in said.split(name)[1].split(",")[0]) == (each == 3)
        assert ("FAILED" in said.split(name)[1].split(",")[0]) == (each not in (0, 3))


def test_after_a_stop_none_is_begun():
    runs = Runs(False, 1)
    runs.stop()
    runs.run("no such campaign")
    assert runs.statuses == {}
    assert runs.status() == 130


def test_a_campaign_that_fails_is_told_with_what_it_said(capsys):
    runs = Runs(False, 1)
    runs.run("no_such_campaign")
    assert runs.statuses["no_such_campaign"] == 1
    assert "No module named faults.no_such_campaign" in capsys.readouterr().out
