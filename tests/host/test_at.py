"""AT lines: events of every form of the sheet, the five tests of every parser, and the same on MicroPython."""

import asyncio
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from at import Parser
from hypothesis import given
from hypothesis import strategies as st

from tests.host.modem_bench import Host, until
from tests.host.test_modem_sockets import Peer, with_peer
from tools.mpy import compile_mpy

ROOT = Path(__file__).parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")

Event = tuple[str, str | bytes]
ECHO, INFO, FINAL, URC, PROMPT, DATA = "echo", "info", "final", "urc", "prompt", "data"
OK = (FINAL, "OK")


def events(sent: str | None, parts: Iterable[bytes]) -> list[Event]:
    parser = Parser()
    if sent is not None:
        parser.sent(sent)
    return [event for part in parts for event in parser.feed(part)]


# One line, one event, told with its last byte and no sooner. sent, bytes, event.
ONE: list[tuple[str, bytes, Event]] = [
    # Final results: sheet 1.
    ("AT", b"\r\nOK\r", OK),
    ("AT", b"OK\n", OK),
    ("AT+X", b"\r\nERROR\r", (FINAL, "ERROR")),
    ("AT+CPIN?", b"\r\n+CME ERROR: 10\r", (FINAL, "+CME ERROR: 10")),
    ("AT+SMCONN", b"\r\n+CME ERROR: operation not allowed\r", (FINAL, "+CME ERROR: operation not allowed")),
    ("AT+CNMI=1", b"\r\n+CMS ERROR: 303\r", (FINAL, "+CMS ERROR: 303")),
    ("ATD*99#", b"\r\nCONNECT 150000000\r", (FINAL, "CONNECT 150000000")),
    ("ATO", b"\r\nNO CARRIER\r", (FINAL, "NO CARRIER")),
    ("", b"\r\nOK\r", OK),
    ("", b"\r\n+CME ERROR: 3\r", (FINAL, "+CME ERROR: 3")),
    # Answers.
    ("ATI", b"\r\nSIM7080G R1951\r", (INFO, "SIM7080G R1951")),
    ("AT+CGSN", b"\r\n860000000000000\r", (INFO, "860000000000000")),
    ("AT+CCID", b"\r\n8931000000000000000F\r", (INFO, "8931000000000000000F")),
    ("AT+CGMR", b"\r\nRevision:1951B17SIM7080\r", (INFO, "Revision:1951B17SIM7080")),
    ("AT+SIMCOMATI", b"\r\nQCN:MDM9206\r", (INFO, "QCN:MDM9206")),
    ("AT+CMEE?", b"\r\n+CMEE: 2\r", (INFO, "+CMEE: 2")),
    ("AT+CBC", b"\r\n+CBC: 0,73,3955\r", (INFO, "+CBC: 0,73,3955")),
    ("at+cnact?", b'\r\n+CNACT: 1,"10.0.0.2"\r', (INFO, '+CNACT: 1,"10.0.0.2"')),
    ("AT+CPSMS=?", b"\r\n+CPSMS: (0,1)\r", (INFO, "+CPSMS: (0,1)")),
    ('AT+CAOPEN=0,0,"TCP","h",1', b"\r\n+CAOPEN: 0,0\r", (INFO, "+CAOPEN: 0,0")),
    ("AT+CASEND=0", b"\r\n+CASEND: 10240\r", (INFO, "+CASEND: 10240")),
    ("AT+CGNSPWR?", b"\n+CGNSPWR: 1\n", (INFO, "+CGNSPWR: 1")),
    ("AT+CASEND=?", b"\r\n+CASEND: (0-12)>~\r", (INFO, "+CASEND: (0-12)>~")),
    ("AT+SMCONF?", b'\r\nURL: "host",1883\r', (INFO, 'URL: "host",1883')),
    ("AT+CARECV=0,100", b"\r\n+CARECV: 0\r", (INFO, "+CARECV: 0")),
    ("AT+CARECV?", b"\r\n+CARECV: 0,1\r", (INFO, "+CARECV: 0,1")),
    # URCs: sheet 3.4, with a command at work whose answer they are not.
    ("AT+CGNSINF", b"\r\nRDY\r", (URC, "RDY")),
    ("AT+CGNSINF", b"\r\n+CFUN: 1\r", (URC, "+CFUN: 1")),
    ("AT+CGNSINF", b"\r\n+CPIN: NOT READY\r", (URC, "+CPIN: NOT READY")),
    ("AT+CGNSINF", b"\r\nSMS Ready\r", (URC, "SMS Ready")),
    ("AT+CGNSINF", b"\r\nDST: 1\r", (URC, "DST: 1")),
    (
        "AT+CGNSINF",
        b'\r\n*PSUTTZ: 26/04/11,03:19:19","+32",0\r',
        (URC, '*PSUTTZ: 26/04/11,03:19:19","+32",0'),
    ),
    ("AT+CGNSINF", b'\r\n*PSNWID: "238","01","a",0,"a",0\r', (URC, '*PSNWID: "238","01","a",0,"a",0')),
    ("AT+CGNSINF", b"\r\nNORMAL POWER DOWN\r", (URC, "NORMAL POWER DOWN")),
    ("AT+CGNSINF", b"\r\nUNDER-VOLTAGE WARNNING\r", (URC, "UNDER-VOLTAGE WARNNING")),
    ("AT+CGNSINF", b"\r\nUNDER-VOLTAGE POWER DOWN\r", (URC, "UNDER-VOLTAGE POWER DOWN")),
    ("AT+CGNSINF", b"\r\nOVER-VOLTAGE WARNNING\r", (URC, "OVER-VOLTAGE WARNNING")),
    ("AT+CGNSINF", b"\r\nOVER-VOLTAGE POWER DOWN\r", (URC, "OVER-VOLTAGE POWER DOWN")),
    ("AT+CGNSINF", b"\r\nQCIMGBOOTTYPE : 0\r", (URC, "QCIMGBOOTTYPE : 0")),
    ("AT+CGNSINF", b"\r\n$QCJDSTATE: 1\r", (URC, "$QCJDSTATE: 1")),
    ("AT+CGNSINF", b"\r\n+APP PDP: 0,DEACTIVE\r", (URC, "+APP PDP: 0,DEACTIVE")),
    ("AT+CGNSINF", b"\r\n+CADATAIND: 0\r", (URC, "+CADATAIND: 0")),
    ("AT+CGNSINF", b'\r\n+CAURC: "buffer full"\r', (URC, '+CAURC: "buffer full"')),
    ("AT+CGNSINF", b"\r\n+CARECV: 3,4\r", (URC, "+CARECV: 3,4")),
    ("AT+CGNSINF", b"\r\n+PDP: DEACT\r", (URC, "+PDP: DEACT")),
    ("AT", b"\r\n+CPIN: READY\r", (URC, "+CPIN: READY")),
    ("AT+CNTPCID=0", b"\r\n+CNTP: 61\r", (URC, "+CNTP: 61")),
    ("AT+CNTP", b"\r\n+CNTPCID: 0\r", (URC, "+CNTPCID: 0")),
    ("", b"\r\n+CAOPEN: 0,0\r", (URC, "+CAOPEN: 0,0")),
    ("", b"\r\n860000000000000\r", (URC, "860000000000000")),
    ("", b"\r\nDOWNLOAD\r", (URC, "DOWNLOAD")),
    # Registration, as an answer and as a URC: sheet 3, 3.6.
    ("AT+CEREG?", b"\r\n+CEREG: 0,2\r", (INFO, "+CEREG: 0,2")),
    ("AT+CREG?", b"\r\n+CREG: 0,5\r", (INFO, "+CREG: 0,5")),
    (
        "AT+CEREG?",
        b'\r\n+CEREG: 4,1,"5B57","195071B",9,,,"0","01"\r',
        (INFO, '+CEREG: 4,1,"5B57","195071B",9,,,"0","01"'),
    ),
    ("AT+CEREG?", b"\r\n+CEREG: 1\r", (URC, "+CEREG: 1")),
    ("AT+CGREG?", b"\r\n+CGREG: 5\r", (URC, "+CGREG: 5")),
    (
        "AT+CEREG?",
        b'\r\n+CEREG: 1,"5B57","0","195071B",7\r',
        (URC, '+CEREG: 1,"5B57","0","195071B",7'),
    ),
    ("AT+CGREG?", b"\r\n+CEREG: 0,2\r", (URC, "+CEREG: 0,2")),
    # Prompts: sheet 4, 6, 9.
    ("AT+CASEND=0,5", b"\r\n>", (PROMPT, ">")),
    ("AT+CASEND=0,5", b">", (PROMPT, ">")),
    ('AT+CFSWFILE=3,"ca.crt",0,5,1000', b"\r\nDOWNLOAD\r", (PROMPT, "DOWNLOAD")),
    ("", b"\r\n>\r", (URC, ">")),
    # Echoes, with or without the command being known.
    ("AT", b"AT\r", (ECHO, "AT")),
    ("", b"AT+CEREG?\r", (ECHO, "AT+CEREG?")),
    ("", b"at+cnact?\r", (ECHO, "at+cnact?")),
    ("AT+CASTATE?", b'AT+CAOPEN=0,0,"TCP","h",1\r', (ECHO, 'AT+CAOPEN=0,0,"TCP","h",1')),
    # Payload, by count.
    ("AT+CARECV=0,100", b"\r\n+CARECV: 7,*SET,55", (DATA, b"*SET,55")),
    ("AT+CARECV=0,100", b"\r\n+CARECV: 10,\x00\r\nOK\r\n\xff>\x00", (DATA, b"\x00\r\nOK\r\n\xff>\x00")),
    ("AT+CARECV=0,1460", b"\r\n+CARECV: 1460," + b"\n>,\r" * 365, (DATA, b"\n>,\r" * 365)),
    # What is not text.
    ("", b"\xff\xffRDY\x00\r", (URC, "??RDY?")),
    ("AT", b"\x7ff`f\x1b\r", (INFO, "?f`f?")),
]


@pytest.mark.parametrize(("sent", "heard", "event"), ONE)
def test_a_line_is_exactly_this_event(sent: str, heard: bytes, event: Event) -> None:
    assert events(sent, [heard]) == [event]
    assert events(sent, [heard, b"\r\n\r\n  \r\n"]) == [event]


@pytest.mark.parametrize(("sent", "heard", "event"), ONE)
def test_every_prefix_of_a_line_says_not_yet(sent: str, heard: bytes, event: Event) -> None:
    parser = Parser()
    parser.sent(sent)
    for byte in heard[:-1]:
        assert list(parser.feed(bytes([byte]))) == []
    assert list(parser.feed(heard[-1:])) == [event]


OPEN = 'AT+CAOPEN=0,0,"TCP","h",1'
# Whole dialogues: the traps of the sheet. sent (None: the parser has to find out by itself), bytes, events.
DIALOGUES = {
    "echo on": (None, b"AT\r\r\nOK\r\n", [(ECHO, "AT"), OK]),
    "an answer of several lines": (
        "AT+CNACT?",
        b'AT+CNACT?\r\r\n+CNACT: 0,1,"10.0.0.2"\r\n+CNACT: 1,0,"0.0.0.0"\r\n\r\nOK\r\n',
        [(ECHO, "AT+CNACT?"), (INFO, '+CNACT: 0,1,"10.0.0.2"'), (INFO, '+CNACT: 1,0,"0.0.0.0"'), OK],
    ),
    "an empty line within an answer": (
        "AT+CENG?",
        b'\r\n+CENG: 1,1,1,LTE CAT-M1\r\n\r\n+CENG: 0,"1550,339"\r\n\r\nOK\r\n',
        [(INFO, "+CENG: 1,1,1,LTE CAT-M1"), (INFO, '+CENG: 0,"1550,339"'), OK],
    ),
    "a header with nothing behind it": (
        "AT+SMCONF?",
        b'\r\n+SMCONF: \r\nCLIENTID: "x"\r\n\r\nOK\r\n',
        [(INFO, "+SMCONF:"), (INFO, 'CLIENTID: "x"'), OK],
    ),
    "after the final result nothing is at work": (
        "AT+CNTP",
        b'\r\nOK\r\n\r\n+CNTP: 1,"2026/05/15,05:09:31"\r\n\r\n123\r\n\r\n> \r\n',
        [OK, (URC, '+CNTP: 1,"2026/05/15,05:09:31"'), (URC, "123"), (URC, ">")],
    ),
    "URCs between echo and answer": (
        None,
        OPEN.encode() + b"\r" + 2 * b"\r\nOVER-VOLTAGE WARNNING\r\n" + b"\r\n+CAOPEN: 0,11\r\n\r\nOK\r\n",
        [(ECHO, OPEN), *2 * [(URC, "OVER-VOLTAGE WARNNING")], (INFO, "+CAOPEN: 0,11"), OK],
    ),
    "a registration URC within a registration answer": (
        "AT+CEREG?",
        b'\r\n+CEREG: 5\r\n\r\n+CEREG: 1,"07D0"\r\n\r\n+CEREG: 2,5,"07D0"\r\n\r\nOK\r\n\r\n+CEREG: 0,2\r\n',
        [
            (URC, "+CEREG: 5"),
            (URC, '+CEREG: 1,"07D0"'),
            (INFO, '+CEREG: 2,5,"07D0"'),
            OK,
            (URC, "+CEREG: 0,2"),
        ],
    ),
    "a restart between an echo and the next": (
        None,
        b"AT+CEREG?\r\r\nSMS Ready\r\nAT\r\r\nOK\r\n",
        [(ECHO, "AT+CEREG?"), (URC, "SMS Ready"), (ECHO, "AT"), OK],
    ),
    "the late answer of an abandoned command": (
        "AT+CASTATE?",
        b"\r\n+CAOPEN: 0,2\r\n\r\nOK\r\nAT+CASTATE?\r\r\n+CASTATE: 0,1\r\n\r\nOK\r\n",
        [(URC, "+CAOPEN: 0,2"), OK, (ECHO, "AT+CASTATE?"), (INFO, "+CASTATE: 0,1"), OK],
    ),
    "a URC cut by the echo of the next command": (
        "AT+CGNSCPY",
        b"\r\n+HTTPTOFS:AT+CGNSCPY\r 200,34335\r\n\r\n+CGNSCPY: 1\r\n\r\nOK\r\n",
        [(URC, "+HTTPTOFS: 200,34335"), (ECHO, "AT+CGNSCPY"), (INFO, "+CGNSCPY: 1"), OK],
    ),
    "a URC cut in the middle of a number": (
        "AT+CSQ",
        b"\r\n+HTTPTOFS: 20AT+CSQ\r0,34335\r\n\r\n+CSQ: 9,99\r\n\r\nOK\r\n",
        [(URC, "+HTTPTOFS: 200,34335"), (ECHO, "AT+CSQ"), (INFO, "+CSQ: 9,99"), OK],
    ),
    "an error line cut by the next echo, its number lost": (
        "AT+CGATT?",
        b"\r\n+CMS ERROR:AT+CGATT?\r\r\n+CGATT: 1\r\n\r\nOK\r\n",
        [(FINAL, "+CMS ERROR:"), (ECHO, "AT+CGATT?"), (INFO, "+CGATT: 1"), OK],
    ),
    "an error line cut by the next echo, its number behind": (
        "AT+CGATT?",
        b"\r\n+CMS ERROR:AT+CGATT?\r 303\r\n\r\n+CGATT: 1\r\n\r\nOK\r\n",
        [(FINAL, "+CMS ERROR: 303"), (ECHO, "AT+CGATT?"), (INFO, "+CGATT: 1"), OK],
    ),
    "garbage of a booting modem before the echo": (
        "AT",
        b"\xff\xfeAT\r\r\nOK\r\n\xff\r\nRDY\r\n",
        [(INFO, "??"), (ECHO, "AT"), OK, (URC, "?"), (URC, "RDY")],
    ),
    "a payload and its prompt, with a blank": (
        None,
        b"AT+CASEND=0,4\r\r\n> \r\nOK\r\n\r\n+CASEND: 0,0,4\r\n",
        [(ECHO, "AT+CASEND=0,4"), (PROMPT, ">"), OK, (URC, "+CASEND: 0,0,4")],
    ),
    "a payload that is echoed is not asked for again": (
        None,
        b"AT+CASEND=0,20\r\r\n>>a\r\n>b\rAT+X\r\nDOWN\r\n \r\nOK\r\nAT+CASEND=0,1\r\r\n>",
        [
            (ECHO, "AT+CASEND=0,20"),
            (PROMPT, ">"),
            *[(INFO, line) for line in (">a", ">b", "AT+X", "DOWN")],
            OK,
            (ECHO, "AT+CASEND=0,1"),
            (PROMPT, ">"),
        ],
    ),
    "bytes of a file are not an echo": (
        'AT+CFSWFILE=3,"a",0,4,1000',
        b"\r\nDOWNLOAD\r\nAT\r\n\r\nOK\r\nAT\r\r\nOK\r\n",
        [(PROMPT, "DOWNLOAD"), (INFO, "AT"), OK, (ECHO, "AT"), OK],
    ),
    "data, then the peer's end": (
        None,
        b"AT+CARECV=0,9\r\r\n+CARECV: 6,\r\nOK\r\n\r\n\r\nOK\r\n\r\n+CADATAIND: 0\r\n\r\n+CASTATE: 0,0\r\n",
        [(ECHO, "AT+CARECV=0,9"), (DATA, b"\r\nOK\r\n"), OK, (URC, "+CADATAIND: 0"), (URC, "+CASTATE: 0,0")],
    ),
    "a URC between the command and its data": (
        "AT+CARECV=0,9",
        b"\r\n+CADATAIND: 0\r\n\r\n+CNSMOD: 7,1\r\n\r\n+CARECV: 1,,\r\n\r\nOK\r\n",
        [(URC, "+CADATAIND: 0"), (URC, "+CNSMOD: 7,1"), (DATA, b","), OK],
    ),
    "power off": ("AT+CPOWD=1", b"\r\nNORMAL POWER DOWN\r\n", [(URC, "NORMAL POWER DOWN")]),
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_is_exactly_these_events(name: str) -> None:
    sent, heard, expected = DIALOGUES[name]
    assert events(sent, [heard]) == expected


@pytest.mark.parametrize("name", DIALOGUES)
def test_events_do_not_depend_on_how_the_bytes_are_cut(name: str) -> None:
    sent, heard, expected = DIALOGUES[name]
    for size in (1, 2, 3, 7):
        assert events(sent, [heard[at : at + size] for at in range(0, len(heard), size)]) == expected
    for at in range(len(heard)):
        assert events(sent, [heard[:at], b"", heard[at:]]) == expected


# What is lost, and counted: sent, bytes, events, dropped.
LONG = b"x" * 600
MALFORMED = {
    "the longest line": ("AT", LONG + b"\r\nOK\r\n", [(INFO, "x" * 600), OK], 0),
    "a line too long": ("AT", LONG + b"x\r\nOK\r\n", [OK], 1),
    "a far too long one, that looks like others": (
        "AT+CARECV=0,9",
        LONG + 50 * b"AT+X>OK+CARECV: 3," + b"\r\nOK\r\n",
        [OK],
        1,
    ),
    "two of them": ("AT", 2 * (LONG + LONG + b"\n") + b"OK\n", [OK], 2),
    "more than can be asked for": (
        "AT+CARECV=0,9",
        b"\r\n+CARECV: 1461,abc\r\n\r\nOK\r\n",
        [OK],
        1,
    ),
    "an absurd count": ("AT+CARECV=0,9", b"+CARECV: " + b"9" * 300 + b",abc\r\nOK\r\n", [OK], 1),
    "an absurd count without an end": (
        "AT+CARECV=0,9",
        b"+CARECV: " + b"9" * 700 + b",abc\r\nOK\r\n",
        [OK],
        1,
    ),
    "a count of nothing": ("AT+CARECV=0,9", b"+CARECV: 0,\r\nOK\r\n", [(INFO, "+CARECV: 0,"), OK], 0),
    "no count": ("AT+CARECV=0,9", b"+CARECV: ,ab\r\nOK\r\n", [(INFO, "+CARECV: ,ab"), OK], 0),
    "a negative count": ("AT+CARECV=0,9", b"+CARECV: -1,ab\r\nOK\r\n", [(INFO, "+CARECV: -1,ab"), OK], 0),
    "an address for a count": (
        "AT+CARECV=0,9",
        b"+CARECV: 1.2.3.4,80,2,ab\r\nOK\r\n",
        [(INFO, "+CARECV: 1.2.3.4,80,2,ab"), OK],
        0,
    ),
    "line ends of every kind": (
        "AT",
        b"\r\r\n\n\rOK\r\r\rRDY\n\rRDY\n\n",
        [OK, (URC, "RDY"), (URC, "RDY")],
        0,
    ),
    "names without end or beginning": (
        "AT+",
        b"+\r\n:\r\n*:\r\n+:,\r\n",
        [(INFO, "+"), (INFO, ":"), (URC, "*:"), (INFO, "+:,")],
        0,
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("size", [1, 7, 10000])
def test_what_is_malformed_is_told_as_a_line_or_counted(name: str, size: int) -> None:
    sent, heard, expected, dropped = MALFORMED[name]
    parser = Parser()
    parser.sent(sent)
    told = [e for at in range(0, len(heard), size) for e in parser.feed(heard[at : at + size])]
    assert (told, parser.dropped) == (expected, dropped)


def test_a_payload_that_never_ends_is_given_up_at_the_next_command() -> None:
    parser = Parser()
    parser.sent("AT+CARECV=0,100")
    assert list(parser.feed(b"\r\n+CARECV: 100,half \xff\x80")) == []
    parser.sent("AT")
    assert list(parser.feed(b" of it\r\n\r\nOK\r\n")) == [OK]
    assert parser.dropped == 1


def test_a_line_that_began_before_the_command_was_sent_is_kept() -> None:
    parser = Parser()
    parser.sent("")
    assert list(parser.feed(b"\r\n+CEREG")) == []
    parser.sent("AT+CSQ")
    assert list(parser.feed(b": 5\r\n\r\n+CSQ: 9,99\r\n")) == [(URC, "+CEREG: 5"), (INFO, "+CSQ: 9,99")]


def test_a_driver_may_send_the_next_command_amid_the_events() -> None:
    """The bytes behind an event belong to what was sent when it was told."""
    parser = Parser()
    parser.sent("AT+CSQ")
    told = []
    for event in parser.feed(b"\r\nOK\r\n\r\n+CBC: 0,73,3955\r\n"):
        told.append(event)
        if event == OK:
            parser.sent("AT+CBC")
    assert told == [OK, (INFO, "+CBC: 0,73,3955")]


NOISE = [
    b"\xff",
    b"x",
    b">",
    b"\r",
    b"\n",
    b"AT",
    b"AT+CARECV=",
    b"+CARECV: 1460,",
    b"+CARECV: 9",
    b"OK\r",
    b"AT\r",
]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("sent", ["", "AT", "AT+CARECV=0,1460"])
def test_endless_noise_grows_no_memory(noise: bytes, sent: str) -> None:
    parser = Parser()
    chunk = noise * (4096 // len(noise))

    def hear(times: int) -> None:
        for _ in range(times):
            parser.sent(sent)
            for _ in parser.feed(chunk):
                pass

    hear(3)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    hear(30)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 4096


SENT = st.sampled_from(["", "AT", "AT+CEREG?", "AT+CASEND=0,9", "AT+CARECV=0,9", "AT+X=\r", "\xff", "+", " "])
PIECE = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\r\n", b"\r", b"AT", b"OK", b">", b"+CARECV: 3,", b"+CEREG", b": 1", b",", b"AT+CEREG?\r"]
    ),
)


@given(st.lists(st.tuples(SENT, st.lists(PIECE, max_size=12)), max_size=4), st.integers(1, 9))
def test_whatever_is_heard_gives_events_that_no_cut_changes(talk: list, size: int) -> None:
    whole, cut = Parser(), Parser()
    for sent, pieces in talk:
        heard = b"".join(pieces)
        whole.sent(sent)
        cut.sent(sent)
        told = list(whole.feed(heard))
        assert [e for at in range(0, len(heard), size) for e in cut.feed(heard[at : at + size])] == told
        for kind, value in told:
            assert kind in (ECHO, INFO, FINAL, URC, PROMPT, DATA)
            assert value
            if kind != ECHO:  # a command may hold whatever its sender likes
                assert isinstance(value, bytes if kind == DATA else str)
                assert kind == DATA or (value.isascii() and value.isprintable() and value == value.strip())
    assert whole.dropped == cut.dropped


def test_the_emulated_modem_is_understood(tmp_path: Path) -> None:
    """It is other code that makes these bytes: boot, echo on and off, a file, a socket, its data, its end."""
    parser = Parser()

    async def hear(host: Host, last: Event) -> list[Event]:
        told: list[Event] = []
        while last not in told:
            await asyncio.sleep(0.001)
            heard, host.data = host.data, b""
            told += parser.feed(heard)
        return told

    async def ask(host: Host, command: str, last: Event = OK) -> list[Event]:
        parser.sent(command)
        host.send(command.encode() + b"\r")
        return await hear(host, last)

    async def story(host: Host, peer: Peer) -> None:
        assert await ask(host, "AT+CPIN?") == [(INFO, "+CPIN: READY"), OK]
        assert await ask(host, "ATE1") == [OK]
        assert await ask(host, "AT+CGATT?") == [(ECHO, "AT+CGATT?"), (INFO, "+CGATT: 1"), OK]
        assert await ask(host, "ATE0") == [(ECHO, "ATE0"), OK]
        assert await ask(host, "AT+CFSINIT") == [OK]
        prompt = (PROMPT, "DOWNLOAD")
        assert await ask(host, 'AT+CFSWFILE=3,"a",0,4,1000', prompt) == [prompt]
        host.send(b"AT\r\n")
        assert await hear(host, OK) == [OK]
        command = f'AT+CAOPEN=0,0,"TCP","127.0.0.1",{peer.port}'
        assert await ask(host, command) == [(INFO, "+CAOPEN: 0,0"), OK]
        assert await ask(host, "AT+CARECV=0,100") == [(INFO, "+CARECV: 0"), OK]
        assert await ask(host, "AT+CASEND=0,2", (PROMPT, ">")) == [(PROMPT, ">")]
        host.send(b">>")
        assert await hear(host, OK) == [OK]
        await until(lambda: peer.heard == b">>")
        peer.say(b"\r\nOK\r\n\x00\xff")
        await hear(host, (URC, "+CADATAIND: 0"))
        assert await ask(host, "AT+CARECV=0,100") == [(DATA, b"\r\nOK\r\n\x00\xff"), OK]
        parser.sent("AT+CREBOOT")
        host.send(b"AT+CREBOOT\r")
        assert await hear(host, (URC, "SMS Ready")) == [OK, (URC, "+CPIN: READY"), (URC, "SMS Ready")]

    with_peer(tmp_path, story, opened=False)
    assert parser.dropped == 0


ON_MICROPYTHON = """
import json, sys
sys.path.insert(0, sys.argv[1])
import at
for sent, parts in json.load(sys.stdin):
    parser = at.Parser()
    parser.sent(sent)
    told = [(kind, repr(bytes(value)) if kind == "data" else value)
            for part in parts for kind, value in parser.feed(bytes(part))]
    print(json.dumps([told, parser.dropped]))
"""


@pytest.mark.skipif(not MICROPYTHON.exists(), reason="no MicroPython beside the interpreter")
def test_micropython_gives_the_same_events(tmp_path: Path) -> None:
    cases: list[tuple[str, bytes]] = [(sent, heard) for sent, heard, _ in ONE]
    cases += [(sent or "", heard) for sent, heard, *_ in [*DIALOGUES.values(), *MALFORMED.values()]]
    cases.append(("AT", bytes(range(256)) + b"\r\n\xc3\x28\xe2\x82\r\n"))
    split = [
        (sent, [list(heard[: len(heard) // 2]), list(heard[len(heard) // 2 :])]) for sent, heard in cases
    ]
    compile_mpy(ROOT / "firmware" / "lib" / "at.py", tmp_path / "at.mpy", "at.py")
    (tmp_path / "script.py").write_text(ON_MICROPYTHON)
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=1M", tmp_path / "script.py", tmp_path],
        input=json.dumps(split),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    for line, (sent, heard) in zip(done.stdout.splitlines(), cases, strict=True):
        parser = Parser()
        parser.sent(sent)
        told = [[kind, repr(value) if kind == DATA else value] for kind, value in parser.feed(heard)]
        assert json.loads(line) == [told, parser.dropped]
