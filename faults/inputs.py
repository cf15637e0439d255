"""
What the fuzz feeds: recordings and tables of the sheet, broken by mutation, and mixtures of their words.

    make = Inputs("nmea", seed)
    make()                         # the next bytes; the same for the same seed
"""

import copy
import json
import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cbor2

from desk import token
from faults import ROOT

_KID = bytes.fromhex("0123456789abcdef01")
_SHARED = ROOT.parent / "shared" / "data"
_CLAIMS = [
    token.ack(bytes(8), b"\1" * 8, 3, 2, b"\2" * 8, 1_790_000_000),
    token.state_ack(bytes(8), b"\1" * 8, b"\2" * 8, 1_790_000_000),
    {6: 1_790_000_000, -65537: {0: 33, 1: bytes(8), 4: bytes(8), 5: 1, 6: [1, "x"], 8: 9}},
    {
        7: bytes(8),
        264: {1: 50.4501, 2: 30.5234, 4: 12, 9: 3},
        -65537: {0: 1, 4: [255, 1, 2, 3, -90], 7: "дім"},
    },
]
_CONFIG = {
    "board": "tag-a",
    "broker": {"host": "broker.example", "port": 8883, "tls": True, "name": "b", "ca": "/ca.der"},
    "apn": "iot",
    "bands": "3,8,20",
    "wifi": [["home", "12345678"], ["open", ""]],
    "hold_ms": 600,
    "discreet": False,
    "heartbeat_s": 600,
    "keep_alive_s": 18000,
    "crc": 1,
}
_CGNSINF = "1,1,20260225020342.000,50.450100,30.523400,239.132,0.00,,0,,1.6,1.9,1.0,,6,,17.1,24.0"
_PUBLISH = b"\x32\x0a\0\4down\0\7\xd8\x3d"

# Whole pieces, and the words that mixtures are made of.
_WORDS: dict[str, list[bytes]] = {
    "at": b"\r\n|\r|OK|ERROR|+CME ERROR: 10|>|> |DOWNLOAD|RDY|+CARECV: |1460,|2,|+CEREG: 0,5|+CEREG: 1|AT|,|:|+|"
    b"+CADATAIND: 0|+CAOPEN: 0,0|+CASTATE: 0,1|+APP PDP: 0,DEACTIVE|+CPIN: READY|AT+IPR?|+IPR: 0|NORMAL POWER DOWN|"
    b"AT+CARECV=0,1460|CONNECT 9|NO CARRIER|+CASEND: |+CSQ: 17,99".split(b"|"),
    "fix": b"1|0|,|,,|.|-|20260225020342.000|99999999999999|50.4501|-180.000001|9999|+CGNSINF: |?|x|: ".split(
        b"|"
    ),
    "nmea": b"$|GN|GP|RMC|GGA|GNS|GLL|GSA|ZDA|,|,,,|A|V|N|S|E|W|*|\r\n|.|4404.14063|12118.85478|180315|171926.00|"
    b"9999999999|\xb5b|\0|!|-".split(b"|"),
    "cbor": [
        bytes([n])
        for n in (0, 23, 24, 27, 0x3B, 0x40, 0x58, 0x5B, 0x60, 0x80, 0x9B, 0xA1, 0xBB, 0xD8, 0xF4, 0xFB)
    ]
    + [b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\xc3\x28", b"\xf9\x3c\x00", b"\x9f", b"\xff"],
    "mqtt": [
        _PUBLISH,
        b"\x20\2\0\0",
        b"\x40\2\0\1",
        b"\x90\3\0\1\1",
        b"\xd0\0",
        b"\x30",
        b"\x32",
        b"\xff\xff\x7f",
        b"\x80",
    ],
    "config": b'{|}|[|]|"board"|"broker"|"wifi"|:|,|null|true|1e999|-1|99999999999999999999|"x"|"\\ud800"'.split(
        b"|"
    ),
}
_WORDS["cbor"] += [b"\x81" * 2500, b"\xd8\x3d" * 1400]
_WORDS["at"] += [
    b"\xff",
    b"\0",
    b'*PSUTTZ: 26/04/11,03:19:19","+32",0',
    b"\r\n+CARECV: 1999," + bytes(1999),
    b"y" * 599,
]
for _name, _like in (
    ("envelope", "cbor"),
    ("claims", "cbor"),
    ("desk", "cbor"),
    ("record", "cbor"),
    ("line", "at"),
):
    _WORDS[_name] = _WORDS[_like]


# Values that a field may hold and should not, or just may.
_ODD_JSON: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    65535,
    65536,
    10**30,
    0.5,
    "",
    "x",
    "x" * 129,
    "дім",
    [],
    {},
    [[]],
    ["x"],
    {"x": 1},
]
_ODD: list[Any] = [
    *_ODD_JSON,
    b"",
    bytes(7),
    bytes(8),
    bytes(9),
    (1 << 32) - 1,
    1 << 32,
    (1 << 64) - 1,
    -(1 << 64),
    {1: 2},
]
_SHAPES: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "config": (json.dumps, [_CONFIG]),
    "claims": (cbor2.dumps, _CLAIMS),
    "desk": (cbor2.dumps, _CLAIMS),
    "record": (cbor2.dumps, [["received", bytes(8), bytes(8), 2, 1]]),
}


def _files(variable: str, folder: str, pattern: str) -> list[bytes]:
    found = sorted(Path(os.environ.get(variable, _SHARED / folder)).glob(pattern))
    return [path.read_bytes()[:20000] for path in found]


def _lines(texts: list[bytes], lines: int) -> list[bytes]:
    pieces = []
    for text in texts:
        rows = text.replace(b"\r\n", b"\n").split(b"\n")
        pieces += [b"\r\n".join(rows[n : n + lines]) + b"\r\n" for n in range(0, len(rows), lines)]
    return pieces


@cache
def corpus(parser: str) -> list[bytes]:
    """What is right, or was heard of real devices."""
    if parser in ("at", "line"):
        whole = [
            b"\r\n+CEREG: 0,5\r\n\r\nOK\r\n",
            b"\r\n+CARECV: 5,hello\r\nOK\r\n",
            b"AT\r\r\nOK\r\n",
            b"\r\n> ",
        ]
        return whole + _lines(_files("OBEREG_AT", "at", "*.txt"), 4)
    if parser == "fix":
        return [b"+CGNSINF: " + _CGNSINF.encode(), _CGNSINF.encode().replace(b"50.45", b"-0.00")]
    if parser == "nmea":
        rows = [b"$GNRMC,171926.00,A,4404.14063,N,12118.85478,W,0.117,,180315,,,A*76\r\n"]
        rows.append(b"$GNGNS,053232.438,3114.8789,N,12135.2442,E,ANNA,07,1.2,153.8,8.3,,0000*5F\r\n")
        rows.append(
            b"$GNZDA,000941.00,10,01,2017,00,00*70\r\n$GNGSA,A,3,67,83,76,82,68,,,,,,,,1.56,0.91,1.27*1D\r\n"
        )
        return rows + _lines(_files("OBEREG_NMEA", "nmea", "*.log"), 3)
    if parser == "mqtt":
        return [word for word in _WORDS["mqtt"] if len(word) > 1]
    if parser == "config":
        least = {"board": "tag-a", "broker": {"host": "h"}}
        return [json.dumps(value).encode() for value in (_CONFIG, least)]
    claims = [cbor2.dumps(value) for value in _CLAIMS]
    if parser == "record":
        return [cbor2.dumps(["received", bytes(8), bytes(8), 2, 1])]
    if parser in ("claims", "desk"):
        return claims
    tokens = [token.seal(value, bytes(32), _KID) for value in _CLAIMS]
    return tokens if parser == "envelope" else tokens + claims


class Inputs:
    """The inputs of one parser."""

    def __init__(self, parser: str, seed: int) -> None:
        self._dice = random.Random(f"{parser} {seed}")
        self._corpus = corpus(parser)
        self._words = _WORDS[parser]
        self._seals = parser == "nmea"
        self._shapes = _SHAPES.get(parser)
        self._ways: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._replace,
            self._insert,
            self._remove,
            self._double,
            self._splice,
            self._word,
            self._cut,
        )

    def __call__(self) -> bytes:
        dice = self._dice
        if self._shapes and dice.random() < 0.4:
            return self._shaped()
        if dice.random() < 0.3:
            data = bytearray(b"".join(dice.choices(self._words, k=dice.randint(1, 20))))
        else:
            data = bytearray(dice.choice(self._corpus))
        for _ in range(dice.choice((0, 1, 1, 2, 3, 8))):
            dice.choice(self._ways)(data)
        del data[3000:]
        return _sealed(bytes(data)) if self._seals and dice.random() < 0.5 else bytes(data)

    def _shaped(self) -> bytes:
        """A value of the right form but for a part or two, rightly encoded."""
        dice = self._dice
        dump, shapes = self._shapes or (repr, [])
        value = copy.deepcopy(dice.choice(shapes))
        for _ in range(dice.choice((1, 1, 2))):
            at = value
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = dice.choice(keys)
            while isinstance(at[key], dict | list) and at[key] and dice.random() < 0.7:
                at = at[key]
                key = dice.choice(list(at) if isinstance(at, dict) else list(range(len(at))))
            if isinstance(at, dict) and dice.random() < 0.1:
                del at[key]
                break
            at[key] = copy.deepcopy(dice.choice(_ODD_JSON if dump is json.dumps else _ODD))
        made = dump(value)
        return made.encode() if isinstance(made, str) else made

    def _at(self, data: bytearray) -> int:
        return self._dice.randint(0, len(data))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._dice.randrange(len(data))] ^= 1 << self._dice.randrange(8)

    def _replace(self, data: bytearray) -> None:
        if data:
            data[self._dice.randrange(len(data))] = self._dice.choice(
                (0, 0x7F, 0x80, 0xFF, self._dice.randrange(256))
            )

    def _insert(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = self._dice.randbytes(self._dice.choice((1, 2, 8, 200)))

    def _remove(self, data: bytearray) -> None:
        at = self._at(data)
        del data[at : at + self._dice.choice((1, 2, 8, 50))]

    def _double(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = data[at : at + self._dice.choice((1, 4, 20))] * self._dice.choice((1, 2, 40))

    def _splice(self, data: bytearray) -> None:
        other = self._dice.choice(self._corpus)
        data[self._at(data) :] = other[self._dice.randint(0, len(other)) :]

    def _word(self, data: bytearray) -> None:
        at = self._at(data)
        data[at : at + self._dice.choice((0, 1, 4))] = self._dice.choice(self._words)

    def _cut(self, data: bytearray) -> None:
        del data[self._at(data) :]


def _sealed(data: bytes) -> bytes:
    """Put a right checksum at the end of each sentence: behind it lies the rest of the parser."""
    rows = []
    for row in data.split(b"\r\n"):
        start, end = row.rfind(b"$"), row.rfind(b"*")
        if start >= 0:
            body = row[start + 1 : end] if end > start else row[start + 1 :]
            xor = 0
            for byte in body:
                xor ^= byte
            row = b"$" + body + b"*%02X" % xor
        rows.append(row)
    return b"\r\n".join(rows)
