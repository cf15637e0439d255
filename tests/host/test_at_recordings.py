"""
Recordings of dialogues with real modems: whatever they hold, the parser tells all of it, however it is cut.

OBEREG_AT names the folder of *.txt. They are logs of many makers, so the bytes are put together again:

* a time at the beginning of a line is left out, as are lines that begin with # and those that are only a <marker>
  or [...];
* `>>` and `>>>` mark what the host sent, `<<` and `<<<` what the modem said; lines without a mark are of the last
  one's side. In a file without such marks an AT... line is the host's and its echo is the modem's;
* b'...' and '...' are exact bytes; of all other lines the modem's CR LF is added as sheet 1 has it: behind an echo CR,
  around a line CR LF. \\ufffd is the byte 0xFF;
* an AT+... in the middle of a +...: line is the echo that cut it, and the line after, if it begins with a blank, is
  the rest of it.
"""

import ast
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from at import Parser

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "at"
FOLDER = Path(os.environ.get("OBEREG_AT", SHARED))
LOGS = sorted(FOLDER.glob("*.txt"))
needs_logs = pytest.mark.skipif(not LOGS, reason=f"no recordings in {FOLDER} (set OBEREG_AT)")

STAMP = re.compile(r"\s*([\[(][^\])]*\d[^\])]*[\])]|(\S+ )?\d\d?:\d\d:\d\d([.,]\d+)?(?=\s))\s?")
MARK = re.compile(r"(<<<?|>>>?)(?: |$)")
ASIDE = re.compile(r"#|\s*(<[^<>]*>|\[\.*\])?\s*$")
LITERAL = re.compile(r"b?(['\"]).*\1$")
CUT = re.compile(r"(\+[A-Z ]+:[^\"]*)(AT\+.*)")
FINAL = re.compile(r"(OK|ERROR|NO CARRIER)$|\+CM[ES] ERROR|CONNECT( |$)")


class Step(NamedTuple):
    """The host sends a command, or the modem is heard."""

    sent: str = ""
    heard: bytes = b""


def steps(log: str) -> list[Step]:
    """Return what happened on the line of a recording."""
    found: list[Step] = []
    marked = any(MARK.match(STAMP.sub("", line, count=1)) for line in log.splitlines())
    mark, cut = "<", False
    for line in log.replace("\\ufffd", "\ufffd").splitlines():
        text = STAMP.sub("", line, count=1) if STAMP.match(line) else line
        if ASIDE.match(text):
            continue
        match = MARK.match(text) if marked else None
        if match:
            mark, text = match[0][0], text[match.end() :]
        if mark == ">":
            # A payload is sent, too, and is no command.
            found += [Step(sent=text)] if text[:2].upper() == "AT" else []
            continue
        if not text.strip():
            continue
        split = CUT.match(text)
        if LITERAL.match(text):
            heard = raw(text)
            command = heard.split(b"\r")[0].decode("latin-1")
            found += [Step(command), Step(heard=heard)] if heard[:2] == b"AT" else [Step(heard=heard)]
        elif split:
            found += [
                Step(heard=b"\r\n" + encode(split[1])),
                Step(split[2]),
                Step(heard=encode(split[2]) + b"\r"),
            ]
        elif text[:2].upper() == "AT":
            found += [] if marked else [Step(text)]
            found += [Step(heard=encode(text) + b"\r")]
        else:
            found += [Step(heard=(b"" if cut and text[0] == " " else b"\r\n") + encode(text) + b"\r\n")]
        cut = bool(split)
    return found


def raw(text: str) -> bytes:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return encode(text)
    return value if isinstance(value, bytes) else encode(value)


def encode(text: str) -> bytes:
    return "".join(char if ord(char) < 256 else "\xff" for char in text).encode("latin-1")


def events(log: list[Step], size: int, sends: bool) -> tuple[list, int]:
    """Feed a recording in pieces of `size` bytes; with `sends` the parser is told of each command."""
    parser = Parser()
    told: list[tuple[str, str | bytes]] = []
    talk = log if sends else [Step(heard=b"".join(step.heard for step in log))]
    for step in talk:
        if step.sent:
            parser.sent(step.sent)
        for at in range(0, len(step.heard), size):
            told += parser.feed(step.heard[at : at + size])
    return told, parser.dropped


def read(log: Path) -> list[Step]:
    return steps(log.read_bytes().decode("utf-8", "replace"))


def all_events(log: Path, talk: list[Step]) -> list:
    told, dropped = events(talk, 7, True)
    if dropped:
        pytest.skip(f"{dropped} lines of {log.name} are longer than is kept")
    return told


def heard_lines(log: list[Step]) -> list[str]:
    """The test's own idea of the lines: between CR and LF, without blanks around."""
    heard = b"".join(step.heard for step in log).decode("latin-1")
    printable = "".join(char if " " <= char <= "~" or char in "\r\n" else "?" for char in heard)
    return [line.strip() for line in re.split(r"[\r\n]+", printable) if line.strip()]


@needs_logs
@pytest.mark.parametrize("sends", [False, True], ids=["alone", "told what is sent"])
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_a_recording_gives_the_same_events_however_it_is_cut(log: Path, sends: bool) -> None:
    talk = read(log)
    whole = events(talk, 1 << 20, sends)
    assert events(talk, 7, sends) == whole
    assert events(talk, 1, sends) == whole


@needs_logs
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_the_text_of_a_log_itself_is_survived_too(log: Path) -> None:
    """Time stamps, remarks and all: nothing that a modem says, and no exception."""
    talk = [Step(heard=log.read_bytes())]
    assert events(talk, 1, False) == events(talk, 7, False) == events(talk, 1 << 20, False)


@needs_logs
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_nothing_of_a_recording_is_lost_and_nothing_invented(log: Path) -> None:
    talk = read(log)
    told = all_events(log, talk)
    counts = [f"+CARECV: {len(value)}," for kind, value in told if kind == "data"]
    values = counts + [value if isinstance(value, str) else value.decode("latin-1") for _, value in told]
    assert Counter("".join(values).replace(" ", "")) == Counter("".join(heard_lines(talk)).replace(" ", ""))


@needs_logs
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_echoes_and_final_results_of_a_recording_are_told_as_such(log: Path) -> None:
    talk = read(log)
    told = all_events(log, talk)
    echoes = [step.heard.split(b"\r")[0] for step in talk if step.heard[:2].upper() == b"AT"]
    assert [value for kind, value in told if kind == "echo"] == [text.decode("latin-1") for text in echoes]
    finals = [line for line in heard_lines(talk) if FINAL.match(line)]
    assert [value.split("AT")[0] for kind, value in told if kind == "final"] == [
        line.split("AT")[0] for line in finals
    ]


@needs_logs
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_what_a_recording_answers_is_info_of_its_command(log: Path) -> None:
    """Bare text and the +NAME: lines of the command that was sent or echoed last, until its final result."""
    parser = Parser()
    command = ""
    for step in read(log):
        if step.sent:
            command = step.sent
            parser.sent(command)
        for kind, value in parser.feed(step.heard):
            text = str(value)
            own = text.split(":")[0] == re.split(r"[?=]", command[2:].upper())[0]
            if kind == "echo":
                command = text
            elif kind == "final":
                command = ""
            elif kind == "info":
                assert command
                assert own or text[0] not in "+*$", f"{text} is no answer to {command}"
            elif kind == "urc":
                assert not command or not own or "REG" in text, f"{text} is an answer to {command}"


def test_a_recording_is_put_together_as_the_sheet_says() -> None:
    log = "\n".join(
        [
            "# a log of no modem",
            "[12:00:00.1] AT+A?",
            "12:00:00.200 +A: 1",
            "(300) OK",
            "[ 0.4s] <a pause>",
            "[...]",
            "12:00:01.1 +LATE:AT+B",
            "12:00:01.2  2",
            "AT+C=1",
            "> abc",
            "\\ufffd",
            "860000000000000",
            "b'AT+D\\r\\r\\n+D: 1\\r\\n'",
        ]
    )
    assert steps(log) == [
        Step("AT+A?"),
        Step(heard=b"AT+A?\r"),
        Step(heard=b"\r\n+A: 1\r\n"),
        Step(heard=b"\r\nOK\r\n"),
        Step(heard=b"\r\n+LATE:"),
        Step("AT+B"),
        Step(heard=b"AT+B\r"),
        Step(heard=b" 2\r\n"),
        Step("AT+C=1"),
        Step(heard=b"AT+C=1\r"),
        Step(heard=b"\r\n> abc\r\n"),
        Step(heard=b"\r\n\xff\r\n"),
        Step(heard=b"\r\n860000000000000\r\n"),
        Step("AT+D"),
        Step(heard=b"AT+D\r\r\n+D: 1\r\n"),
    ]
    marked = (
        "[1.0s] >>> AT\n[1.1s] <<< 'AT\\r\\r\\nOK\\r\\n'\n(2) >> AT+E\n(3) << \n+E: 1\nOK\n(4) >> no command"
    )
    assert steps(marked) == [
        Step("AT"),
        Step("AT"),
        Step(heard=b"AT\r\r\nOK\r\n"),
        Step("AT+E"),
        Step(heard=b"\r\n+E: 1\r\n"),
        Step(heard=b"\r\nOK\r\n"),
    ]


@pytest.mark.skipif(FOLDER != SHARED or not LOGS, reason=f"the folder is not {SHARED}")
def test_the_recordings_hold_enough_to_tell_something() -> None:
    count: Counter[str] = Counter()
    for log in LOGS:
        count.update(kind for kind, _ in events(read(log), 7, True)[0])
    print(dict(count))
    assert count["echo"] > 400
    assert count["final"] > 300
    assert min(count[kind] for kind in ("info", "urc")) > 50
    assert count["prompt"] >= 6
    assert count["data"] >= 2
