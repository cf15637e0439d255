"""
NMEA 0183 reader: a GNSS receiver's bytes in, parts of a fix out.

It does no I/O, keeps no time and joins nothing: what the sentences of one second mean together is gnss.py's
business. Numbers are integers from the text to the end: a float of the ESP32 has 24 bits, and a longitude
kept in one is 1.7 m off.

    reader = NMEAReader()
    for sentence in reader.feed(data):  # b"$GNRMC,...*hh"
        part = parse(sentence)  # Position, GSA, ZDA, or None for a sentence that is not used here

`time_ms` is UTC in ms since midnight, `day` is days since 1970-01-01, `lat_e7` and `lon_e7` are degrees x
10^7 (north and east positive), `hdop_e2` is HDOP x 100; None where the receiver does not tell.
"""

from collections import namedtuple

import gregorian
from micropython import const

# Of RMC, GGA, GNS and GLL alike; `kind` says which (bytes). When it is not `valid`, all after it is None:
# receivers without a fix fill it with rubbish (8960.000000), and rubbish must not hide the "no fix".
Position = namedtuple(
    "Position", ("kind", "valid", "time_ms", "lat_e7", "lon_e7", "day", "satellites", "hdop_e2")
)
# mode: 1 no fix, 2 two-dimensional, 3 three-dimensional, of the satellites that this one sentence lists.
GSA = namedtuple("GSA", ("mode", "hdop_e2"))
ZDA = namedtuple("ZDA", ("time_ms", "day"))

_DOLLAR = const(0x24)
_BANG = const(0x21)
_CR = const(0x0D)
_LF = const(0x0A)

# NMEA 0183 ends a sentence at 82 characters; receivers with many digits or systems go past it.
_MAX_SENTENCE = const(160)

# GGA quality: 0 none, 1 to 5 measured, 6 dead reckoning, 7 typed in by hand, 8 a simulator.
_FIX = const((b"A", b"D", b"1", b"2", b"3", b"4", b"5"))
_NO_FIX = const((b"", b"V", b"0", b"6", b"7", b"8", b"9"))
# The mode letters (since NMEA 0183 v2.3) of a measured position. E is dead reckoning, M by hand, S a
# simulator, N none. GNS has one letter for each system, and no status.
_MEASURED = const(b"ADFPR")

# How many fields there must be (later versions of NMEA have more); of positions the places of status, mode, time,
# latitude, date and satellites, too; 0: there is none.
_LAYOUT = {
    b"RMC": (10, 2, 12, 1, 3, 9, 0),
    b"GGA": (9, 6, 0, 1, 2, 0, 7),
    b"GNS": (9, 0, 6, 1, 2, 0, 7),
    b"GLL": (7, 6, 7, 5, 1, 0, 0),
    b"GSA": (3,),
    b"ZDA": (5,),
}


class NMEAError(Exception):
    """A sentence that says nothing that can be believed; the text tells which field."""


class NMEAReader:
    """
    Cut a receiver's byte stream into sentences.

    Whatever stands between two sentences (UBX, SiRF binary, noise) is passed over, and memory does not grow
    with it. Everything that is dropped is counted: `skipped` bytes outside sentences; sentences `garbled`
    (cut short, or with a byte in them that is not text), `too_long`, with a `bad_checksum`, `no_checksum`.
    """

    def __init__(self):
        self.skipped = 0
        self.garbled = 0
        self.too_long = 0
        self.bad_checksum = 0
        self.no_checksum = 0
        self._buffer = bytearray(_MAX_SENTENCE)
        self._length = 0
        self._checksums = False

    def feed(self, data):
        """Take any number of bytes, even one; return the list of sentences they complete, without CR LF."""
        sentences = []
        for byte in data:
            if byte == _DOLLAR or byte == _BANG:
                if self._length:
                    self.garbled += 1
                self._buffer[0] = byte
                self._length = 1
            elif byte == _CR or byte == _LF:
                if self._length:
                    self._end(sentences)
            elif not self._length:
                self.skipped += 1
            elif not 0x20 <= byte <= 0x7E:
                self.garbled += 1
                self._length = 0
            elif self._length == _MAX_SENTENCE:
                self.too_long += 1
                self._length = 0
            else:
                self._buffer[self._length] = byte
                self._length += 1
        return sentences

    def _end(self, sentences):
        sentence = bytes(self._buffer[: self._length])
        self._length = 0
        right = checksum_right(sentence)
        if right is None:
            # Old receivers send none at all. But from one that does, a sentence without is the stump of a
            # sentence that lost bytes, and a position in it may lack digits.
            if self._checksums:
                self.no_checksum += 1
                return
        elif not right:
            self.bad_checksum += 1
            return
        else:
            self._checksums = True
        sentences.append(sentence)


def checksum_right(sentence):
    """Return whether the two hex digits after `*` are the XOR of all between; None when there is no `*`."""
    star = sentence.rfind(b"*")
    if star < 0:
        return None
    xor = 0
    for byte in sentence[1:star]:
        xor ^= byte
    return sentence[star + 1 :].rstrip().upper() == b"%02X" % xor


def parse(sentence):
    """
    Return the part of a fix that one `sentence` (bytes, from `$` on, without CR LF) tells.

    None for a kind of sentence that is not used here. Any talker is accepted. Raises NMEAError for everything
    malformed, and nothing else.
    """
    if not 7 <= len(sentence) <= _MAX_SENTENCE or sentence[0] not in (_DOLLAR, _BANG):
        raise NMEAError("not a sentence")
    if checksum_right(sentence) is False:
        raise NMEAError("checksum")
    fields = sentence.split(b"*")[0].split(b",")
    kind = fields[0][3:]
    # $P is a maker's own: Garmin's $PGRMC is no RMC.
    if len(fields[0]) != 6 or sentence[0] != _DOLLAR or sentence[1] == 0x50 or kind not in _LAYOUT:
        return None
    if len(fields) < _LAYOUT[kind][0]:
        raise NMEAError("too few fields")
    if kind == b"GSA":
        if fields[2] not in (b"", b"1", b"2", b"3"):
            raise NMEAError("mode")
        return GSA(_fixed(fields[2], 0), _told(_fixed, fields[16], 2) if len(fields) > 16 else None)
    if kind == b"ZDA":
        return ZDA(_time_ms(fields[1]), _day(*[_fixed(fields[i], 0) for i in (4, 3, 2)]))
    return _parse_position(kind, fields)


def _parse_position(kind, fields):
    _, status, mode, time, lat, date, satellites = _LAYOUT[kind]
    valid = not status or fields[status] in _FIX
    if not valid and fields[status] not in _NO_FIX:
        raise NMEAError("status")
    letters = fields[mode] if mode and mode < len(fields) else b""
    if letters or not status:
        valid = valid and any([letter in _MEASURED for letter in letters])
    if not valid:
        return Position(kind, False, None, None, None, None, None, None)
    lat_e7 = lon_e7 = None
    # A receiver that claims a fix and leaves the place empty has told nothing.
    if fields[lat] or fields[lat + 2]:
        if fields[lat + 1] + fields[lat + 3] not in (b"NE", b"NW", b"SE", b"SW"):
            raise NMEAError("hemisphere")
        lat_e7 = degrees_e7(fields[lat], fields[lat + 1])
        lon_e7 = degrees_e7(fields[lat + 2], fields[lat + 3])
    return Position(
        kind,
        True,
        _time_ms(fields[time]),
        lat_e7,
        lon_e7,
        _told(_date, fields[date]) if date else None,
        _told(_fixed, fields[satellites], 0) if satellites else None,
        _told(_fixed, fields[satellites + 1], 2) if satellites else None,
    )


def _told(convert, *arguments):
    # A child's place is not thrown away for an odd date or HDOP beside it.
    try:
        return convert(*arguments)
    except NMEAError:
        return None


def degrees_e7(text, hemisphere):
    """
    Return degrees x 10^7 for NMEA's [d]ddmm.mmmm (bytes, any number of decimals) and b"N", b"S", b"E", b"W".

    Halves go away from zero, so that north and south are mirror images. Raises NMEAError for anything that is
    no number, 60 minutes or more, and a place that is not on earth.
    """
    # No partition(): the interpreter with 32-bit floats, on which this is tested, has none.
    dot = text.find(b".")
    whole = text if dot < 0 else text[:dot]
    decimals = b"" if dot < 0 else text[dot + 1 :]
    if len(whole) > 5 or not whole.isdigit() or not (whole + decimals).isdigit():
        raise NMEAError("degrees")
    if hemisphere not in (b"N", b"S", b"E", b"W"):
        raise NMEAError("hemisphere")
    one = 10 ** len(decimals)
    minutes = int(whole[-2:] + decimals)
    degree = 60 * one
    if minutes >= degree:
        raise NMEAError("minutes")
    e7 = int(b"0" + whole[:-2]) * 10000000 + (minutes * 20000000 + degree) // (2 * degree)
    if e7 > (900000000 if hemisphere in (b"N", b"S") else 1800000000):
        raise NMEAError("not on earth")
    return -e7 if hemisphere in (b"S", b"W") else e7


def _fixed(text, places):
    """Return the unsigned decimal `text` x 10^places as an integer, cut off there; None for an empty one."""
    if not text:
        return None
    whole, _, decimals = text.partition(b".")
    if not (whole + decimals).isdigit():
        raise NMEAError("number")
    return int(b"0" + whole + (decimals + b"000")[:places])


def _time_ms(text):
    value = _fixed(text, 3)
    if value is None:
        return None
    hours, minutes, ms = value // 10000000, value // 100000 % 100, value % 100000
    # A leap second is number 60.
    if hours > 23 or minutes > 59 or ms >= 61000:
        raise NMEAError("time")
    return (hours * 60 + minutes) * 60000 + ms


def _date(text):
    value = _fixed(text, 0)
    if value is None:
        return None
    if len(text) != 6:
        raise NMEAError("date")
    # GPS began in 1980. Which of its 1024-week rounds a receiver is in, the clock must judge.
    year = value % 100
    return _day(year + (1900 if year >= 80 else 2000), value // 100 % 100, value // 10000)


def _day(year, month, day):
    if None in (year, month, day):
        return None
    number = gregorian.day(year, month, day)
    if number is None:
        raise NMEAError("date")
    return number
