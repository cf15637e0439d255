"""The receiver that shares its radio with LTE: what counts as a fix (sheet 8.1), and who has the radio (8.3)."""

import asyncio
import calendar

import pytest
from at_gnss import locate, parse
from at_line import ModemError

from sim.modem import Coverage, Fault
from tests.host.fakes import end
from tests.host.modem_rig import ModemRig, play

GOOD = "1,1,20220225020342.000,50.450100,30.523400,239.132,0.00,,0,,1.6,1.9,1.0,,6,,17.1,24.0"
NEW = GOOD.replace("2022", "2026")
FIX = (504501000, 305234000, 36, calendar.timegm((2026, 2, 25, 2, 3, 42)), 77)


def changed(*changes: tuple[int, str]) -> str:
    """NEW with other fields, numbered as in the sheet (from 1)."""
    fields = NEW.split(",")
    for number, text in changes:
        fields[number - 1] = text
    return ",".join(fields)


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        (NEW, FIX),
        (changed((4, "-33.868820"), (5, "-70.123456")), (-338688200, -701234560, *FIX[2:])),
        (changed((4, "-0.000001"), (5, "0.5")), (-10, 5000000, *FIX[2:])),
        (changed((4, "50"), (5, "30.52340009")), (500000000, 305234000, *FIX[2:])),
        (changed((4, "90.000000"), (5, "-180.000000")), (900000000, -1800000000, *FIX[2:])),
        (changed((9, "1"), (8, "211.00"), (6, "-12.0")), FIX),
        (changed((17, "73.9"), (15, "4"), (11, "19.9")), (*FIX[:2], 148, *FIX[3:])),
        (changed((17, "0.4")), (*FIX[:2], 2, *FIX[3:])),
    ],
)
def test_a_good_fix_is_taken_without_floats(line, fix):
    assert tuple(parse("+CGNSINF: " + line, 77)) == fix


@pytest.mark.parametrize(
    "line",
    [
        "1,,,0.000000,0.000000,-18.000,,,1,,0.1,0.1,0.1,,,,9999000.0,6144.0",  # none
        "1,,,50.4,30.5,-37.592,,,1,,0.1,0.1,0.1,,,,155976.0,6000.0",  # an old one, trap 1
        "0" + "," * 17,  # off
        "1,1,20260225020342.000,50.450100,30.523400,239.1,,,1,,3.5,3.6,1.0,,3,,11864.6,143.4",  # trap 2
        changed((2, "0")),
        changed((2, "")),
        changed((1, "0")),
        GOOD,  # 2022: before this was built
        changed((3, "19800106000000.000")),  # trap 4: a fix before the date is known
        changed((3, "20261325020342.000")),
        changed((3, "20260230020342.000")),
        changed((3, "23000101000000.000")),
        changed((3, "")),
        changed((3, "2026")),
        changed((3, "2026022502x342.000")),
        changed((11, "0.1")),
        changed((11, "0.2")),
        changed((11, "20.0")),
        changed((11, "500.0")),
        changed((11, "")),
        changed((15, "3")),
        changed((15, "")),
        changed((15, "x")),
        changed((17, "75.0")),
        changed((17, "11864.6")),
        changed((17, "")),
        changed((17, "-5.0")),
        changed((4, "")),
        changed((5, "")),
        changed((4, "-")),
        changed((4, ".")),
        changed((4, "50,45")),
        changed((4, "5?.450100")),
        changed((4, "50.45?100")),
        changed((4, "90.000001")),
        changed((5, "-180.000001")),
        changed((5, "--30.0")),
        ",".join(NEW.split(",")[:16]),
        "1,1",
        "",
    ],
)
def test_what_is_not_to_be_trusted_is_no_fix(line):
    assert parse("+CGNSINF: " + line, 77) is None
    assert parse(line, 77) is None


def test_every_prefix_of_a_line_is_no_fix_or_one_of_its_own_digits():
    """A line that is cut must never put the child elsewhere."""
    for size in range(len(NEW)):
        fix = parse("+CGNSINF: " + NEW[:size], 77)
        assert fix is None or fix[:2] == FIX[:2]


async def lent(rig: ModemRig) -> asyncio.Task:
    """A search that goes on."""
    task = asyncio.create_task(locate(rig.driver, 60000, lambda: False))
    while not rig.modem._parts.gnss.on:
        await asyncio.sleep(0.1)
    return task


async def given_back(rig: ModemRig, within_s: float = 1) -> None:
    """The receiver is off, and LTE works at once."""
    async with asyncio.timeout(within_s):
        while rig.modem._parts.gnss.on or rig.driver.radio.locked():
            await asyncio.sleep(0.01)
    assert await rig.recover() < 5
    rig.idle()


def test_a_search_takes_the_radio_and_gives_it_back_with_a_fix(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        said = len(rig.wire.said)
        began_ms = rig.ms
        fix = await locate(rig.driver, 60000, lambda: False)
        # Cold 30 s, and the first ones are useless.
        assert 32000 <= rig.ms - began_ms < 35000
        assert fix.accuracy_m <= 150
        assert abs(fix.lat_e7) > 0
        assert fix.utc_s > 1700000000
        commands = rig.commands(said)
        assert commands[:2] == ["AT+CNACT=0,0", "AT+CGNSPWR=1"]
        assert commands[-1] == "AT+CGNSPWR=0"
        assert 30 <= commands.count("AT+CGNSINF") <= 34
        with pytest.raises(OSError, match=r"the receiver has the radio|ended the context"):
            await stream.read(512)
        await stream.close()
        await given_back(rig)
        # Hot now.
        began_ms = rig.ms
        assert await locate(rig.driver, 60000, lambda: False)
        assert rig.ms - began_ms < 6000

    play(tmp_path, monkeypatch, story, gnss="walk")


@pytest.mark.parametrize("gnss", [None, "walk"])
def test_a_sky_that_tells_nothing_ends_at_the_limit(tmp_path, monkeypatch, gnss):
    """Sheet 8.1 trap 3: it may never run, whatever CGNSPWR says."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        rig.modem.fault(Fault("gnss_run_zero"))
        began_ms = rig.ms
        assert await locate(rig.driver, 60000, lambda: False) is None
        assert 60000 <= rig.ms - began_ms < 60600
        await given_back(rig)

    play(tmp_path, monkeypatch, story, gnss=gnss)


def test_a_touch_takes_the_radio_back_at_once(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        stop = False
        task = asyncio.create_task(locate(rig.driver, 60000, lambda: stop))
        await asyncio.sleep(10)
        stop = True
        began_ms = rig.ms
        assert await task is None
        assert rig.ms - began_ms < 300
        await given_back(rig)

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("after_s", [0, 0.005, 0.03, 0.06, 0.1, 1.21, 1.23, 5])
def test_a_search_that_is_cancelled_gives_the_radio_back(tmp_path, monkeypatch, after_s):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        await asyncio.sleep(3)
        task = asyncio.create_task(locate(rig.driver, 60000, lambda: False))
        await asyncio.sleep(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await given_back(rig)

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("command", ["AT+CGNSPWR=1", "AT+CGNSINF"])
@pytest.mark.parametrize("fault", ["error", "no_answer"])
def test_a_search_that_is_refused_gives_the_radio_back(tmp_path, monkeypatch, command, fault):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        on = command.split("=")[0]
        rig.wire.watch[command] = lambda: rig.modem.fault(Fault(fault, on=on))
        with pytest.raises(ModemError, match=r"AT.CGNS"):
            await locate(rig.driver, 60000, lambda: False)
        await given_back(rig)

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("fault", ["error", "no_answer", "garbled", "cut"])
def test_a_receiver_that_could_not_be_switched_off_does_not_starve_lte(tmp_path, monkeypatch, fault):
    """Sheet 8.3: with it on no data pass, so that is tried again first."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        rig.wire.watch["AT+CGNSPWR=0"] = lambda: rig.modem.fault(Fault(fault, on="+CGNSPWR"))
        assert await locate(rig.driver, 3000, lambda: False) is None
        assert not rig.driver.radio.locked()
        assert rig.modem._parts.gnss.on == (fault == "error")
        assert await rig.recover() < 5
        assert not rig.modem._parts.gnss.on
        # Cancelled in the middle of switching it off: the same.
        task = await lent(rig)
        rig.wire.watch["AT+CGNSPWR=0"] = lambda: rig.modem.fault(Fault("error", on="+CGNSPWR"))
        await end([task])
        assert await rig.recover() < 5
        assert not rig.modem._parts.gnss.on

    play(tmp_path, monkeypatch, story)


def test_a_search_waits_until_lte_is_attached_and_lte_until_the_search_is_over(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        attaching = asyncio.create_task(rig.attach())
        await asyncio.sleep(1)
        search = asyncio.create_task(locate(rig.driver, 5000, lambda: False))
        await asyncio.sleep(15)
        assert not attaching.done()
        assert "AT+CGNSPWR=1" not in rig.commands()
        rig.modem.set_coverage(Coverage())
        await attaching
        await asyncio.sleep(1)
        assert rig.modem._parts.gnss.on
        again = asyncio.create_task(rig.attach())
        await asyncio.sleep(2)
        assert not again.done()
        assert await search is None
        await again
        assert not rig.modem._parts.gnss.on

    play(tmp_path, monkeypatch, story, coverage=None)


def test_a_modem_that_is_not_awake_is_not_searched_with(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        with pytest.raises(ModemError, match="the modem is not awake"):
            await locate(rig.driver, 60000, lambda: False)
        assert rig.wire.said == []
        rig.idle()

    play(tmp_path, monkeypatch, story)
