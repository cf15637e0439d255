"""
What can go wrong with one answer of the modem, and the faults around it.

A kind takes the tap and the answer, and returns what arrives instead. Positions, values and texts are drawn from the
tap's dice, which the run's name seeds.
"""

from collections.abc import Sequence

from faults.dialogue.tap import Answer, Kind, Tap

# The harmless, those that the driver acts on, and a registration that is lost.
URCS = (
    b"OVER-VOLTAGE WARNNING",
    b"SMS Ready",
    b"RDY",
    b"+CPIN: READY",
    b"+CPIN: NOT READY",
    b"NORMAL POWER DOWN",
    b"+CEREG: 3",
    b"+APP PDP: 0,DEACTIVE",
    b"+APP PDP: 0,ACTIVE",
    b"+CADATAIND: 0",
    b"+CADATAIND: 1",
    b"+CASTATE: 0,0",
    b"+CASTATE: 1,0",
    b'*PSUTTZ: 26/09/21,12:00:00","+08",0',
)
_MUTE_S = 75
# CASEND: a payload is awaited for 1 s.
_PAYLOAD_S = 1


def _line(text: bytes) -> bytes:
    return b"\r\n" + text + b"\r\n"


def _late(seconds: float) -> Kind:
    def late(tap: Tap, data: bytes) -> bytes:
        tap.wire.hold(seconds)
        return data

    return late


def _garbled(tap: Tap, data: bytes) -> bytes:
    at = tap.dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ tap.dice.randrange(1, 256)]) + data[at + 1 :]


def _digit(tap: Tap, data: bytes) -> bytes:
    """The nastiest byte: a number that is another number. Where there is none a letter is another letter."""
    places = [at for at, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    at = tap.dice.choice(places or range(len(data)))
    other = tap.dice.choice([byte for byte in b"0123456789" if byte != data[at]])
    return data[:at] + bytes([other]) + data[at + 1 :]


def _ends(tap: Tap, data: bytes) -> bytes:
    """One of the bytes that frame a line: where it begins, where it ends."""
    at = tap.dice.choice([0, 1, len(data) - 2, len(data) - 1]) % len(data)
    return data[:at] + bytes([data[at] ^ tap.dice.choice([0x01, 0x20, 0x80])]) + data[at + 1 :]


def _cut_half(tap: Tap, data: bytes) -> bytes:
    return data[: len(data) // 2]


def _cut(tap: Tap, data: bytes) -> bytes:
    return data[: tap.dice.randrange(len(data))]


def _swapped(tap: Tap, data: bytes) -> bytes:
    tap.withhold(data)
    return b""


def _cme(tap: Tap, data: bytes) -> bytes:
    return _line(b"+CME ERROR: %d" % tap.dice.choice([3, 10, 14, 30, 100, 767]))


def _urc_before(tap: Tap, data: bytes) -> bytes:
    return _line(tap.dice.choice(URCS)) + data


def _urc_inside(tap: Tap, data: bytes) -> bytes:
    """Between two of its lines; in a prompt and in what has no lines, before its last byte."""
    places = [at + 2 for at in range(len(data) - 2) if data[at : at + 2] == b"\r\n"] or [len(data) - 1]
    at = tap.dice.choice(places)
    return data[:at] + _line(tap.dice.choice(URCS)) + data[at:]


def _event(kind: str, says: bool) -> Kind:
    def event(tap: Tap, data: bytes) -> bytes:
        tap.modem_fault(kind)
        return data if says else b""

    return event


def _armed(kind: str, within_s: float) -> Kind:
    def armed(tap: Tap, data: bytes) -> bytes:
        tap.modem_fault(kind, within_s)
        return data

    return armed


def _mute(tap: Tap, data: bytes) -> bytes:
    tap.mute(_MUTE_S)
    return b""


def _deaf(tap: Tap, data: bytes) -> bytes:
    tap.deaf(_MUTE_S)
    return b""


ON_ANSWERS: dict[str, Kind] = {
    "missing": lambda tap, data: b"",
    "late-1": _late(1),
    "late-10": _late(10),
    "late-60": _late(60),
    "cut-half": _cut_half,
    "cut": _cut,
    "garbled": _garbled,
    "garbled-digit": _digit,
    "garbled-end": _ends,
    "doubled": lambda tap, data: data + data,
    "swapped": _swapped,
    "error": lambda tap, data: _line(b"ERROR"),
    "cme-error": _cme,
    "urc-before": _urc_before,
    "urc-inside": _urc_inside,
    "reset": _event("reset", says=False),
    "mute-75": _mute,
    "dead": _event("dead", says=False),
    "pdp-dropped": _event("pdp_drop", says=True),
}
# Of the modem itself: given to it one answer before it can act.
BEFORE: dict[str, Kind] = {
    "no-prompt": _armed("no_prompt", _PAYLOAD_S),
    "prompt-cut": _armed("prompt_cut", _PAYLOAD_S),
    "closed-while-sending": _armed("close_while_sending", _PAYLOAD_S),
    "caopen-mute": _armed("caopen_mute", _MUTE_S),
}
DEAF = "cadataind-lost"
KINDS: dict[str, Kind] = {**ON_ANSWERS, **BEFORE, DEAF: _deaf}
# What may reach the driver as another text than the modem said: only then may a message of the desk be refused.
CORRUPTING = ("cut", "cut-half", "garbled", "garbled-digit", "garbled-end")


def fitting(answers: Sequence[Answer], number: int) -> list[str]:
    """The kinds that can go wrong with that answer."""
    names = list(ON_ANSWERS)
    here = answers[number]
    if here.data.startswith(b"\r\n+CADATAIND"):
        names.append(DEAF)
    if number + 1 < len(answers):
        after = answers[number + 1]
        prompts = after.data.endswith(b">") or after.data == b"\r\nDOWNLOAD\r\n"
        if prompts:
            names.append("no-prompt")
        if prompts and after.command.startswith("AT+CASEND"):
            names += ["prompt-cut", "closed-while-sending"]
        if after.command.startswith("AT+CAOPEN") and here.command != after.command:
            names.append("caopen-mute")
    return names
