"""faults/modem.py: no answer of the modem that goes wrong costs an alert, and a driver that lets one do so is found."""

import asyncio
from pathlib import Path

import app
import clock
import journal
import pytest

from faults.planted import MODEM
from tests.host.fakes import Now, run
from tests.host.faults_cli import campaign

# Where each deliberate fault shows.
SLICES = {
    "a command has no deadline": ("--dialogue", "live", "--kind", "missing", "--count", "4"),
    "the line is not freed after a refusal": ("--dialogue", "live", "--kind", "error"),
    "a refusal is an OK": ("--dialogue", "live", "--kind", "error", "--count", "4"),
    "the ladder ends with CFUN": ("--dialogue", "live", "--kind", "dead", "--count", "2"),
    "settings are read once": ("--dialogue", "cold", "--kind", "garbled-digit", "--count", "45"),
    "CADATAIND is trusted for ever": ("--dialogue", "live", "--kind", "cadataind-lost"),
    "a socket that fails is not given back": ("--dialogue", "recovery", "--kind", "missing", "--count", "1"),
}


def test_whatever_answer_goes_wrong_the_alert_arrives():
    status, result, said = campaign("modem", "--count", "60")
    assert (status, result["violations"], result["runs"]) == (0, 0, 60), said
    assert all(took_s < 180 for took_s, _ in result["slowest"].values())


def test_two_that_go_wrong_do_not_either():
    # A prompt that does not come, and an answer to what was asked about it that comes late.
    status, result, said = campaign("modem", "--dialogue", "live", "--kind", "reset", "--count", "1")
    assert (status, result["runs"]) == (0, 1), said
    seed = result["slowest"]["live"][1]
    status, result, said = campaign("modem", "--seed", seed, "--then", "40:late-10")
    assert (status, result["violations"]) == (0, 0), said
    assert "'late-10'" in said


@pytest.mark.parametrize("fault", MODEM)
def test_a_driver_that_lets_it_is_found(fault):
    status, result, said = campaign("modem", "--break", fault, *SLICES[fault])
    assert status == 1
    assert result["violations"] > 0
    assert "replay: python -m faults.modem --seed" in said


@pytest.fixture
def firmware(monkeypatch):
    """What a run changes in the firmware's modules for good is as it was for the tests behind it."""
    for module, names in (
        (clock, ("ticks_ms", "time", "due")),
        (journal, ("os",)),
        (app, ("gc", "_TICK_MS", "_BUTTON_MS")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(journal, "open", open, raising=False)


def play(tmp_path: Path, dialogue: str, plan: dict[int, str]):
    import faults.dialogue.play

    return faults.dialogue.play.play(dialogue, plan, tmp_path)


def test_a_run_is_the_same_each_time(tmp_path, firmware):
    plan = {7: "garbled", 12: "late-1"}
    first, second = (play(tmp_path, "live", plan) for _ in range(2))
    assert first.acted == ["garbled", "late-1"]
    assert first.log == second.log
    assert first.violations == []


def test_the_dialogues_are_what_they_are_called(tmp_path, firmware):
    """Each begins and ends where it should, and the ladder has all its rungs."""
    said = {name: "\n".join(play(tmp_path, name, {}).log) for name in ("cold", "live", "recovery", "ladder")}
    assert "modem: our CA is stored" in said["cold"].split("presses")[1]
    assert "session open" not in said["live"].split("presses", 1)[1]
    assert "APP PDP: 0,ACTIVE" in said["recovery"].split("presses", 1)[1]
    assert "supply off" not in said["recovery"]
    ladder = said["ladder"].split("presses", 1)[1]
    assert [ladder.count(text) for text in ("RDY", "supply off")] == [2, 1]


ANSWERS = (
    b"\r\nOK\r\n",
    b"\r\n+CPIN: READY\r\n\r\nOK\r\n",
    b"\r\n>",
    b"\r\n+CARECV: 4,@\x02\x00\x03\r\n\r\nOK\r\n",
    b"\r\n+CADATAIND: 1\r\n",
)


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_kind_changes_something(answer):
    """A fault that does nothing would prove nothing."""
    from faults.dialogue.kinds import DEAF, ON_ANSWERS
    from faults.dialogue.line import Wire
    from faults.dialogue.tap import Tap
    from sim.modem import Modem

    async def main() -> None:
        for name, kind in ON_ANSWERS.items():
            wire = Wire()
            modem = Modem(wire.modem)
            tap = Tap(modem, wire, {0: (name, kind)}, "any")
            tap.begin()
            now_s = asyncio.get_running_loop().time()
            said = tap(answer)
            if name.startswith("late"):
                assert wire.held_until_s == now_s + int(name[5:])
            elif name != "pdp-dropped":
                assert said != answer, name
            if name == "mute-75":
                assert tap(answer) == b""
                assert tap.over_s == now_s + 75
            elif name == "dead":
                assert tap.over_s is None
                tap.supply_cut()
                assert tap.over_s == now_s
            elif name == "swapped":
                assert tap(b"next") == b"next" + answer
            elif not name.startswith("late"):
                assert tap.over_s == now_s
        assert DEAF not in ON_ANSWERS

    run(Now(), main())
