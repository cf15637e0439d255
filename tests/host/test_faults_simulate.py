"""faults/simulate.py: a world is the same each time, the real firmware breaks no invariant, a broken one does."""

import json
import re
import subprocess
import sys

import pytest

from faults import ROOT, mutants


def simulate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "faults.simulate", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_no_world_breaks_an_invariant_and_every_world_has_a_press():
    ended = simulate("--count", "40", "--no-mutants", "--json", "-")
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert (result["campaign"], result["runs"], result["violations"]) == ("simulate", 40, 0)
    assert result["gestures"] >= 40
    assert result["restarts"] > 10


def test_a_seed_is_the_same_world_in_every_process():
    first, second = simulate("--seed", "4"), simulate("--seed", "4")
    assert first.returncode == 0
    assert "all is well again" in first.stderr
    assert first.stderr == second.stderr


def test_another_seed_is_another_world():
    assert simulate("--seed", "4").stderr != simulate("--seed", "5").stderr


# What is found at the first seeds; the campaign itself tries them all.
QUICK = ("settled_on_puback", "felt_on_puback", "old_coming_believed", "epoch_not_persisted")


@pytest.mark.parametrize("name", QUICK)
def test_a_break_is_found_with_its_log_and_how_to_replay_it(name):
    ended = simulate("--mutant", name)
    assert ended.returncode == 1
    assert re.search(r"^I\d: ", ended.stdout, re.MULTILINE)
    assert "replay: python -m faults.simulate --seed" in ended.stdout
    assert f"--mutant {name}" in ended.stdout


@pytest.mark.parametrize("name", mutants.names())
def test_every_mutant_still_knows_the_code_that_it_breaks(name):
    assert mutants.edited(name)


def test_a_mutant_whose_code_is_gone_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "stale.py").write_text('"""Stale."""\nEDITS = [("outbox", "no such line", "x")]\n')
    monkeypatch.setattr(mutants, "FOLDER", tmp_path)
    with pytest.raises(mutants.MutantError, match="stale: outbox does not hold this once"):
        mutants.apply("stale")
