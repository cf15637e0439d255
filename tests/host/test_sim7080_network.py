"""SIM, registration, PDP context: what is wrong is said, and it works when that is over. By sheet number."""

import asyncio

import pytest
from at_line import ModemError

from sim.modem import Card, Coverage, Fault
from tests.host.modem_rig import ModemRig, play


async def told(rig: ModemRig, why: str, within_s: float) -> None:
    """attach() fails so, and holds nothing."""
    began_ms = rig.ms
    with pytest.raises(ModemError) as caught:
        await rig.attach()
    assert str(caught.value) == why
    assert rig.ms - began_ms < within_s * 1000
    rig.idle()


NO_SIM = "AT+CPIN?: no SIM card (one that is put in after power-on is not seen)"
PIN = "the SIM asks for its PIN: switch the PIN off"
DENIED = "the network refuses this SIM: not activated, or no LTE-M in its contract"
NO_CELL = "no network found: coverage, antenna, bands, APN?"
APN = "the network refuses the APN obereg"


@pytest.mark.parametrize("fault", ["sim_absent", "sim_pin"])
def test_a_sim_that_is_not_usable_is_named_and_works_after_the_ladders_restart(tmp_path, monkeypatch, fault):
    """Sheet 2.2 trap 5: a card is seen at a start only."""

    async def story(rig: ModemRig) -> None:
        rig.modem.fault(Fault(fault))
        for _ in range(2):
            await told(rig, NO_SIM if fault == "sim_absent" else PIN, 30)
        rig.modem.faults.clear(fault)
        assert await rig.recover() < 120

    play(tmp_path, monkeypatch, story)


def test_a_sim_that_wants_its_puk_is_named(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        rig.modem._parts.slot._tries = 0
        await told(rig, "+CPIN: SIM PUK", 30)
        rig.modem.set_card(Card())
        assert await rig.recover() < 120

    play(tmp_path, monkeypatch, story, card=Card(pin="1234"))


def test_a_registration_that_is_denied_is_named_at_once(tmp_path, monkeypatch):
    """Sheet 3 trap 5: searching on is useless."""

    async def story(rig: ModemRig) -> None:
        rig.modem.fault(Fault("denied"))
        await told(rig, DENIED, 25)
        await told(rig, DENIED, 1)
        rig.modem.faults.clear("denied")
        assert await rig.recover() < 60

    play(tmp_path, monkeypatch, story)


def test_no_coverage_is_named_at_the_deadline_and_a_cell_is_taken_when_it_comes(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        began_ms = rig.ms
        await told(rig, NO_CELL, 241)
        assert rig.ms - began_ms >= 239000
        task = asyncio.create_task(rig.attach())
        await asyncio.sleep(100)
        rig.modem.set_coverage(Coverage(roaming=True))
        began_ms = rig.ms
        await task
        assert rig.ms - began_ms < 13000
        # Not found for minutes: what was tried next is a restart.
        assert "AT+CFUN=1,1" in rig.commands()

    play(tmp_path, monkeypatch, story, coverage=None)


def test_a_wrong_apn_is_named_whether_it_keeps_from_registering_or_from_a_context(tmp_path, monkeypatch):
    """Sheet 3 trap 3, 3.3."""

    async def story(rig: ModemRig) -> None:
        rig.modem.set_coverage(Coverage(apns=("other",)))
        await told(rig, NO_CELL, 241)
        # Registered, but the context is refused.
        rig.modem.set_coverage(Coverage())
        rig.modem.fault(Fault("pdp_refused", count=0))
        await told(rig, APN, 30)
        rig.modem.faults.clear()
        assert await rig.recover() < 60

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_context_may_be_refused_some_times(tmp_path, monkeypatch, count):
    """Sheet 3.3 trap 2: first DEACTIVE, then ACTIVE is normal."""

    async def story(rig: ModemRig) -> None:
        rig.modem.fault(Fault("pdp_refused", count=count))
        await rig.attach()
        assert rig.commands().count("AT+CNACT=0,1") == count + 1

    play(tmp_path, monkeypatch, story)


def test_a_context_that_says_nothing_ends_at_its_deadline(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        rig.wire.watch["AT+CNACT=0,1"] = lambda: monkeypatch.setattr(
            rig.modem._parts.pdp, "_raise", lambda index: asyncio.sleep(0)
        )
        await told(rig, "AT+CNACT: no context within 60 s", 90)
        monkeypatch.undo()

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("text", ["+CEREG: 1", '+CEREG: 5,"07D0","00","B7A0AA",7', "+CREG: 1", "+CEREG: 0"])
def test_a_registration_told_unasked_is_no_answer(tmp_path, monkeypatch, text):
    """Sheet 3: +CEREG: stat as URC, n,stat as answer; a URC never ends the search."""

    async def story(rig: ModemRig) -> None:
        for name in ("CEREG", "CGREG"):
            rig.modem.fault(Fault("urc", on=name, text=text, where="before", count=0))
        task = asyncio.create_task(rig.attach())
        await asyncio.sleep(60)
        assert not task.done()
        rig.modem.set_coverage(Coverage())
        await task

    play(tmp_path, monkeypatch, story, coverage=None)


@pytest.mark.parametrize("mode", [1, 2, 4])
def test_a_registration_with_more_fields_is_read_too(tmp_path, monkeypatch, mode):
    """Sheet 3: n=2 adds the cell, n=4 its timers."""

    async def story(rig: ModemRig) -> None:
        await rig.boot()
        rig.wire.write(b"AT+CEREG=%d\r" % mode)
        await asyncio.sleep(0.5)
        await rig.attach()

    play(tmp_path, monkeypatch, story, powered=True)


def test_a_setting_that_was_read_wrongly_is_read_again(tmp_path, monkeypatch):
    """Found by faults.modem: one byte of an answer, +CMNB: 3 read as 1, kept it from any cell for 240 s."""

    async def story(rig: ModemRig) -> None:
        rig.modem.tap(lambda data: data.replace(b"+CMNB: 3", b"+CMNB: 1") if not rig.utc else data)
        began_ms = rig.ms
        rig.wire.watch["AT+CEREG?"] = lambda: rig.modem.tap(lambda data: data)
        await rig.attach()
        assert "AT+CMNB=1" in rig.commands()
        assert 60_000 < rig.ms - began_ms < 90_000

    play(tmp_path, monkeypatch, story)


def test_what_helps_does_not_end_what_begins_to_work(tmp_path, monkeypatch):
    """Found by faults.modem: the second session's new context ended the first, which was just being opened."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        rig.driver.failures = 2
        opening = asyncio.create_task(rig.open())
        await asyncio.sleep(2)  # of 3
        await rig.attach()
        assert "AT+CNACT=0,0" not in rig.commands()
        stream = await opening
        await rig.attach()
        assert "AT+CNACT=0,0" not in rig.commands()
        await rig.ping(stream)
        assert rig.driver.failures == 0
        # Bytes that come no more are another matter, and so is a connection that never had any.
        silent = await rig.open()
        rig.driver.failures = 2
        await asyncio.sleep(15)
        await rig.attach()
        assert "AT+CNACT=0,0" in rig.commands()
        for each in (stream, silent):
            await each.close()
        rig.idle()

    play(tmp_path, monkeypatch, story)
