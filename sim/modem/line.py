"""
The line protocol: a command line in, requests out; answers, errors and URCs as bytes. Sheet 1 and 2.4.

Nothing here waits or writes.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_LINE = 559  # characters after AT, sheet 1
MAX_COMMANDS = 39  # per line, sheet 1

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
SYNTAX, NOT_ALLOWED, NO_SIM, SIM_PIN, SIM_PUK, SIM_BUSY, WRONG_PASSWORD = 603, 3, 10, 11, 12, 14, 16
NOT_FOUND, COUNT, RANGE, TYPE, FAILED, RF_OFF = 22, 791, 792, 793, 767, 797

# Sheet 2.4. Lower case on this family, sheet 1 trap 4.
TEXTS = {
    NOT_ALLOWED: "operation not allowed",
    4: "operation not supported",
    NO_SIM: "SIM not inserted",
    SIM_PIN: "SIM PIN required",
    SIM_PUK: "SIM PUK required",
    13: "SIM failure",
    SIM_BUSY: "SIM busy",
    WRONG_PASSWORD: "incorrect password",
    20: "memory full",
    21: "invalid index",
    NOT_FOUND: "not found",
    30: "no network service",
    31: "network timeout",
    100: "unknown",
    SYNTAX: "syntax error",
    765: "invalid input value",
    FAILED: "operation failed",
    772: "SIM powered down",
    COUNT: "parameter count error",
    RANGE: "parameter range error",
    TYPE: "parameter type error",
    RF_OFF: "CFUN is 0 or 4",
}

_EXTENDED = re.compile(r"[+*$][A-Za-z][A-Za-z0-9]*")
_BASIC = re.compile(r"(&?[A-Za-z])(\d*)")


class AtError(Exception):
    """A command that is refused. code: of sheet 2.4; None = a plain ERROR whatever CMEE says."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


class Silence(Exception):
    """A command that gets no answer at all: the modem goes on with the next line."""


class Request(NamedTuple):
    """One command of a line. name: upper case; kind: run, read, write or test; args: text behind the =."""

    name: str
    kind: str
    args: str = ""


def info(*lines: str | bytes) -> bytes:
    """Return an information answer, which is a URC's form too. Lines stand without an empty line between."""
    raw = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    return b"\r\n" + b"\r\n".join(raw) + b"\r\n"


def error(code: int | None, cmee: int) -> bytes:
    """Return the final result of a refused command in the form that CMEE asks for. Sheet 2.4."""
    if code is None or cmee == 0:
        return ERROR
    return info(f"+CME ERROR: {code if cmee == 1 else TEXTS.get(code, 'unknown')}")


def split(text: str, separator: str) -> list[str]:
    """Split outside of quotes."""
    parts, quoted = [""], False
    for char in text:
        if char == '"':
            quoted = not quoted
        if char == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def requests(body: str) -> list[Request]:
    """Return the commands of what stands between AT and CR. AtError: nothing of the line is to be executed."""
    if len(body) > MAX_LINE:
        raise AtError(None)
    found: list[Request] = []
    for part in split(body, ";"):
        found += _of_part(part.strip())
    if len(found) > MAX_COMMANDS:
        raise AtError(None)
    return found


def _of_part(part: str) -> Iterable[Request]:
    """A run of basic commands (E0V1), at the end perhaps an extended one."""
    found: list[Request] = []
    while part:
        match = _EXTENDED.match(part)
        if match:
            rest = part[match.end() :]
            name = match[0].upper()
            if rest == "=?":
                return [*found, Request(name, "test")]
            if rest == "?":
                return [*found, Request(name, "read")]
            if rest[:1] == "=":
                return [*found, Request(name, "write", rest[1:])]
            if rest:
                raise AtError(None)
            return [*found, Request(name, "run")]
        match = _BASIC.match(part)
        if match is None:
            raise AtError(None)
        found.append(Request(match[1].upper(), "write" if match[2] else "run", match[2]))
        part = part[match.end() :]
    return found
