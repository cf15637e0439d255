"""Each fault of the emulated modem can be seen on the line; the file, the command line and the recording."""

import asyncio
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

from sim.modem import Fault, FaultError, cli, faults
from sim.modem.radio import Coverage
from sim.modem.simcard import Card
from tests.host.modem_bench import ERROR, FINAL, OK, Host, cme, said, speak, until, urc

CSQ = said("+CSQ: 25,99")
INFO = b"\r\n+CSQ: 25,99\r\n"
ANSWERS = {
    "cut": ({"keep": 9}, CSQ[:9]),
    "garbled": ({"index": 3}, CSQ[:3] + bytes([CSQ[3] ^ 0xA5]) + CSQ[4:]),
    "doubled": ({}, CSQ + CSQ),
    "error": ({}, ERROR),
    "error with a code": ({"code": 14}, cme(14)),
    "urc in the middle": ({}, INFO + urc("OVER-VOLTAGE WARNNING") + OK),
    "urc before": ({"where": "before", "text": "+CPIN: READY"}, urc("+CPIN: READY") + CSQ),
    "urc after": ({"where": "after", "text": "X"}, CSQ + urc("X")),
    "late": ({"ms": 3000}, CSQ),
    "no_answer": ({}, b""),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_goes_wrong_once(tmp_path, name):
    options, heard = ANSWERS[name]

    async def story(host: Host) -> None:
        kind = name.split(" ")[0]
        host.modem.fault(Fault(kind, on="AT+CSQ", **options))
        before_ms = host.modem.now_ms
        host.send(b"AT+CSQ\r")
        await host.expect(heard)
        assert kind != "late" or host.modem.now_ms - before_ms >= 3000
        await host.silence(500)
        assert await host.ask("AT+CSQ") == CSQ
        assert host.modem.faults.acted == {kind: 1}

    speak(tmp_path, "on", story)


def test_an_answer_comes_after_the_next_one(tmp_path):
    async def story(host: Host) -> None:
        host.modem.fault(Fault("out_of_order", on="+CSQ"))
        host.send(b"AT+CSQ\r")
        await host.silence(500)
        host.send(b"AT+CPIN?\r")
        await host.expect(said("+CPIN: READY") + CSQ)

    speak(tmp_path, "on", story)


def test_a_reset_in_the_place_of_an_answer(tmp_path):
    """Sheet 2.2 trap 4, T33."""

    async def story(host: Host) -> None:
        assert await host.ask("AT+IPR=115200") == OK
        host.modem.fault(Fault("reset", on="CSQ"))
        host.send(b"AT+CSQ\r")
        await host.expect(b"\xff" + urc("RDY") + urc("+CFUN: 1") + urc("+CPIN: READY") + urc("SMS Ready"))
        assert host.modem.starts == 2

    speak(tmp_path, "on", story)


def test_count_and_skip(tmp_path):
    async def story(host: Host) -> None:
        host.modem.fault(Fault("error", on="*", count=2, skip=1))
        heard = [await host.ask("AT+CSQ") for _ in range(4)]
        assert heard == [CSQ, ERROR, ERROR, CSQ]
        host.modem.fault(Fault("error", on="*", count=0))
        assert [await host.ask("AT") for _ in range(3)] == [ERROR] * 3
        host.modem.faults.clear("error")
        assert await host.ask("AT") == OK

    speak(tmp_path, "on", story)


async def _opened(host: Host) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await host.ask(f'AT+CAOPEN=0,0,"TCP","127.0.0.1",{port}') == said("+CAOPEN: 0,0")
    return server


SENDING = {
    "no prompt: the payload is taken for a command": ("no_prompt", {}, b"", OK),
    "an ERROR amid the payload: the rest is taken for a command": (
        "prompt_cut",
        {"keep": 3},
        b"\r\n>",
        cme(3) + OK,
    ),
    "the peer goes while it is written": (
        "close_while_sending",
        {},
        b"\r\n>",
        urc("+CADATAIND: 0") + urc("+CASTATE: 0,0") + cme(3),
    ),
}


@pytest.mark.parametrize(("kind", "options", "prompt", "heard"), SENDING.values(), ids=SENDING.keys())
def test_sending_goes_wrong(tmp_path, kind, options, prompt, heard):
    async def story(host: Host) -> None:
        server = await _opened(host)
        host.modem.fault(Fault(kind, **options))
        payload = b"AT\r" if kind == "no_prompt" else b"xyzAT\r"
        host.send(b"AT+CASEND=0,%d\r" % len(payload))
        await host.expect(prompt)
        await host.silence(500)
        host.send(payload)
        await host.expect(heard)
        assert await host.ask("AT") == OK
        server.close()

    speak(tmp_path, "pdp", story, speed=50)


def test_a_lost_cadataind_leaves_the_data(tmp_path):
    async def story(host: Host) -> None:
        server = await _opened(host)
        host.modem.fault(Fault("cadataind_lost"))
        host.send(b"AT+CASEND=0,2\r")
        await host.expect(b"\r\n>")
        host.send(b"hi")
        await host.expect(OK)
        await host.silence(2000)
        assert await host.ask("AT+CARECV=0,9") == said("+CARECV: 2,hi")
        server.close()

    speak(tmp_path, "pdp", story, speed=50)


def test_a_mute_caopen_ends_after_75_s_and_what_came_meanwhile_is_echoed_then(tmp_path):
    """Sheet 6 trap 1, T17."""

    async def story(host: Host) -> None:
        await host.ask("ATE1")
        host.modem.fault(Fault("caopen_mute"))
        host.send(b'AT+CAOPEN=0,0,"TCP","127.0.0.1",9\r')
        await host.expect(b'AT+CAOPEN=0,0,"TCP","127.0.0.1",9\r')
        host.send(b"AT\r")
        await host.silence(70_000)
        await host.expect(said("+CAOPEN: 0,2") + b"AT\r" + OK)

    speak(tmp_path, "pdp", story)


def test_a_context_refused_once_comes_up_the_second_time(tmp_path):
    """Sheet 3.3 trap 2; with CNACT=0,2 by itself."""

    async def story(host: Host) -> None:
        host.modem.fault(Fault("pdp_refused"))
        assert await host.ask("AT+CNACT=0,1") == OK
        await host.expect(urc("+APP PDP: 0,DEACTIVE"))
        host.modem.fault(Fault("pdp_refused"))
        assert await host.ask("AT+CNACT=0,2") == OK
        await host.expect(urc("+APP PDP: 0,DEACTIVE") + urc("+APP PDP: 0,ACTIVE"))
        host.modem.fault(Fault("pdp_drop"))
        await host.expect(urc("+APP PDP: 0,DEACTIVE") + urc("+APP PDP: 0,ACTIVE"))

    speak(tmp_path, "net", story)


def test_the_network_goes_denies_and_returns(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+CEREG=1") == OK
        host.modem.fault(Fault("no_coverage"))
        await host.expect(urc("+CEREG: 2"))
        assert await host.ask("AT+CSQ;+CPSI?") == INFO.replace(b"25", b"99") + said(
            "+CPSI: NO SERVICE,Online"
        )
        host.modem.fault(Fault("denied"))
        host.modem.faults.clear("no_coverage")
        await host.expect(urc("+CEREG: 3"))
        host.modem.faults.clear("denied")
        await host.expect(urc("+CEREG: 2") + urc("+CEREG: 1"))

    speak(tmp_path, "net", story)


def test_the_sim_goes_and_the_radio_restarts_by_itself(tmp_path):
    async def story(host: Host) -> None:
        host.modem.fault(Fault("sim_restart"))
        await host.expect(urc("+APP PDP: 0,DEACTIVE") + urc("+CPIN: READY") + urc("SMS Ready"))
        host.modem.fault(Fault("sim_absent"))
        await host.expect(urc("+CPIN: NOT READY"))
        assert await host.ask("AT+CPIN?") == cme(10)
        host.modem.faults.clear()
        host.modem.fault(Fault("sim_pin"))
        host.send(b"AT+CFUN=1,1\r")
        await host.expect(urc("+CPIN: SIM PIN"))

    speak(tmp_path, "pdp", story)


def test_dead_it_is_until_the_supply_is_cut(tmp_path):
    """Sheet 2.2 trap 7: no reset helps."""

    async def story(host: Host) -> None:
        host.modem.fault(Fault("dead"))
        host.send(b"AT\r")
        host.modem.pwrkey(1200)
        await host.silence(5000)
        host.modem.pwrkey(13_000)
        await host.silence(20_000)
        assert host.modem.state == "dead"
        host.modem.supply(False)
        host.modem.supply(True)
        host.modem.pwrkey(1000)
        await host.expect(urc("+CPIN: READY") + urc("SMS Ready"))
        host.modem.fault(Fault("error", on="+CSQ"))
        assert (await host.ask("AT")).endswith(OK)

    speak(tmp_path, "on", story)


def test_the_gnss_runs_and_says_that_it_does_not(tmp_path):
    """Sheet 8.1 trap 3."""

    async def story(host: Host) -> None:
        host.modem.fault(Fault("gnss_run_zero"))
        assert await host.ask("AT+CGNSPWR=1") == OK
        assert await host.ask("AT+CGNSPWR?") == said("+CGNSPWR: 1")
        assert b"+CGNSINF: 0," in await host.ask("AT+CGNSINF")

    speak(tmp_path, "on", story)


def test_a_file_switches_faults_at_its_times(tmp_path):
    path = tmp_path / "faults"
    path.write_text(
        '# remark\n\n{"fault": "error", "on": "+CSQ"}\n{"fault": "urc", "text": "X", "at_ms": 20000}\n'
    )

    async def story(host: Host) -> None:
        assert await host.ask("AT+CSQ") == ERROR
        await host.expect(urc("X"))

    speak(tmp_path, "on", story, faults=path)


WRONG = {
    "nonsense": "not JSON",
    "[]": "a fault is an object",
    '{"fault": "nope"}': "no fault 'nope'. There are: cadataind_lost, caopen_mute",
    '{"fault": "late"}': 'late needs "on"',
    '{"fault": "late", "on": "CSQ", "keep": 1}': "late takes no 'keep'. It takes: ms, ",
    '{"fault": "late", "on": "CSQ", "ms": "long"}': "ms is a number, not 'long'",
    '{"fault": "late", "on": "CSQ", "ms": Infinity}': "ms is a number, not inf",
    '{"fault": "late", "on": 0}': "on is a command or *, not 0",
    "[" * 2000: "not JSON",
    '{"fault": "urc", "on": "CSQ", "where": "up"}': "where is one of before, middle, after",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_file_that_is_wrong_is_named_with_its_line(tmp_path, text):
    path = tmp_path / "faults"
    path.write_text("# one\n" + text + "\n")
    with pytest.raises(FaultError) as raised:
        faults.load(path)
    assert str(raised.value).startswith(f"{path}, line 2: ")
    assert WRONG[text] in str(raised.value)
    with pytest.raises(FaultError, match="cannot read the faults"):
        faults.load(tmp_path / "none")


def test_every_fault_is_in_the_description():
    for kind in (*faults.ANSWERS, *faults.COUNTED, *faults.STATES, *faults.EVENTS):
        assert kind in (faults.__doc__ or "")


def test_the_recording_has_each_command_its_time_and_its_answer(tmp_path):
    async def story(host: Host) -> None:
        assert await host.ask("AT+CSQ") == CSQ
        host.modem.fault(Fault("urc", text="X"))
        await host.expect(urc("X"))

    modem = speak(tmp_path, "on", story, speed=50)
    last = modem.recorder.exchanges()[-1]
    assert (last["command"], last["answer"]) == ("AT+CSQ", ["+CSQ: 25,99", "OK", "X"])
    assert 10 <= last["took_ms"] < 1000
    assert modem.recorder.entries[-1].data == urc("X")


def test_lines_on_stdin_move_the_wires(tmp_path):
    async def story(host: Host) -> None:
        air, card = Coverage(), Card()
        for line in (
            "supply on",
            "dtr low",
            "coverage on",
            "card in",
            "",
            'fault {"fault": "error", "on": "CSQ"}',
        ):
            assert cli.obey(host.modem, line, air, card) == ""
        cli.obey(host.modem, "pwrkey 1000", air, card)
        await host.expect(urc("+CPIN: READY") + urc("SMS Ready"))
        assert cli.obey(host.modem, "state", air, card).startswith("on, lost: {")
        assert (await host.ask("ATE0;+CSQ")).endswith(ERROR)
        with pytest.raises(Exception, match=r"not understood: pwrkey long\. Say pwrkey MS"):
            cli.obey(host.modem, "pwrkey long", air, card)
        cli.obey(host.modem, "supply off", air, card)
        await until(lambda: host.modem.state == "off")

    speak(tmp_path, "off", story)


def test_the_command_runs_answers_and_removes_its_link(tmp_path):
    link = tmp_path / "modem"
    command = [sys.executable, "-m", "sim", "modem", "--pty", str(link), "--speed", "100", "--on"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("modem at ")
        fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        heard, end = b"", time.monotonic() + 5
        while b"AT\r\r\nOK\r\n" not in heard and time.monotonic() < end:
            os.write(fd, b"AT\r")
            time.sleep(0.05)
            try:
                heard += os.read(fd, 4096)
            except BlockingIOError:
                pass
        os.close(fd)
        assert b"AT\r\r\nOK\r\n" in heard
    finally:
        process.terminate()
        process.communicate(timeout=5)
    assert process.returncode == 143
    assert not pathlib.Path(link).is_symlink()


# Those that end or stop a modem for long, or that take payload, have tests of their own.
ASIDE = {"+CFUN", "+CPOWD", "+CREBOOT", "+CSCLK", "+COPS", "+CGATT", "+CASEND", "+CFSWFILE", "E"}
PIECES = (
    "=",
    "?",
    "=?",
    ",",
    ";",
    '"',
    "0",
    "1",
    "-",
    "9" * 13,
    "\xb2",
    "ca",
    '"a"',
    "SNI",
    "TIMEOUT",
    '"\x00"',
)


def test_no_line_however_odd_kills_it(tmp_path):
    """Each line gets exactly one final result, and the modem still answers."""
    dice = random.Random(7080)

    async def story(host: Host) -> None:
        await host.ask("AT+CFUN=4")
        names = sorted(set(host.modem._core.table) - ASIDE)
        assert len(names) > 50
        for _ in range(600):
            tail = "".join(dice.choice(PIECES) for _ in range(dice.randrange(8)))
            host.send(b"AT" + (dice.choice(names) + tail).encode("latin-1") + b"\r")
            await host.expect(FINAL)
        host.send(bytes(dice.randrange(256) for _ in range(3000)) + b"\r")
        await asyncio.sleep(0.05)
        host.data = b""
        await host.ask("ATE0")
        assert await host.ask("AT") == OK

    speak(tmp_path, "on", story, speed=1000)
