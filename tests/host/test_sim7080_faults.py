"""
Whatever is wrong with the answer to whatever command: in time it either works or is a ModemError or an OSError, nothing
is held, and trying again brings bytes back soon.
"""

import asyncio

import pytest
from at_gnss import locate
from at_line import ModemError

from sim.modem import Fault
from tests.host.modem_rig import ModemRig, play
from tests.host.test_sim7080_deadlines import CFUN, COMMANDS, QUIET, SIMPLE

FAULTS = {
    "late by 3 s": ("late", {"ms": 3000}),
    "late by 30 s": ("late", {"ms": 30000}),
    "cut": ("cut", {}),
    "garbled": ("garbled", {}),
    "garbled at its beginning": ("garbled", {"index": 3}),
    "doubled": ("doubled", {}),
    "out of order": ("out_of_order", {}),
    "error": ("error", {}),
    "error with a code": ("error", {"code": 20}),
    "urc in the middle": ("urc", {}),
    "urc of a restart": ("urc", {"text": "+CPIN: READY", "where": "before"}),
    "urc of a registration": ("urc", {"text": "+CEREG: 3", "where": "before"}),
    "reset": ("reset", {}),
}
# What makes it say these.
WRONG = {
    "AT+CFUN=": {"cfun": 4},
    "AT+CNMP=": {"cnmp": 2},
    "AT+CMNB=": {"cmnb": 3},
    "AT+CLTS=": {"clts": 0},
    "AT+IPR=": {"ipr": 9600},
    "AT+CGDCONT=": {"apn1": "wrong"},
    "AT+CNCFG=": {"cncfg0": (1, "wrong", "", "", 0)},
    "AT+CBANDCFG=": {"bands_cat_m": (3,)},
    "AT+CGREG?": {"apn1": "wrong"},
}
WORDS = {**COMMANDS, **QUIET, "AT+CFUN=": CFUN, "AT+IPR=": CFUN}
del WORDS["AT+CFUN=0"], WORDS["AT+CFUN=1"]
# The slowest of all is a modem that is mute for 30 s while it is set up: 4 s until that is noticed, then its supply is
# cut and all begins anew.
RECOVERED_S = 60


async def day(rig: ModemRig, command: str) -> None:
    """The dialogue with this word in it; the modem is on, its settings are wrong if that word is about them."""
    rig.driver._ready = False
    rig.bearer._life, rig.bearer._upload, rig.bearer._cid = None, None, 0
    rig.modem._parts.files.content.clear()
    rig.modem._parts.pdp.restart()
    rig.stored(**WRONG.get(command, {}))
    stream = await rig.call()
    await stream.close()
    await locate(rig.driver, 1500, lambda: False)


@pytest.mark.parametrize("fault", FAULTS)
def test_any_command_may_go_wrong_so(tmp_path, monkeypatch, fault):
    kind, options = FAULTS[fault]
    late_s = options.get("ms", 0) / 1000

    async def story(rig: ModemRig) -> None:
        await rig.boot()
        slowest = 0.0
        for command, deadline_ms in WORDS.items():
            on = "E" if command == "ATE0" else command.split("=")[0].rstrip("?")
            rig.wire.watch[command] = lambda on=on: rig.modem.fault(Fault(kind, on=on, **options))
            began_s, why = rig.now.s, ""
            try:
                await day(rig, command)
            except (ModemError, OSError) as error:
                why = str(error) or repr(error)
            assert not rig.wire.watch, f"{command} was never said: {why}"
            took_s = rig.now.s - began_s
            assert took_s < 40 + deadline_ms / 1000 + late_s, f"{command}: {took_s:.0f} s, {why}"
            rig.modem.faults.clear()
            if why or late_s:
                slowest = max(slowest, await rig.recover())
            # In step: each answer belongs to its own question.
            for text in ("AT+CSQ", "AT+CCID", "AT+CSQ"):
                (answer,) = await rig.driver.command(text)
                assert answer.startswith("+CSQ: " if text == "AT+CSQ" else "8900"), (command, text, answer)
            await asyncio.sleep(3)
            rig.idle()
        assert slowest < RECOVERED_S, f"{slowest:.0f} s"
        print(f"{fault}: bytes came back within {slowest:.0f} s")

    play(tmp_path, monkeypatch, story, limit_s=20000, powered=True, bands="3,20")


def test_a_line_that_is_noise_for_a_while_costs_a_while(tmp_path, monkeypatch):
    """Every answer garbled, for a minute: a bad contact, a wrong rate (sheet 2.2 trap 3)."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        rig.modem.fault(Fault("garbled", on="*", count=0))
        with pytest.raises((ModemError, OSError)):
            await rig.ping(stream)
        await stream.close()
        with pytest.raises(TimeoutError):
            await rig.recover(60)
        rig.modem.faults.clear()
        assert await rig.recover() < RECOVERED_S
        await asyncio.sleep(SIMPLE / 1000)
        rig.idle()

    play(tmp_path, monkeypatch, story)
