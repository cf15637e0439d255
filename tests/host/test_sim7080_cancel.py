"""A caller that gives up, at any word of the dialogue, leaves nothing held: line, radio, sockets, PWRKEY."""

import asyncio

import pytest
from at_gnss import locate
from at_line import ModemError

from sim.modem import Fault
from tests.host.fakes import end
from tests.host.modem_rig import ModemRig, play

# From cold to bytes that came back and a look at the sky: where a caller may give up. Both sides of each word are
# tried: before the answer is there, and just after it.
WORDS = (
    "supply",
    "pwrkey",
    "AT",
    "AT+IPR?",
    "ATE0",
    "AT+CACFG",
    "AT+CFUN?",
    "AT+CGNSPWR?",
    "AT+CGDCONT=",
    "AT+CFUN=0",
    "AT+CFUN=1",
    "AT+CPIN?",
    "AT+CEREG?",
    "AT+CGREG?",
    "AT+CNACT?",
    "AT+CNACT=0,1",
    "AT+CACLOSE=1",
    "AT+CASSLCFG=1",
    "AT+CCLK=",
    "AT+CFSINIT",
    "AT+CFSGFIS",
    "AT+CFSWFILE",
    'AT+CSSLCFG="CONVERT"',
    "AT+CFSTERM",
    'AT+CSSLCFG="SSLVERSION"',
    "AT+CAOPEN",
    "AT+CASEND=1",
    "AT+CASEND=1,",
    "AT+CARECV",
    "AT+CNACT=0,0",
    "AT+CGNSPWR=1",
    "AT+CGNSINF",
    "AT+CGNSPWR=0",
)


async def day(rig: ModemRig) -> None:
    await rig.attach()
    stream = await rig.open()
    try:
        await rig.ping(stream, bytes(600))
    finally:
        await stream.close()
    await locate(rig.driver, 3000, lambda: False)


@pytest.mark.parametrize("word", WORDS)
def test_who_gives_up_leaves_nothing_held(tmp_path, monkeypatch, word):
    async def story(rig: ModemRig) -> None:
        # 60 ms: a payload is on its way. 700 ms: a result is, or a key is pressed.
        for wait_s in (0, 0.005, 0.03, 0.06, 0.7):
            # A cold start again, with wrong settings.
            rig.stored(apn1="wrong")
            rig.modem.supply(False)
            await asyncio.sleep(1)
            rig.driver._powered = rig.driver._ready = False
            rig.driver.failures = 0
            if word in ("AT+CFUN=0", "AT+CFUN=1"):
                rig.modem.supply(True)
                await rig.boot()
                rig.driver._powered = True
            rig.bearer._cid, rig.bearer._life = 0, None
            rig.modem._parts.files.content.clear()
            task = asyncio.create_task(day(rig))
            if word == "supply":
                await asyncio.sleep(0.1)
            elif word == "pwrkey":
                while not rig.keys or not rig.keys[-1]:
                    await asyncio.sleep(0.01)
            else:
                said = asyncio.Event()
                rig.wire.watch[word] = said.set
                await asyncio.wait([task, asyncio.create_task(said.wait())], return_when="FIRST_COMPLETED")
                assert said.is_set(), f"{word} was never said: {task}"
            await asyncio.sleep(wait_s)
            await end([task])
            # What goes on by itself looks at the cell, for 2 s; an open prompt swallows that for some more.
            await asyncio.sleep(8)
            rig.idle()
            took_s = await rig.recover()
            assert took_s < 32
            rig.idle()

    play(tmp_path, monkeypatch, story, limit_s=1000)


def test_a_supply_cut_that_is_given_up_is_made_again_in_full(tmp_path, monkeypatch):
    """HD 3.2.2: 2 s, else the module may stay as it was."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        await asyncio.sleep(3)
        rig.modem.fault(Fault("dead"))
        with pytest.raises(ModemError):
            await rig.driver.command("AT")
        with pytest.raises(ModemError):
            await rig.driver.command("AT")
        task = asyncio.create_task(rig.attach())
        await asyncio.sleep(0.5)
        await end([task])
        await rig.attach()
        *_, (off_ms, off), (on_ms, on) = rig.supply
        assert (off, on) == (False, True)
        assert on_ms - off_ms >= 2000

    play(tmp_path, monkeypatch, story)
