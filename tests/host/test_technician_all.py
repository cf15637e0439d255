"""
`all` at simulated boards: real esptool, mpremote, MicroPython, a modem, a broker and the desk (make tray: all of it).

One board goes through without a fault; beside it the cable of another is pulled while it is commissioned.
"""

import asyncio
import json

import pytest

from faults.tray_cuts import Cutter, Plan
from faults.tray_hand import Hand, on_flash
from faults.tray_secrets import shown
from sim.cable.world import Table
from tools.flasher.report import STEPS


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """What was found at the end of it all."""
    folder = tmp_path_factory.mktemp("table")

    async def story() -> dict:
        table = Table(folder)
        try:
            await table.start()
            whole = await table.place("whole")
            # It presses at about half of that time.
            cutter = Cutter(table, {"commission": 4.0}, "")
            hand = Hand(table)
            hand.at[str(whole.port)] = whole

            async def twice() -> list:
                return [await hand.all("--label", "pdf"), await hand.all()]

            plan = Plan(0, "commission", "cable", 0.5)
            (first, again), wrong = await asyncio.gather(twice(), cutter.run(plan))
            await whole.board.stop()
            return {
                "first": first,
                "wrong": wrong,
                "again": again,
                "flash": on_flash(whole.flash),
                "cutter": cutter,
                "rows": json.loads((folder / "tray" / "tray.json").read_text()),
                "texts": {
                    path.name: path.read_bytes() for path in (folder / "tray").rglob("*") if path.is_file()
                },
                "registrations": [
                    json.loads(path.read_text()) for path in (folder / "registrations").glob("*.json")
                ],
            }
        finally:
            await table.stop()

    return asyncio.run(story())


@pytest.mark.timeout(300)
def test_a_blank_board_ends_in_service_with_everything_in_the_report(played):
    first = played["first"]
    assert first.status == 0, first.events[-3:]
    assert [event["step"] for event in first.events if "how" in event and "step" in event] == list(STEPS)
    assert played["flash"].service
    row = next(row for row in played["rows"] if row["result"] == "in service" and "whole" in row["port"])
    assert row["tag"] == played["flash"].identity[:8].hex()
    assert (row["imei"], row["micropython"]) == ("860000000000017", "1.28.0")
    assert row["iccid"].startswith("8900")
    assert row["figures"]["registration"]["rsrp_dbm"] == -89
    assert set(row["steps"]) == set(STEPS)
    assert ["Did you feel two short vibrations?", "yes"] in row["answers"]
    assert f"{row['tag']}.pdf" in played["texts"]


def test_a_tag_in_service_is_known_by_its_flash_and_left_alone(played):
    again = played["again"]
    assert again.status == 0, again
    assert again.last("said").startswith("0 in service, 1 before, 0 refused")
    rows = [row for row in played["rows"] if "whole" in row["port"]]
    assert len(rows) == 1


def test_a_cable_pulled_while_it_is_commissioned_costs_a_second_run_and_nothing_else(played):
    assert played["wrong"] == []
    rows = [row for row in played["rows"] if "cut0" in row["port"]]
    assert [row["result"] for row in rows] == ["refused", "in service"]
    assert (rows[0]["step"], rows[0]["error"]) == ("commission", "port-gone")
    assert rows[1]["steps"]["burn"]["how"] == rows[1]["steps"]["check"]["how"] == "done before"


def test_no_piece_of_any_key_is_in_what_all_wrote(played):
    keys = [
        bytes.fromhex(each[name]) for each in played["registrations"] for name in ("up", "down", "broker")
    ]
    keys += [played["flash"].identity[8:], *played["cutter"].keys]
    assert len(keys) == 8
    texts = {**played["texts"], **played["cutter"].texts, "first": played["first"].said.encode()}
    assert shown(keys, texts) == []
