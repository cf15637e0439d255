"""faults/cuts.py and faults/damage.py: they run, they judge, and each deliberate fault of the firmware is found."""

import json
import subprocess
import sys
import zlib

import pytest

from faults.breaks import CUTS, DAMAGE, BreakError, broken
from faults.cuts import ca, settings
from sim.provision import config_file


def campaign(name: str, *arguments: str) -> tuple[int, dict]:
    """Run `python -m faults.NAME`; return its exit status and what it wrote as JSON."""
    result = subprocess.run(
        [sys.executable, "-m", f"faults.{name}", "--json", "-", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
    )
    return result.returncode, json.loads(result.stdout)


def test_no_cut_loses_an_alert_and_runs_are_counted():
    status, result = campaign("cuts", "--count", "120")
    assert (status, result["violations"]) == (0, 0), result["found"]
    assert result["runs"] == 80
    assert result["cuts"] >= 110
    assert result["pairs"] == 80


def test_no_damage_silences_the_tag():
    status, result = campaign("damage", "--count", "60")
    assert (status, result["violations"], result["runs"]) == (0, 0, 60), result["found"]


@pytest.mark.parametrize("fault", ["an ack's level is not kept", "RTC memory is written at the start only"])
def test_a_fault_in_what_is_kept_is_found_and_can_be_replayed(fault):
    status, result = campaign("cuts", "--count", "120", "--break", fault)
    assert status == 1
    seed = str(result["found"][0]["seed"])
    status, again = campaign("cuts", "--seed", seed, "--break", fault)
    assert status == 1
    assert again["found"][0] == result["found"][0]
    assert campaign("cuts", "--seed", seed)[0] == 0


@pytest.mark.parametrize("fault", ["the spare is in NVS only", "an epoch that is lost ends it"])
def test_a_tag_that_gives_up_on_damage_is_found(fault):
    status, result = campaign("damage", "--count", "6", "--break", fault)
    assert status == 1
    assert result["violations"] >= 1


@pytest.mark.parametrize(
    ("table", "name"), [(table, name) for table in (CUTS, DAMAGE) for name in table], ids=str
)
def test_every_fault_still_has_its_place_in_the_firmware(table, name):
    [text] = broken(table, name).values()
    assert table[name][2] in text
    compile(text, name, "exec")


def test_a_fault_without_a_place_is_an_error_not_a_pass():
    with pytest.raises(BreakError, match="0 places"):
        broken({"x": ("tag", "no such line", "")}, "x")


def test_settings_are_the_same_at_each_call():
    """How long they are decides how often flash is written, and so which cut a number means."""
    assert settings(0) == settings(0) != settings(1)
    assert ca(1) == ca(1)


@pytest.mark.parametrize(("tls", "more"), [(True, b"CA"), (False, b"")])
def test_the_check_in_config_json_is_of_the_text_before_it_and_of_the_ca(tls, more):
    text = config_file({"board": "tag-a", "broker": {"host": "h", "tls": tls}}, b"CA")
    before, _, rest = text.partition(b', "crc": ')
    assert json.loads(text)["crc"] == zlib.crc32(before + more)
    assert rest.endswith(b"}")
