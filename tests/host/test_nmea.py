"""NMEA sentences: framing, fields, degrees; the five tests of every parser, and the same on MicroPython."""

import json
import subprocess
import sys
import tracemalloc
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nmea import GSA, ZDA, NMEAError, NMEAReader, Position, checksum_right, degrees_e7, parse

ROOT = Path(__file__).parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")


def sealed(body: str) -> bytes:
    """Return `body` as a sentence: dollar sign, checksum."""
    xor = 0
    for byte in body.encode():
        xor ^= byte
    return b"$%s*%02X" % (body.encode(), xor)


def day(year: int, month: int, of_month: int) -> int:
    return (date(year, month, of_month) - date(1970, 1, 1)).days


def nothing(kind: bytes) -> Position:
    return Position(kind, False, None, None, None, None, None, None)


# Written out byte for byte, checksums and all, as receivers sent them.
VECTORS = [
    pytest.param(
        b"$GNRMC,171926.00,A,4404.14063,N,12118.85478,W,0.117,,180315,,,A*76",
        Position(b"RMC", True, 62366000, 440690105, -1213142463, day(2015, 3, 18), None, None),
        id="RMC",
    ),
    pytest.param(
        b"$GPRMC,225308,A,4527.458,S,16709.165,E,000.0,094.5,060601,024.1,E*6D",
        Position(b"RMC", True, 82388000, -454576333, 1671527500, day(2001, 6, 6), None, None),
        id="RMC of NMEA 2.0, whose last field is no mode",
    ),
    pytest.param(
        b"$GNRMC,120213.000,A,5957.0062,N,01100.6429,E,0.00,0.00,310722,,,D,V*0A",
        Position(b"RMC", True, 43333000, 599501033, 110107150, day(2022, 7, 31), None, None),
        id="RMC whose navigational status says nothing about the fix",
    ),
    pytest.param(
        b"$GPRMC,081434.590,V,5212.978993,N,00653.097906,E,0.052,0.00,230808,,,N*46",
        nothing(b"RMC"),
        id="RMC V",
    ),
    pytest.param(
        b"$GPGGA,161224.89,4629.8922698,N,00734.0836864,E,1,06,1.49,1330.28,M,45.589,M,,*53",
        Position(b"GGA", True, 58344890, 464982045, 75680614, None, 6, 149),
        id="GGA",
    ),
    pytest.param(
        b"$GPGGA,235946.005,8960.000000,N,00000.000000,E,0,0,,137.000,M,13.000,M,,*49",
        nothing(b"GGA"),
        id="GGA 0",
    ),
    pytest.param(
        b"$GPGGA,125106,3854.5087,N,07726.4523,W,8,10,2.0,268.8,M,-33.9,M,,*7F",
        nothing(b"GGA"),
        id="GGA of a simulator",
    ),
    pytest.param(
        b"$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*66",
        Position(b"GLL", True, 62365000, 440690110, -1213142468, None, None, None),
        id="GLL",
    ),
    pytest.param(b"$GPGLL,3854.5087,N,07726.4523,W,125106,V,S*55", nothing(b"GLL"), id="GLL V"),
    pytest.param(
        b"$GNGNS,053232.438,3114.8789,N,12135.2442,E,ANNA,07,1.2,153.8,8.3,,0000*5F",
        Position(b"GNS", True, 19952438, 312479817, 1215874033, None, 7, 120),
        id="GNS, two of four systems",
    ),
    pytest.param(b"$GNGNS,191434.96,,,,,NNN,,,,,,*36", nothing(b"GNS"), id="GNS N"),
    pytest.param(b"$GNGSA,A,3,67,83,76,82,68,,,,,,,,1.56,0.91,1.27*1D", GSA(3, 91), id="GSA"),
    pytest.param(b"$GPGSA,A,1,,,,,,,,,,,,,,,*1E", GSA(1, None), id="GSA 1"),
    pytest.param(b"$GNZDA,000941.00,10,01,2017,00,00*70", ZDA(581000, day(2017, 1, 10)), id="ZDA"),
    pytest.param(sealed("GPGST,082356.00,1.8,,,,1.73,1.261,2.2"), None, id="GST, not used"),
    pytest.param(b"$GPVTG,,T,,M,,N,,K,N*2C", None, id="unknown kind"),
    pytest.param(b"!AIVDO,1,1,,,B3aC3LP00063aj7RNpl03wSUwP06,0*43", None, id="AIS"),
    pytest.param(sealed("PGRMC,A,218.8,A,6378137.000,298.257223563,0,0,0,A,3,1"), None, id="Garmin's PGRMC"),
    pytest.param(
        b"$GPGLL,3348.452,N,11821.142,W,142214,A",
        Position(b"GLL", True, 51734000, 338075333, -1183523667, None, None, None),
        id="no checksum",
    ),
]


@pytest.mark.parametrize(("sentence", "part"), VECTORS)
def test_a_sentence_becomes_exactly_this_part(sentence: bytes, part: object) -> None:
    assert parse(sentence) == part


MALFORMED = [
    pytest.param(b"", "not a sentence", id="nothing"),
    pytest.param(b"$", "not a sentence", id="dollar"),
    pytest.param(b"GPGLL,4404.1,N,12118.8,W,171925,A", "not a sentence", id="no dollar"),
    pytest.param(b"$GPGLL," + b"1" * 200, "not a sentence", id="too long"),
    pytest.param(b"$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*67", "checksum", id="wrong checksum"),
    pytest.param(b"$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*6", "checksum", id="half a checksum"),
    pytest.param(b"$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*", "checksum", id="empty checksum"),
    pytest.param(b"$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*zz", "checksum", id="checksum not hex"),
    pytest.param(sealed("GPGLL,4404.14066,N,12118.85481,W"), "too few fields", id="GLL of NMEA 1.5"),
    pytest.param(sealed("GPRMC,171926.00,A,4404.14063,N,121"), "too few fields", id="RMC cut short"),
    pytest.param(sealed("GPGGA,161224,4629.8,N,00734.0,E,1"), "too few fields", id="GGA cut short"),
    pytest.param(sealed("GPGSA,A"), "too few fields", id="GSA cut short"),
    pytest.param(sealed("GPGLL,4404.1,N,12118.8,W,171925,X"), "status", id="status X"),
    pytest.param(sealed("GPGGA,161224,4629.8,N,00734.0,E,A1,06,1.4"), "status", id="quality A1"),
    pytest.param(sealed("GPGSA,A,4,,,,,,,,,,,,,,,"), "mode", id="GSA mode 4"),
    pytest.param(sealed("GPGLL,4460.0,N,12118.8,W,171925,A"), "minutes", id="60 minutes"),
    pytest.param(sealed("GPGLL,8960.000000,N,00000.0,E,171925,A"), "minutes", id="8960 with a fix"),
    pytest.param(sealed("GPGLL,9000.001,N,12118.8,W,171925,A"), "not on earth", id="past the pole"),
    pytest.param(sealed("GPGLL,4404.1,N,18000.001,W,171925,A"), "not on earth", id="longitude over 180"),
    pytest.param(sealed("GPGLL,4404.1,E,12118.8,W,171925,A"), "hemisphere", id="latitude east"),
    pytest.param(sealed("GPGLL,4404.1,N,12118.8,S,171925,A"), "hemisphere", id="longitude south"),
    pytest.param(sealed("GPGLL,4404.1,,12118.8,W,171925,A"), "hemisphere", id="no hemisphere"),
    pytest.param(sealed("GPGLL,4404.1,N,,W,171925,A"), "degrees", id="half a place"),
    pytest.param(sealed("GPGLL,44o4.1,N,12118.8,W,171925,A"), "degrees", id="a letter in the degrees"),
    pytest.param(sealed("GPGLL,-404.1,N,12118.8,W,171925,A"), "degrees", id="minus"),
    pytest.param(sealed("GPGLL,4404.1.1,N,12118.8,W,171925,A"), "degrees", id="two points"),
    pytest.param(sealed("GPGLL,4_04.1,N,12118.8,W,171925,A"), "degrees", id="underscore, which int() takes"),
    pytest.param(sealed("GPGLL, 404.1,N,12118.8,W,171925,A"), "degrees", id="blank, which int() takes"),
    pytest.param(sealed("GPGLL,.1,N,12118.8,W,171925,A"), "degrees", id="no whole minutes"),
    pytest.param(sealed("GPGLL,123456.1,N,12118.8,W,171925,A"), "degrees", id="six digits"),
    pytest.param(sealed("GPGLL,4404.1,N,12118.8,W,240000,A"), "time", id="24 o'clock"),
    pytest.param(sealed("GPGLL,4404.1,N,12118.8,W,126000,A"), "time", id="60 minutes past"),
    pytest.param(sealed("GPGLL,4404.1,N,12118.8,W,125961,A"), "time", id="61 seconds"),
    pytest.param(sealed("GPGLL,4404.1,N,12118.8,W,noon,A"), "number", id="noon"),
    pytest.param(sealed("GPZDA,125959,31,06,2026,00,00"), "date", id="31 June"),
    pytest.param(sealed("GPZDA,125959,29,02,2026,00,00"), "date", id="29 February of a common year"),
    pytest.param(sealed("GPZDA,125959,10,13,2026,00,00"), "date", id="month 13"),
    pytest.param(sealed("GPZDA,125959,00,12,2026,00,00"), "date", id="day 0"),
    pytest.param(sealed("GPZDA,125959,10,12,1979,00,00"), "date", id="before GPS"),
    pytest.param(
        sealed("GPGSA,A,3,01,11,31,14,22,32,04,25,03,,,,1.5,0.9,1.2").replace(b"A,3", b"A,x"),
        "checksum",
        id="a byte exchanged",
    ),
]


@pytest.mark.parametrize(("sentence", "reason"), MALFORMED)
def test_a_malformed_sentence_is_refused_with_its_reason(sentence: bytes, reason: str) -> None:
    with pytest.raises(NMEAError, match="^" + reason):
        parse(sentence)


def test_an_odd_date_or_hdop_does_not_cost_the_place() -> None:
    rmc = parse(sealed("GPRMC,171926.00,A,4404.14063,N,12118.85478,W,0.1,,1803150,,,A"))
    gga = parse(sealed("GPGGA,161224,4629.8922698,N,00734.0836864,E,1,--,nan,,,,,,"))
    assert (rmc.lat_e7, rmc.day) == (440690105, None)
    assert (gga.lat_e7, gga.satellites, gga.hdop_e2) == (464982045, None, None)


@pytest.mark.parametrize("letter", "NEMSX")
def test_a_mode_that_is_not_measured_is_no_fix(letter: str) -> None:
    assert parse(sealed(f"GNRMC,171926,A,4404.1,N,12118.8,W,0.1,,180315,,,{letter}")) == nothing(b"RMC")
    assert parse(sealed(f"GNGLL,4404.1,N,12118.8,W,171926,A,{letter}")) == nothing(b"GLL")
    assert parse(sealed(f"GNGNS,171926,4404.1,N,12118.8,W,{letter}{letter},7,1.2")) == nothing(b"GNS")


@pytest.mark.parametrize("quality", "06789")
def test_a_quality_that_is_not_measured_is_no_fix(quality: str) -> None:
    assert parse(sealed(f"GPGGA,161224,4629.8,N,00734.0,E,{quality},06,1.4")) == nothing(b"GGA")


@pytest.mark.parametrize("talker", ["GN", "GP", "GL", "GA", "GB", "BD", "QZ", "GI", "IN"])
def test_every_talker_is_heard(talker: str) -> None:
    assert parse(sealed(f"{talker}GLL,4404.1,N,12118.8,W,171926,A")).valid


def test_a_leap_second_is_a_time() -> None:
    assert parse(sealed("GPZDA,235960.00,31,12,2016,00,00")) == ZDA(86400000, day(2016, 12, 31))


def test_two_digits_of_a_year_begin_in_1980() -> None:
    for text, expected in (
        ("060180", day(1980, 1, 6)),
        ("311299", day(1999, 12, 31)),
        ("010179", day(2079, 1, 1)),
    ):
        assert parse(sealed(f"GPRMC,0,A,4404.1,N,12118.8,W,,,{text}")).day == expected


@pytest.mark.parametrize(
    ("text", "hemisphere", "e7"),
    [
        (b"11131.00034", b"E", 1115166723),
        (b"15107.407402", b"E", 1511234567),
        (b"0000.0000", b"N", 0),
        (b"0000.0000", b"S", 0),
        (b"0000", b"W", 0),
        (b"5", b"N", 833333),
        (b"9000", b"S", -900000000),
        (b"18000.00", b"W", -1800000000),
        (b"0000.000003", b"N", 1),  # 0.5 units
        (b"0000.000003", b"S", -1),
        (b"0000.0000029999999999999999999999", b"N", 0),
        (b"0734.0836864", b"E", 75680614),
    ],
)
def test_degrees_are_rounded_away_from_zero_at_the_half(text: bytes, hemisphere: bytes, e7: int) -> None:
    assert degrees_e7(text, hemisphere) == e7


@given(st.integers(0, 179), st.integers(0, 59), st.text("0123456789", max_size=12), st.sampled_from("EW"))
def test_degrees_are_the_nearest_integer_to_the_exact_fraction(
    degrees: int, minutes: int, decimals: str, hemisphere: str
) -> None:
    text = f"{degrees:03}{minutes:02}.{decimals}".encode()
    exact = (degrees + Fraction(f"{minutes}.{decimals or 0}") / 60) * 10**7
    e7 = degrees_e7(text, hemisphere.encode())
    assert abs(abs(e7) - exact) <= Fraction(1, 2)
    assert e7 == 0 or (e7 > 0) == (hemisphere == "E")


# Sentences, and between them UBX, noise, and sentences that are cut short, torn, wrong, bare and too long.
STREAM = (
    b"\xb5b\x01\x07$\x00\x0a\r\n"
    b"$PMTK010,001*2E\r\n"
    b"$GPGGA,161224.89,4629.8922698,N,00734.0836864,E,1,06,1.49,1330.28,M,45.589,M,,*53\r\n"
    b"\xa0\xa2\x00\x29 noise !\xb0\xb3"
    b"$GNGLL,4404.14066,N,121$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*66\n"
    b"$GNGSA,A,3,67,83,\xff76,82,68,,,,,,,,1.56,0.91,1.27*1D\r\n"
    b"!AIVDO,1,1,,,B3aC3LP00063aj7RNpl03wSUwP06,0*43\r\n"
    b"$GPGLL,3348.452,N,11821.142,W,142214,A\r\n"
    b"$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*67\r\n"
    b"$" + b"x" * 200 + b"\r\n"
    b"$GNZDA,000941.00,10,01,2017,00,00*70\r"
)
SENTENCES = [
    b"$PMTK010,001*2E",
    b"$GPGGA,161224.89,4629.8922698,N,00734.0836864,E,1,06,1.49,1330.28,M,45.589,M,,*53",
    b"$GNGLL,4404.14066,N,12118.85481,W,171925.00,A,A*66",
    b"!AIVDO,1,1,,,B3aC3LP00063aj7RNpl03wSUwP06,0*43",
    b"$GNZDA,000941.00,10,01,2017,00,00*70",
]


def counters(reader: NMEAReader) -> tuple[int, ...]:
    return reader.skipped, reader.garbled, reader.too_long, reader.bad_checksum, reader.no_checksum


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10000])
def test_events_and_counters_do_not_depend_on_how_the_bytes_are_cut(size: int) -> None:
    reader = NMEAReader()
    heard = []
    for at in range(0, len(STREAM), size):
        heard += reader.feed(STREAM[at : at + size])
    assert heard == SENTENCES
    whole = NMEAReader()
    whole.feed(STREAM)
    assert counters(reader) == counters(whole)
    _, garbled, too_long, bad_checksum, no_checksum = counters(whole)
    assert (garbled, too_long, bad_checksum, no_checksum) == (4, 1, 1, 1)


def test_every_prefix_of_a_sentence_says_not_yet() -> None:
    sentence = SENTENCES[1]
    for end in range(len(sentence) + 1):
        assert NMEAReader().feed(sentence[:end]) == []
    assert NMEAReader().feed(sentence + b"\r") == [sentence]


@pytest.mark.parametrize("noise", [b"\x55", b"x", b"$", b"$GPGGA,", b"$A*", b"!\r", b"\xb5b\x01$", b"\n"])
def test_endless_noise_grows_no_memory(noise: bytes) -> None:
    reader = NMEAReader()
    chunk = noise * (4096 // len(noise))
    reader.feed(chunk)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(30):
        reader.feed(chunk)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 1024


def test_a_longer_sentence_than_nmea_allows_is_heard() -> None:
    sentence = sealed("PUBX,00," + "1" * 140)
    assert 120 < len(sentence) <= 160
    assert NMEAReader().feed(sentence + b"\r\n") == [sentence]


def test_a_receiver_without_checksums_is_heard_until_it_sends_one() -> None:
    reader = NMEAReader()
    bare = b"$GPGLL,3348.452,N,11821.142,W,142214,A"
    assert reader.feed(bare + b"\r\n") == [bare]
    assert reader.feed(SENTENCES[2][:-1] + b"7\r\n" + bare + b"\r\n") == [bare]  # a wrong one proves nothing
    assert reader.feed(SENTENCES[2] + b"\r\n") == [SENTENCES[2]]
    assert reader.feed(bare + b"\r\n") == []
    assert (reader.bad_checksum, reader.no_checksum) == (1, 1)


def test_a_checksum_may_be_in_lower_case_and_followed_by_blanks() -> None:
    assert checksum_right(b"$GPHDT,,T*1b \t")
    assert checksum_right(b"$GPHDT,,T*1B")
    assert checksum_right(b"$GPHDT,,T*1C") is False
    assert checksum_right(b"$GPHDT,,T") is None


@given(st.binary(max_size=300))
def test_fuzzed_bytes_raise_nothing_but_nmea_error(data: bytes) -> None:
    for sentence in [data, *NMEAReader().feed(data + b"\r\n")]:
        try:
            parse(sentence)
        except NMEAError:
            pass


FIELD = st.one_of(
    st.sampled_from(
        ["", "A", "V", "N", "S", "E", "W", "1", "4404.14", "12118.85", "171925.00", "180315", "60", "3"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
    st.text("0123456789.", max_size=120),
)


@given(st.sampled_from(["RMC", "GGA", "GNS", "GLL", "GSA", "ZDA", "GST"]), st.lists(FIELD, max_size=20))
def test_fuzzed_fields_give_a_place_on_earth_or_nmea_error(kind: str, fields: list[str]) -> None:
    try:
        part = parse(sealed(f"GP{kind},{','.join(fields)}".replace("*", "")))
    except NMEAError:
        return
    if isinstance(part, Position) and part.lat_e7 is not None:
        assert part.valid
        assert abs(part.lat_e7) <= 900000000
        assert abs(part.lon_e7) <= 1800000000


ON_MICROPYTHON = """
import json, sys
sys.path.insert(0, sys.argv[1])
import nmea
vectors = json.load(sys.stdin)
results = []
for text in vectors["sentences"]:
    try:
        part = nmea.parse(text.encode())
        results.append(None if part is None else [str(field) for field in part])
    except nmea.NMEAError as error:
        results.append(str(error))
reader = nmea.NMEAReader()
heard = reader.feed(bytes(vectors["stream"]))
print(json.dumps([results, [str(s, "ascii") for s in heard], reader.skipped, reader.garbled]))
"""


@pytest.mark.skipif(not MICROPYTHON.exists(), reason="no MicroPython beside the interpreter")
def test_micropython_gives_the_same_parts_errors_and_events(tmp_path: Path) -> None:
    sentences: list[Any] = [p.values[0] for p in [*VECTORS, *MALFORMED]]
    expected: list[object] = []
    for sentence in sentences:
        try:
            part = parse(sentence)
            expected.append(None if part is None else [str(field) for field in part])
        except NMEAError as error:
            expected.append(str(error))
    script = tmp_path / "script.py"
    script.write_text(ON_MICROPYTHON)
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=160K", script, ROOT / "firmware" / "lib"],
        input=json.dumps({"sentences": [s.decode() for s in sentences], "stream": list(STREAM)}),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    reader = NMEAReader()
    reader.feed(STREAM)
    assert json.loads(done.stdout) == [
        expected,
        [s.decode() for s in SENTENCES],
        reader.skipped,
        reader.garbled,
    ]
