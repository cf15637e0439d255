"""Every command that gets no answer ends at its deadline (sheet 10) with an error that names it, and heals."""

import asyncio

import pytest
from at_gnss import locate
from at_line import ModemError

from sim.modem import Fault
from tests.host.modem_rig import ModemRig, play

# What a cold, factory-fresh modem is told until bytes have come and gone and the sky was listened to: the command as
# it begins, and after how many ms of silence it is given up.
SIMPLE, CPIN, CFUN, FILE, OPEN, SEND = 2000, 5000, 15000, 10000, 80000, 3000  # SEND: the drain's own
COMMANDS = {
    "ATE0": SIMPLE,
    "AT+CMEE=1": SIMPLE,
    "AT+CACFG=": SIMPLE,
    "AT+CFUN?": SIMPLE,
    "AT+CGNSPWR?": SIMPLE,
    "AT+CLTS?": SIMPLE,
    "AT+CLTS=": CFUN,
    "AT+CNMP?": SIMPLE,
    "AT+CNMP=": CFUN,
    "AT+CMNB?": SIMPLE,
    "AT+CMNB=": CFUN,
    "AT+CNCFG?": SIMPLE,
    "AT+CNCFG=": CFUN,
    "AT+CGDCONT?": SIMPLE,
    "AT+CGDCONT=": CFUN,
    "AT+CFUN=0": CFUN,
    "AT+CFUN=1": CFUN,
    "AT+CBANDCFG?": SIMPLE,
    "AT+CBANDCFG=": CFUN,
    "AT+CEREG?": SIMPLE,
    "AT+CGREG?": SIMPLE,
    "AT+CNACT?": SIMPLE,
    "AT+CNACT=0,1": SIMPLE,
    'AT+CASSLCFG=1,"SSL"': SIMPLE,
    "AT+CCLK=": SIMPLE,
    "AT+CFSWFILE=": FILE,
    'AT+CSSLCFG="CONVERT"': SIMPLE,
    'AT+CSSLCFG="SSLVERSION"': SIMPLE,
    'AT+CSSLCFG="SNI"': SIMPLE,
    'AT+CSSLCFG="IGNORERTCTIME"': SIMPLE,
    'AT+CASSLCFG=1,"CRINDEX"': SIMPLE,
    'AT+CASSLCFG=1,"CACERT"': SIMPLE,
    "AT+CAOPEN=": OPEN,
    "AT+CASEND=1": SIMPLE,
    "AT+CASEND=1,": SEND,
    "AT+CARECV=": SIMPLE,
    "AT+CGNSPWR=1": SIMPLE,
    "AT+CGNSINF": SIMPLE,
}
# Told nobody, for something else is tried at once or later, but not waited for longer either.
QUIET = {
    "AT+CPIN?": CPIN,
    "AT+CPSI?": SIMPLE,
    "AT+CFSINIT": SIMPLE,
    "AT+CFSGFIS=": SIMPLE,
    "AT+CFSTERM": SIMPLE,
    "AT+CACLOSE=": SIMPLE,
    "AT+CNACT=0,0": SIMPLE,
    "AT+CGNSPWR=0": SIMPLE,
}


async def day(rig: ModemRig) -> None:
    """All that a tag does with its modem. That is on already, from the factory, if the rig says powered=True."""
    if rig.powered:
        await rig.boot()
    stream = await rig.call()
    await asyncio.sleep(3)
    await stream.close()
    await locate(rig.driver, 3000, lambda: False)


def name(command: str) -> str:
    return command.split("=")[0]


class Silence:
    """A modem that does not answer this command, once (no_answer) or nothing any more (dead)."""

    def __init__(self, rig: ModemRig, command: str, how: str) -> None:
        self.at_ms = 0.0
        self._rig = rig
        on = "E" if command == "ATE0" else name(command).rstrip("?")
        self._fault = Fault(how, on=on) if how == "no_answer" else Fault(how)
        rig.wire.watch[command] = self._begin

    def _begin(self) -> None:
        self.at_ms = self._rig.ms
        self._rig.modem.fault(self._fault)

    @property
    def ms(self) -> float:
        assert self.at_ms, "never said"
        return self._rig.ms - self.at_ms


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_an_answer_ends_at_its_deadline(tmp_path, monkeypatch, command):
    """Sheet 1 trap 2: the error names it, the next command gets its own answer, all works again."""

    async def story(rig: ModemRig) -> None:
        silence = Silence(rig, command, "no_answer")
        with pytest.raises(ModemError) as caught:
            await day(rig)
        deadline_ms = COMMANDS[command]
        assert str(caught.value) == f"{name(command)}: no answer within {deadline_ms} ms"
        # 25 ms twice: to ask whether it is there, and to let go of what was open.
        assert deadline_ms - 2 <= silence.ms <= deadline_ms + 50
        rig.idle()
        assert (await rig.driver.command("AT+CSQ"))[0].startswith("+CSQ: ")
        assert await rig.recover() < 60
        rig.idle()

    # Only a SIM that is ready may register with the old APN, and must be stopped.
    play(tmp_path, monkeypatch, story, bands="3,20", powered="CFUN=" in command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_modem_that_goes_mute_ends_each_command_at_its_deadline(tmp_path, monkeypatch, command):
    """Sheet 2.2 trap 7: only a cut of its supply helps, and it is made."""

    async def story(rig: ModemRig) -> None:
        silence = Silence(rig, command, "dead")
        with pytest.raises(ModemError) as caught:
            await day(rig)
        deadline_ms = COMMANDS[command]
        assert str(caught.value) == f"{name(command)}: no answer within {deadline_ms} ms"
        # Then it is asked whether it is there: twice 2 s, for one command that lets go and one that looks at the cell.
        assert deadline_ms - 2 <= silence.ms <= deadline_ms + 8100
        rig.idle()
        with pytest.raises(ModemError, match="the modem is mute"):
            await rig.driver.command("AT+CSQ")
        assert await rig.recover() < 60
        rig.idle()

    # Only a SIM that is ready may register with the old APN, and must be stopped.
    play(tmp_path, monkeypatch, story, bands="3,20", powered="CFUN=" in command)


@pytest.mark.parametrize("command", QUIET)
@pytest.mark.parametrize("how", ["no_answer", "dead"])
def test_what_can_be_done_without_is_given_up_at_its_deadline(tmp_path, monkeypatch, command, how):
    async def story(rig: ModemRig) -> None:
        silence = Silence(rig, command, how)
        began_ms, why = rig.ms, ""
        try:
            await day(rig)
        except (ModemError, OSError) as error:
            why = str(error)
        assert why == "" or (how == "dead" and ("mute" in why or "no answer" in why))
        assert silence.at_ms
        # A day takes 29 s.
        assert rig.ms - began_ms < 29000 + QUIET[command] + 4050 * 4
        await asyncio.sleep(5)
        rig.idle()
        assert await rig.recover() < 60

    play(tmp_path, monkeypatch, story)
