"""What the modem says by itself: the time, the cell, and that it has begun anew."""

import asyncio
import calendar

import pytest

from sim.modem import Fault
from tests.host.modem_rig import ModemRig, play


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('*PSUTTZ: 26/04/11,03:19:19","+32",0', (2026, 4, 11, 3, 19, 19)),
        ('*PSUTTZ: 2026,4,11,3,19,19,"+32",0', (2026, 4, 11, 3, 19, 19)),
        ("*PSUTTZ: 26/13/11,03:19:19", None),
        ("*PSUTTZ: 26/04/31,03:19:19", None),
        ("*PSUTTZ: 26/04/11,24:19:19", None),
        ("*PSUTTZ: 26/04/11,03:60:19", None),
        ("*PSUTTZ: 26/04/11,03:19:60", None),
        ("*PSUTTZ: 26/04/11,99:99:99", None),
        ("*PSUTTZ: 26/04/11,03", None),
        ("*PSUTTZ: ", None),
    ],
)
def test_the_networks_time_is_told_in_both_forms_and_nonsense_is_not(tmp_path, monkeypatch, text, fields):
    """Sheet 3.5."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        rig.utc.clear()
        rig.modem.fault(Fault("urc", text=text))
        await asyncio.sleep(0.1)
        assert rig.utc == ([calendar.timegm(fields)] if fields else [])
        # Without anything behind it, it is no URC that the driver knows.
        assert rig.log.counters.get("modem.malformed", 0) == (not fields and len(text) > 9)

    play(tmp_path, monkeypatch, story)


def test_the_cell_is_known_soon_after_attaching_although_two_fields_come_first(tmp_path, monkeypatch):
    """Sheet 3.1: `+CPSI: LTE CAT-M1,Online` with nothing behind, right after registration."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        await asyncio.sleep(0.1)
        assert rig.driver.cell is None
        await asyncio.sleep(2.1)
        assert rig.driver.cell == [1, 1, 0x07D0, 12024586, -89]

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize(
    ("said", "cell"),
    [
        (
            "LTE CAT-M1,Online,238-01,0x07D0,12024586,465,EUTRAN-BAND20,6350,5,5,-16,-83,-53,10",
            [238, 1, 0x7D0, 12024586, -83],
        ),
        (
            "LTE NB-IOT,Online,238-01,0x07D0,12024586,465,EUTRAN-BAND20,6350,0,0,-16,-83,-53,10",
            [238, 1, 0x7D0, 12024586, -83],
        ),
        ("GSM,Online,460-01,0x144f,46576,97 EGSM 900,-52,0,39-65", "old"),
        ("NO SERVICE,Online", "old"),
        ("LTE CAT-M1,Online", "old"),
        ("LTE CAT-M1,Online,23801,0x07D0,12024586,465,EUTRAN-BAND20,6350,5,5,-16,-83,-53,10", "old"),
        ("LTE CAT-M1,Online,238-01,0x0?D0,12024586,465,EUTRAN-BAND20,6350,5,5,-16,-83,-53,10", "old"),
        ("LTE CAT-M1,Online,238-01,0x07D0,,465,EUTRAN-BAND20,6350,5,5,-16,-83,-53,10", "old"),
    ],
)
def test_a_cell_that_cannot_be_read_leaves_the_last_one(tmp_path, monkeypatch, said, cell):
    async def story(rig: ModemRig) -> None:
        async def answer(text, *_):
            return ["+CPSI: " + said]

        rig.driver.cell = "old"
        rig.driver.command = answer
        await rig.driver.look()
        assert rig.driver.cell == cell

    play(tmp_path, monkeypatch, story)


EVENTS = {
    "sim_restart": "the network has ended the context",
    "reset": "the modem has restarted",
    "pdp_drop": "the network has ended the context",
}


@pytest.mark.parametrize("event", EVENTS)
def test_what_the_modem_loses_by_itself_ends_its_connections_at_once(tmp_path, monkeypatch, event):
    """Sheet 2.2 trap 4, 3.3 trap 7: nothing else says so."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        reader = asyncio.create_task(stream.read(512))
        await asyncio.sleep(5)
        began_ms = rig.ms
        rig.modem.fault(Fault(event))
        with pytest.raises(OSError, match=EVENTS[event]):
            await reader
        assert rig.ms - began_ms < 4000
        await stream.close()
        rig.idle()
        assert await rig.recover() < 30
        assert rig.driver.failures == 0

    play(tmp_path, monkeypatch, story)


def test_who_switches_the_modem_off_is_noticed(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        rig.modem.pwrkey(1300)
        with pytest.raises(OSError, match=r"the (modem|network) has"):
            await stream.read(512)
        await stream.close()
        assert await rig.recover() < 60
        assert rig.modem.starts == 2

    play(tmp_path, monkeypatch, story)
