"""The emulated modem's power: PWRKEY, supply, boot URCs, sleep, PSM; and the radio it shares with its GNSS."""

import re

import pytest

from sim import nmea_play
from sim.common import SimError
from sim.modem import Coverage, Modem
from tests.host.modem_bench import OK, Host, cme, said, speak, until, urc

READY, SMS = urc("+CPIN: READY"), urc("SMS Ready")
DOWN = urc("NORMAL POWER DOWN")
OFF = "+CGNSINF: 0" + "," * 17


def test_it_is_deaf_until_it_is_pressed_for_a_second(tmp_path):
    async def story(host: Host) -> None:
        host.modem.pwrkey(999)
        host.send(b"AT\r")
        await host.silence(5000)
        assert host.modem.state == "off"
        host.modem.pwrkey(1000)
        await until(lambda: host.modem.state == "booting")
        host.send(b"AT\r")
        await host.expect(READY + SMS)
        assert host.modem.counters["lost_from_host"] == 6
        assert await host.ask("AT") == b"AT\r" + OK

    speak(tmp_path, "off", story, speed=100)


def test_a_second_pulse_switches_it_off_and_needs_its_length(tmp_path):
    """Sheet 2.2 trap 1: the pulse toggles."""

    async def story(host: Host) -> None:
        host.modem.pwrkey(1199)
        await host.silence(3000)
        host.modem.pwrkey(1200)
        await host.expect(DOWN)
        assert host.modem.state == "stopping"
        host.send(b"AT\r")
        await host.silence(500)
        await until(lambda: host.modem.state == "off")

    speak(tmp_path, "on", story, speed=100)


def test_between_off_and_on_it_needs_two_seconds(tmp_path):
    async def story(host: Host) -> None:
        host.send(b"AT+CPOWD=1\r")
        await host.expect(DOWN)
        await until(lambda: host.modem.state == "off")
        host.modem.pwrkey(1000)
        await host.silence(1500)
        assert host.modem.state == "off"
        await host.silence(1000)
        host.modem.pwrkey(1000)
        await host.expect(READY + SMS)
        assert host.modem.starts == 2

    speak(tmp_path, "on", story, speed=100)


def test_cpowd_0_says_nothing(tmp_path):
    async def story(host: Host) -> None:
        host.send(b"AT+CPOWD=0\r")
        await until(lambda: host.modem.state == "off")
        await host.silence(3000)

    speak(tmp_path, "on", story)


def test_held_for_12_s_it_resets(tmp_path):
    async def story(host: Host) -> None:
        host.modem.pwrkey_level(True)
        await host.expect(READY + SMS)
        host.modem.pwrkey_level(False)
        await host.silence(1000)
        assert host.modem.starts == 2

    speak(tmp_path, "on", story)


def test_as_a_wire_pwrkey_starts_it(tmp_path):
    async def story(host: Host) -> None:
        host.modem.pwrkey_level(True)
        await host.silence(1100)
        host.modem.pwrkey_level(False)
        await host.expect(READY + SMS)

    speak(tmp_path, "off", story)


RESTARTS = {
    "2.5 CFUN=1,1: OK after the reset": ("AT+CFUN=1,1", OK + urc("RDY") + urc("+CFUN: 1") + READY + SMS),
    "2.5 CFUN=6: OK, a garbage byte": (
        "AT+CFUN=6",
        OK + b"\xff" + urc("RDY") + urc("+CFUN: 1") + READY + SMS,
    ),
    "2.5 CREBOOT": ("AT+CREBOOT", OK + b"\xff" + urc("RDY") + urc("+CFUN: 1") + READY + SMS),
}


@pytest.mark.parametrize(("command", "heard"), RESTARTS.values(), ids=RESTARTS.keys())
def test_restarts_at_a_fixed_rate_say_rdy_and_forget_what_is_not_saved(tmp_path, command, heard):
    async def story(host: Host) -> None:
        assert await host.ask('AT+IPR=115200;+CMNB=1;+CCLK="26/11/21,12:00:00+08"') == OK
        host.send(command.encode() + b"\r")
        await host.expect(heard)
        assert await host.ask("AT+CMEE?") == b"AT+CMEE?\r" + said("+CMEE: 0")
        assert await host.ask("ATE0;+CMNB?") == b"ATE0;+CMNB?\r" + said("+CMNB: 1")
        assert re.search(rb'"80/01/06,\d\d:\d\d:\d\d\+08"', await host.ask("AT+CCLK?"))

    speak(tmp_path, "on", story)


def test_a_stored_level_is_there_again_but_0_is_not(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+IPR=115200;+CFUN=4") == OK
        await host.ask("AT+CFUN=0")
        host.modem.supply(False)
        host.modem.supply(True)
        host.modem.pwrkey(1000)
        await host.expect(urc("RDY") + urc("+CFUN: 4") + READY + SMS)

    speak(tmp_path, "on", story)


def test_without_supply_it_is_silent_and_forgets_nothing_that_is_saved(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+CMNB=1") == OK
        host.modem.supply(False)
        host.modem.pwrkey(1000)
        host.send(b"AT\r")
        await host.silence(5000)
        assert host.modem.state == "off"
        host.modem.supply(True)
        await host.silence(5000)
        host.modem.pwrkey(1000)
        await host.expect(READY + SMS)
        assert await host.ask("ATE0;+CMNB?") == b"ATE0;+CMNB?\r" + said("+CMNB: 1")

    speak(tmp_path, "on", story)


def test_in_sleep_the_uart_is_dead_and_only_ri_tells(tmp_path):
    """Sheet 3.8: CSCLK=1 and DTR high; DTR low wakes, and the network stayed."""
    rings: list[int] = []

    async def story(host: Host) -> None:
        assert await host.ask("AT+CFGRI=1;+CEREG=1;+CSCLK=1") == OK
        host.modem.dtr(True)
        assert host.modem.state == "asleep"
        host.send(b"AT\r")
        host.modem.set_coverage(None)
        host.modem.set_coverage(Coverage())
        await host.silence(10_000)
        assert rings
        assert host.modem.counters["lost_urcs"] == len(rings)
        host.modem.dtr(False)
        await until(lambda: host.modem.state == "on")
        assert await host.ask("AT+CEREG?") == said("+CEREG: 1,1")

    speak(tmp_path, "net", story, on_ring=lambda: rings.append(1))


def test_csclk_with_dtr_high_sleeps_behind_its_ok(tmp_path):
    async def story(host: Host) -> None:
        host.modem.dtr(True)
        assert await host.ask("AT") == OK
        assert await host.ask("AT+CSCLK=1") == OK
        host.send(b"AT\r")
        await host.silence(1000)

    speak(tmp_path, "on", story)


def test_psm_is_entered_after_its_timer_and_left_by_pwrkey_with_a_fresh_state(tmp_path):
    """Sheet 3.6. T3324 4 s and T3412 10 min here; registered again in 2.4 s."""

    async def story(host: Host) -> None:
        assert await host.ask('AT+CPSMSTATUS=1;+CPSMS=1,,,"00000001","00000010"') == OK
        await host.expect(urc('+CPSMSTATUS: "ENTER PSM"'))
        await until(lambda: host.modem.state == "psm")
        host.send(b"AT\r")
        await host.silence(5000)
        host.modem.pwrkey(500)
        await host.expect(READY + SMS)
        await host.expect(urc('+CPSMSTATUS: "EXIT PSM"'))
        assert await host.ask("ATE0;+CNACT?") != b""
        await host.expect(urc('+CPSMSTATUS: "ENTER PSM"'))

    speak(tmp_path, "net", story)


@pytest.mark.parametrize("cell", [Coverage(psm=False)], ids=["the network has none"])
def test_psm_that_is_not_granted_is_not_entered(tmp_path, cell):
    async def story(host: Host) -> None:
        assert await host.ask('AT+CPSMSTATUS=1;+CPSMS=1,,,"00000001","00000010"') == OK
        assert await host.ask("AT+CPSMRDP") == said("+CPSMRDP: 1,4,600,0,0,3600")
        await host.silence(60_000)

    speak(tmp_path, "net", story, coverage=cell)


# GNSS and the shared radio


WHERE = rb"1,1,20\d{12}\.000,50\.4\d{5},30\.5\d{5},170\.000,"
COARSE = re.compile(rb"\r\n\+CGNSINF: " + WHERE + rb",,1,,3\.5,3\.6,1\.0,,3,,11864\.6,143\.4\r\n")
FIX = re.compile(rb"\r\n\+CGNSINF: " + WHERE + rb"4\.32,\d+\.\d\d,1,,1\.1,1\.5,1\.1,,9,,8\.8,12\.3\r\n")
SHOT = re.compile(
    rb"\r\n\+SGNSCMD: 1,\d\d:\d\d:\d\d,50\.4\d{4},30\.5\d{4},8\.80,170\.00,170\.00,"
    rb"0\.00,0\.00,0x[0-9a-f]{11},311\r\n"
)


def test_a_fix_takes_its_time_is_coarse_first_and_has_18_fields(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+CFUN=4") == OK
        assert await host.ask("AT+CGNSPWR=1") == OK
        await host.silence(25_000)
        assert b"9999000.0" in await host.ask("AT+CGNSINF")
        await host.silence(5_000)
        coarse = await host.ask("AT+CGNSINF")
        assert re.search(
            rb"1,1,20\d{12}\.000,50\.4\d{5},30\.5\d{5},170\.000,,,1,,3\.5,3\.6,1\.0,,3,,11864\.6,143\.4\r",
            coarse,
        )
        await host.silence(2000)
        fix = await host.ask("AT+CGNSINF")
        assert FIX.match(fix)
        assert fix.split(b"\r\n")[1].count(b",") == 17
        assert await host.ask("AT+CGNSPWR=0") == OK
        assert await host.ask("AT+CGNSINF") == said(OFF)
        # Hot: at once; before it the old place, wrong by far.
        assert await host.ask("AT+CGNSPWR=1") == OK
        assert b"1,,,50.500000,30.500000,-37.592,,,1,,0.1,0.1,0.1,,,,155976.0,6000.0" in await host.ask(
            "AT+CGNSINF"
        )
        await host.silence(4000)
        assert FIX.match(await host.ask("AT+CGNSINF"))

    speak(tmp_path, "net", story, speed=100, gnss="walk")


def test_beside_a_context_the_gnss_does_not_fix(tmp_path):
    """Sheet 8.3."""

    async def story(host: Host) -> None:
        assert await host.ask("AT+CGNSPWR=1") == OK
        await host.silence(100_000)
        assert b"9999000.0" in await host.ask("AT+CGNSINF")
        assert await host.ask("AT+CNACT=0,0") == OK
        await host.expect(urc("+APP PDP: 0,DEACTIVE"))
        await host.silence(35_000)
        assert FIX.match(await host.ask("AT+CGNSINF"))

    speak(tmp_path, "pdp", story, gnss="walk")


def test_beside_the_gnss_no_data_pass_and_no_context_comes_up(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+CGNSPWR=1") == OK
        assert await host.ask('AT+CAOPEN=0,0,"TCP","127.0.0.1",1') == said("+CAOPEN: 0,21")
        assert await host.ask("AT+CNACT=0,0") == OK
        await host.expect(urc("+APP PDP: 0,DEACTIVE"))
        assert await host.ask("AT+CNACT=0,1") == OK
        await host.expect(urc("+APP PDP: 0,DEACTIVE"))
        assert await host.ask("AT+CFUN=4") == OK
        assert await host.ask("AT+CFUN=1") == OK
        await host.silence(30_000)
        assert await host.ask("AT+CEREG?") == said("+CEREG: 0,2")
        assert await host.ask("AT+CGNSPWR=0") == OK
        await host.silence(10_000)
        assert await host.ask("AT+CEREG?") == said("+CEREG: 0,1")
        assert await host.ask("AT+CNACT=0,1") == OK
        await host.expect(urc("+APP PDP: 0,ACTIVE"))

    speak(tmp_path, "pdp", story)


def test_one_shot_says_where_when_and_goes_off(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask('AT+SGNSCFG="TIMEOUT",60000') == OK
        assert await host.ask("AT+SGNSCMD=1,0") == OK
        await host.expect(SHOT)
        assert await host.ask("AT+CGNSINF") == said(OFF)
        assert await host.ask("AT+SGNSCMD=2,1000,0,0") == cme(3)

    speak(tmp_path, "net", story, gnss="walk")


def test_a_recording_feeds_it_and_one_without_a_fix_is_refused(tmp_path):
    rmc = nmea_play.sentence(b"GNRMC,081411.000,A,5541.1955,S,03737.2872,W,10.00,301.29,260514,,,A")
    gga = nmea_play.sentence(b"GPGGA,081411.000,5541.1956,S,03737.2877,W,1,5,4.87,66.2,M,14.5,M,,")
    gsa = nmea_play.sentence(b"GNGSA,A,3,03,19,27,13,,,,,,,,,2.75,2.56,1.00")

    async def story(host: Host) -> None:
        assert await host.ask("AT+CGNSPWR=1") == OK
        await host.silence(35_000)
        heard = await host.ask("AT+CGNSINF")
        assert b",-55.686592,-37.621453,66.200,18.52,301.29,1,,4.9,2.8,1.0,,5,,39.0,54.5\r" in heard

    speak(tmp_path, "net", story, gnss=rmc + gga + gsa)
    with pytest.raises(SimError, match="no fix in the recording"):
        Modem(tmp_path / "m", gnss=nmea_play.no_fix())
