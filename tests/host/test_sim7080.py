"""The driver against the emulated modem: power and settings. Each trap by its sheet number."""

import asyncio

import pytest

from sim.modem import Fault
from tests.host.modem_rig import ModemRig, play

SET = (
    "AT+IPR=115200",
    "AT+CLTS=1",
    "AT+CNMP=38",
    "AT+CMNB=1",
    'AT+CNCFG=0,1,"obereg"',
    'AT+CGDCONT=1,"IP","obereg"',
)


def written(rig: ModemRig, since: int = 0) -> list[str]:
    """The commands that wear the modem's flash."""
    keys = ("AT+IPR=", "AT+CLTS=", "AT+CN", "AT+CMNB=", "AT+CG", "AT+CFUN=", "AT+CBANDCFG=")
    heard = rig.commands(since)
    return [text for text in heard if text.startswith(keys) and "=" in text and "CNACT" not in text]


# Power and settings


def test_a_factory_fresh_modem_is_set_up_once(tmp_path, monkeypatch):
    """Sheet 2.2, 3: what is right is read and not written again, since writing wears its flash."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        assert rig.keys == [True, False]
        assert sorted(written(rig)) == sorted(SET)
        rig.idle()
        said = len(rig.wire.said)
        rig.modem.fault(Fault("reset"))
        await asyncio.sleep(8)
        await rig.attach()
        assert rig.driver.life == 2
        assert written(rig, said) == []
        assert rig.keys == [True, False]

    play(tmp_path, monkeypatch, story)


def test_attach_is_at_once_when_nothing_has_changed(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        await asyncio.sleep(3)
        began_ms, said = rig.ms, len(rig.wire.said)
        await rig.attach()
        assert (rig.ms, len(rig.wire.said)) == (began_ms, said)

    play(tmp_path, monkeypatch, story)


def test_a_modem_that_is_on_is_never_sent_a_pulse(tmp_path, monkeypatch):
    """Sheet 2.2 traps 1 and 2: the tag restarted, the modem did not, and it keeps its network."""

    async def story(rig: ModemRig) -> None:
        await rig.boot()
        began_ms = rig.ms
        await rig.attach()
        assert rig.keys == []
        assert rig.modem.starts == 1
        assert rig.driver.life == 1
        assert rig.ms - began_ms < 17000

    play(tmp_path, monkeypatch, story, powered=True)


@pytest.mark.parametrize("pause_s", [0, 0.5, 1, 2, 3, 4])
def test_a_supply_that_was_just_switched_on_finds_a_modem_that_is_off_or_booting(
    tmp_path, monkeypatch, pause_s
):
    """The tag restarts while its modem boots: what it sends is lost, its pulse must not switch it off."""

    async def story(rig: ModemRig) -> None:
        rig.modem.pwrkey(1100)
        await asyncio.sleep(pause_s)
        await rig.attach()
        assert rig.modem.state == "on"
        assert rig.modem.starts == 1
        rig.idle()

    play(tmp_path, monkeypatch, story, powered=True)


@pytest.mark.parametrize(
    "stored",
    [
        {"cfun": 4},
        {"cfun": 7},
        {"cnmp": 2},
        {"cmnb": 3},
        {"apn1": "wrong", "pdp_type1": "IP"},
        {"cncfg0": (1, "wrong", "", "", 0)},
        {"ipr": 0},
        {"clts": 0},
        {"bands_cat_m": (3,)},
        {"cfun": 4, "cnmp": 51, "apn1": "wrong", "cmnb": 2},
    ],
    ids=str,
)
def test_wrong_settings_of_an_earlier_life_are_repaired(tmp_path, monkeypatch, stored):
    """Sheet 2.5, 3 traps 2 and 3: a stored level, mode, band or APN keeps it from any network."""
    right = {
        "ipr": 115200,
        "clts": 1,
        "cnmp": 38,
        "cmnb": 1,
        "apn1": "obereg",
        "cncfg0": (1, "obereg", "", "", 0),
        "bands_cat_m": (3, 20),
    }

    async def story(rig: ModemRig) -> None:
        rig.stored(**{**right, **stored})
        await rig.boot()
        said = len(rig.wire.said)
        # Only a restart ends CFUN=7; the ladder has one.
        assert await rig.recover() < (60 if stored == {"cfun": 7} else 30)
        names = [text.split("=")[0] for text in written(rig, said)]
        if stored != {"cfun": 7}:
            assert len([name for name in names if name != "AT+CFUN"]) == len(
                set(stored) - {"cfun", "pdp_type1"}
            )
        said = len(rig.wire.said)
        await rig.driver._start()
        assert written(rig, said) == []

    play(tmp_path, monkeypatch, story, powered=True, bands="3,20")


@pytest.mark.parametrize("command", ["AT+CGDCONT=", "AT+CPIN?", "AT+CFUN=0", "AT+CFUN=1"])
@pytest.mark.parametrize("fault", ["cut", "error", "reset"])
def test_an_apn_whose_change_was_interrupted_is_changed_again(tmp_path, monkeypatch, command, fault):
    """Sheet 3 trap 3: it is stored and looks right, but the radio goes on with the old one until CFUN=0 and 1."""

    async def story(rig: ModemRig) -> None:
        rig.stored(apn1="wrong", cmnb=1, cnmp=38)
        await rig.boot()
        on = command.split("=")[0].rstrip("?")
        rig.wire.watch[command] = lambda: rig.modem.fault(Fault(fault, on=on))
        assert await rig.recover() < 60

    play(tmp_path, monkeypatch, story, powered=True)


@pytest.mark.parametrize(
    "before",
    [
        "AT+CASEND=0,100,10000",
        'AT+CFSINIT\rAT+CFSWFILE=3,"x",0,100,5000',
        'AT+CFSINIT\rAT+CFSWFILE=3,"x",0,100,10000',
        "AT+CGNSPWR=1",
        "AT+CGNSPWR=1\rAT+CMEE=2",
        "AT+CSQ\rAT+C",
        "ATE1\r\r\n",
    ],
)
def test_a_tag_that_restarts_in_the_middle_of_a_word_goes_on(tmp_path, monkeypatch, before):
    """Sheet 2.2 trap 2, 8.3: an open prompt, half a command, a receiver that has the radio."""

    async def story(rig: ModemRig) -> None:
        rig.stored(cnmp=38, cmnb=1, apn1="obereg", cncfg0=(1, "obereg", "", "", 0))
        await rig.boot()
        await asyncio.sleep(10)
        if "CASEND" in before:
            rig.wire.write(b"AT+CNACT=0,1\r")
            await asyncio.sleep(2)
            rig.wire.write(b'AT+CAOPEN=0,0,"TCP","localhost",%d\r' % rig.peer.port)
            await asyncio.sleep(3)
        for line in before.split("\r"):
            # The last one without its CR, where it is cut.
            end = b"" if line == "AT+C" else b"\r"
            rig.wire.write(line.encode() + end)
            await asyncio.sleep(0.1)
        began_ms = rig.ms
        await rig.call()
        assert rig.ms - began_ms < 40000
        assert rig.modem.starts == 1

    play(tmp_path, monkeypatch, story, powered=True, ca_der=None)
