"""
Recordings of real receivers, and what gpsd made of them.

NAME.log is what the receiver sent; NAME.log.chk is gpsd's answer: the sentences again, and after those that
made it say something, JSON objects, of which the TPVs are the expected fixes. OBEREG_NMEA names the folder.
The log is fed as far as gpsd had read it, and each TPV must then be the fix. The rules of the comparison, for
every file alike:

* gpsd shows binary protocols as sentences of its own making. They are not in the log; a TPV that follows one
  is not from NMEA, until the receiver itself tells a position again.
* The receiver's own latest position sentence outranks gpsd on whether there is a fix. gpsd believes some that
  deny one (GGA quality 0 with a place in it, simulators, dead reckoning) and denies some that claim one (no
  satellites counted in GGA, GNS whose first letter is N): there the tag must do as the receiver says. Such
  TPVs must be few, unless gpsd itself marks them as not measured (status 5 to 8).
* A TPV without a mode or without a place says nothing about the fix.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import gnss
import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "nmea"
FOLDER = Path(os.environ.get("OBEREG_NMEA", SHARED))
LOGS = sorted(log for log in FOLDER.glob("*.log") if log.with_name(log.name + ".chk").exists())
TOLERANCE_E7 = 2
# gpsd leaves out what it cannot read, so the next of its sentences is not always the next of the log. But one
# this far on is another one that reads the same.
REACH_BYTES = 8192

# The test's own idea of a sentence and of what it claims, by other means than the parser's.
SENTENCE = re.compile(rb"[$!][A-Za-z0-9][^$!\r\n]*")
POSITION = re.compile(rb"\$[^P].(GGA|RMC|GLL|GNS),")
MEASURED = b"ADFPR"

SAME, NONE = "same place", "no fix"
NOT_NMEA, NO_MODE, NO_PLACE = "not from NMEA", "no mode", "no place"
BELIEVES, DENIES = "believed against the receiver", "denied against the receiver"
NOT_MEASURED = "not measured"


def replay(log: Path) -> Counter[str]:
    """Count the verdicts on the TPVs of `log`; AssertionError, with file and line, at the first wrong one."""
    stream = without_remarks(log.read_bytes())
    sent = {match.group() for match in SENTENCE.finditer(stream)}
    count: Counter[str] = Counter()
    receiver = gnss.Receiver()
    at = 0
    position = None  # the receiver's latest position sentence, None after one that it has not sent
    for number, line in enumerate(chk_of(log).splitlines(), 1):
        if line[:1] in (b"$", b"!"):
            found = stream.find(line, at, at + REACH_BYTES) if line in sent else -1
            if found < 0:
                position = None
                continue
            end = found + len(line)
            receiver.feed(stream[at:end] + b"\r\n", number)
            at = end
            if claims(line) is not None:
                position = line
        elif line.startswith(b'{"class":"TPV"'):
            try:
                count[compare(json.loads(line), receiver.fix(), position)] += 1
            except AssertionError as e:
                raise AssertionError(f"{log.name}.chk:{number}: {e}") from None
    receiver.feed(stream[at:], 0)
    if not any(match.group() in chk_of(log) for match in SENTENCE.finditer(stream)):
        assert receiver.fix() is None, f"{log.name} holds no NMEA"
    return count


def compare(tpv: dict[str, Any], fix: gnss.Fix | None, position: bytes | None) -> str:
    if position is None:
        return NOT_NMEA
    mode, claimed = tpv.get("mode", 0), claims(position)
    if mode == 0:
        return NO_MODE
    if mode == 1 and claimed and fix is not None:
        return DENIES
    if mode == 1:
        assert fix is None, f"{fix} where there is no fix"
        return NONE
    if "lat" not in tpv or "lon" not in tpv:
        return NO_PLACE
    if not claimed:
        assert fix is None, f"{fix} after {position!r}"
        return NOT_MEASURED if tpv.get("status", 1) in (5, 6, 7, 8) else BELIEVES
    assert fix is not None, f"no fix, but gpsd has {tpv}"
    off_e7 = max(abs(fix.lat_e7 - tpv["lat"] * 1e7), abs(fix.lon_e7 - tpv["lon"] * 1e7))
    assert off_e7 <= TOLERANCE_E7, f"{fix} is not {tpv}"
    return SAME


def claims(sentence: bytes) -> bool | None:
    """Return True for a `sentence` that claims a measured place, False if it denies one, None if neither."""
    if not POSITION.match(sentence):
        return None
    field = sentence.partition(b"*")[0].split(b",") + [b""] * 13
    kind = field[0][3:]
    if kind == b"GGA":
        claim, place = field[6] in (b"1", b"2", b"3", b"4", b"5"), field[2]
    elif kind == b"GNS":
        claim, place = any(c in MEASURED for c in field[6]), field[2]
    else:
        status, mode, place = [field[i] for i in ((2, 12, 3) if kind == b"RMC" else (6, 7, 1))]
        claim = status == b"A" and mode in MEASURED
    return None if claim and not place else claim


def without_remarks(stream: bytes) -> bytes:
    return re.sub(rb"(?m)^#[\t\x20-\x7e]*\r?\n", b"", stream)


def chk_of(log: Path) -> bytes:
    return log.with_name(log.name + ".chk").read_bytes()


def places_after_claims(log: Path) -> int:
    """Return how many TPVs with a place follow a sentence of the log that claims one."""
    stream = without_remarks(log.read_bytes())
    places, claimed = 0, False
    for line in chk_of(log).splitlines():
        if line[:1] == b"$":
            word = claims(line) if line in stream else False
            claimed = claimed if word is None else word
        elif line.startswith(b'{"class":"TPV"') and b'"lat"' in line:
            places += claimed
    return places


@pytest.mark.skipif(not LOGS, reason=f"no recordings in {FOLDER} (set OBEREG_NMEA)")
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_every_fix_of_the_recording_is_reproduced(log: Path) -> None:
    count = replay(log)
    print(f"{log.name:28} {dict(count)}")
    from_nmea = count.total() - count[NOT_NMEA] - count[NOT_MEASURED]
    assert count[BELIEVES] + count[DENIES] <= max(4, from_nmea // 4), count
    assert count[SAME] >= places_after_claims(log) * 9 // 10, f"too few were compared: {count}"
    if any(claims(m.group()) and m.group() in chk_of(log) for m in SENTENCE.finditer(log.read_bytes())):
        assert count[SAME], f"none was compared: {count}"


@pytest.mark.skipif(FOLDER != SHARED or not LOGS, reason=f"the folder is not {SHARED}")
def test_the_comparison_is_not_empty() -> None:
    total: Counter[str] = sum((replay(log) for log in LOGS), Counter())
    assert total[SAME] >= 400, total
    assert total[NONE] >= 25, total


def test_a_place_that_is_three_units_off_is_noticed() -> None:
    fix = gnss.Fix(10000000, 20000000, 10, None, 0)
    line = b"$GPGLL,0100.00000,N,00200.00000,E,120000,A"
    assert compare({"mode": 3, "lat": 1.0, "lon": 2.0}, fix, line) == SAME
    with pytest.raises(AssertionError, match="is not"):
        compare({"mode": 3, "lat": 1.0, "lon": 2.0000003}, fix, line)
    with pytest.raises(AssertionError, match="no fix"):
        compare({"mode": 3, "lat": 1.0, "lon": 2.0}, None, line)
    with pytest.raises(AssertionError, match="where there is no fix"):
        compare({"mode": 1}, fix, line.replace(b",A", b",V"))
