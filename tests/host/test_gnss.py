"""The receiver's fix: what the sentences of a second mean together, when it is lost, how good it is."""

import calendar
import functools
import json
import operator
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from gnss import Fix, Receiver
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")

PLACE = "4404.14066,N,12118.85481,W"
LAT_E7, LON_E7 = 440690110, -1213142468
OTHER = "4404.20000,N,12118.90000,W"


def sealed(body: str) -> bytes:
    """Return `body` as a sentence: dollar sign, checksum."""
    return b"$%s*%02X" % (body.encode(), functools.reduce(operator.xor, body.encode()))


def utc(*when: int) -> int:
    return calendar.timegm((*when, 0, 0, 0))


def rmc(
    time: str = "171925.00", date: str = "180315", place: str = PLACE, status: str = "A", mode: str = "A"
) -> str:
    return f"GNRMC,{time},{status},{place},0.1,,{date},,,{mode}"


def gga(time: str = "171925.00", place: str = PLACE, quality: int = 1, hdop: str = "0.91") -> str:
    return f"GNGGA,{time},{place},{quality},12,{hdop},1147.2,M,-21.3,M,,"


def gll(time: str = "171925.00", place: str = PLACE, status: str = "A") -> str:
    return f"GNGLL,{place},{time},{status},{'A' if status == 'A' else 'N'}"


def gsa(mode: int, talker: str = "GN", hdop: str = "0.91") -> str:
    return f"{talker}GSA,A,{mode},01,11,,,,,,,,,,,1.56,{hdop},1.27"


def after(*bodies: str, now_ms: int = 1000) -> Receiver:
    """Return a receiver that heard `bodies`, the first at `now_ms` and each 1 ms later."""
    receiver = Receiver()
    for body in bodies:
        receiver.feed(sealed(body) + b"\r\n", now_ms)
        now_ms += 1
    return receiver


def test_there_is_no_fix_before_the_first_word() -> None:
    receiver = Receiver()
    assert receiver.fix() is None
    assert receiver.utc() is None


def test_the_sentences_of_one_second_become_one_fix() -> None:
    receiver = after(rmc(), gga(), gsa(3), gll())
    assert receiver.fix() == Fix(LAT_E7, LON_E7, 14, utc(2015, 3, 18, 17, 19, 25), 1000)
    assert receiver.satellites == 12


@pytest.mark.parametrize(
    "body", [rmc(), gga(), gll(), f"GNGNS,171925.00,{PLACE},AN,9,0.91"], ids=lambda b: b[2:5]
)
def test_any_one_position_sentence_is_enough(body: str) -> None:
    fix = after(body).fix()
    assert (fix.lat_e7, fix.lon_e7) == (LAT_E7, LON_E7)


DENIALS = [
    rmc(status="V"),
    rmc(mode="N"),
    rmc(mode="E"),
    "GNRMC,,V,,,,,,,,,,N",
    gga(quality=0),
    gga(quality=6),
    gga(quality=7),
    gga(quality=8),
    "GPGGA,,,,,,0,,,,M,,M,,",
    gga(place="8960.000000,N,00000.000000,E", quality=0),
    gll(status="V"),
    "GNGNS,171925.00,,,,,NNN,,,,,,",
    gsa(1),
]


@pytest.mark.parametrize("denial", DENIALS)
def test_the_fix_is_gone_as_soon_as_the_receiver_says_so(denial: str) -> None:
    receiver = after(rmc(), gga(), gsa(3), gll(), denial)
    assert receiver.fix() is None
    assert receiver.utc() is None


@pytest.mark.parametrize("denial", DENIALS)
def test_a_lost_fix_does_not_come_back_without_a_new_position(denial: str) -> None:
    receiver = after(rmc(), denial, "GNZDA,171926.00,18,03,2015,00,00")
    assert receiver.fix() is None
    receiver.feed(
        sealed("GNRMC,171926.00,A,,,,,0.1,,180315,,,A") + b"\r\n", 2000
    )  # claims, and tells no place
    assert receiver.fix() is None
    receiver.feed(sealed(gga("171927.00", OTHER)) + b"\r\n", 3000)
    assert receiver.fix().lat_e7 == 440700000


def test_a_system_without_satellites_does_not_cost_the_fix_of_the_others() -> None:
    for first, second in ((3, 1), (1, 3), (2, 1)):
        assert after(gga(), gsa(first, "GP"), gsa(second, "BD")).fix() is not None
    assert after(gga(), gsa(1, "GP"), gsa(1, "BD")).fix() is None


def test_lost_fixes_are_counted_once() -> None:
    assert after(rmc(), rmc(status="V"), gga(quality=0), gll(status="V"), rmc()).lost == 1


def test_a_silent_receivers_fix_keeps_its_time_of_arrival() -> None:
    receiver = after(rmc())
    receiver.feed(b"\xff" * 500, 90000)
    assert receiver.fix().at_ms == 1000


def test_a_receiver_that_repeats_one_second_gets_no_fresh_fix() -> None:
    receiver = after(rmc())
    receiver.feed(sealed(rmc()) + b"\r\n", 60000)
    assert receiver.fix().at_ms == 1000
    assert receiver.utc() is None
    receiver.feed(sealed(rmc("171926.00")) + b"\r\n", 61000)
    assert receiver.fix().at_ms == 61000
    assert receiver.utc() == utc(2015, 3, 18, 17, 19, 26)


@pytest.mark.parametrize(
    ("bodies", "accuracy_m"),
    [
        pytest.param([rmc()], 100, id="nothing told"),
        pytest.param([gga(hdop="")], 100, id="empty HDOP"),
        pytest.param([gga(hdop="0.00")], 100, id="HDOP 0 is none"),
        pytest.param([gga(hdop="1.0")], 15, id="HDOP 1"),
        pytest.param([gga(hdop="0.91")], 14, id="rounded up"),
        pytest.param([gga(hdop="99.0")], 1485, id="HDOP of a receiver that guesses"),
        pytest.param([rmc(), gsa(3, hdop="2.5")], 38, id="HDOP of GSA"),
        pytest.param([gga(), gsa(1, "BD", "99.9"), gsa(3, "GP", "1.0")], 15, id="HDOP of a system in use"),
        pytest.param([gga(hdop="1.0"), gga(quality=0), rmc("171926.00")], 100, id="not that of a lost fix"),
    ],
)
def test_accuracy(bodies: list[str], accuracy_m: int) -> None:
    """Radius of 95 %: 15 m for each unit of HDOP, else 100 m."""
    assert after(*bodies).fix().accuracy_m == accuracy_m


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        pytest.param([gga()], None, id="no date yet"),
        pytest.param([gga(), rmc()], (2015, 3, 18, 17, 19, 25), id="the date comes after the position"),
        pytest.param(
            [rmc(), gga("171926.00")], (2015, 3, 18, 17, 19, 26), id="the date of the second before"
        ),
        pytest.param([gga(), "GNZDA,171925.00,18,03,2015,00,00"], (2015, 3, 18, 17, 19, 25), id="ZDA"),
        pytest.param(
            [rmc("235959.00", "311224"), gga("000000.00")],
            (2025, 1, 1, 0, 0, 0),
            id="midnight, time before date",
        ),
        pytest.param(
            [rmc("235959.00", "311224"), gga("000000.00"), rmc("000000.00", "010125"), gll("000000.00")],
            (2025, 1, 1, 0, 0, 0),
            id="midnight, then the date",
        ),
        pytest.param(
            [gga("235959.00"), "GNZDA,000000.00,01,01,2025,00,00"],
            (2024, 12, 31, 23, 59, 59),
            id="ZDA runs ahead",
        ),
        pytest.param(
            [rmc("120000", "060180")], (1980, 1, 6, 12, 0, 0), id="a rolled-over week is told as it is"
        ),
        pytest.param([rmc("120000", "")], None, id="RMC without a date"),
    ],
)
def test_utc_of_the_fix(bodies: list[str], expected: tuple[int, ...] | None) -> None:
    assert after(*bodies).fix().utc_s == (None if expected is None else utc(*expected))


def test_ten_days_of_time_without_a_date_stay_right() -> None:
    receiver = after(rmc("233000.00", "271224"))
    start_s = utc(2024, 12, 27, 23, 30, 0)
    for hour in range(1, 240):
        time = f"{(23 + hour) % 24:02}3000.00"
        receiver.feed(sealed(gga(time)) + b"\r\n", hour)
        assert receiver.fix().utc_s == receiver.utc() == start_s + 3600 * hour


@pytest.mark.parametrize("before", [rmc(status="V", date="141102"), "GNZDA,171924.00,14,11,2002,00,00"])
def test_a_date_told_before_the_fix_is_not_believed(before: str) -> None:
    """A receiver without a fix tells the date of its making, and corrects it when the sky comes in."""
    receiver = after(before)
    assert receiver.utc() is None
    receiver.feed(sealed(gga()) + b"\r\n", 1)
    assert receiver.utc() is None
    assert receiver.fix().utc_s is None


def test_the_time_is_told_once_by_the_feed_that_brought_it() -> None:
    receiver = after(rmc())
    assert receiver.utc() == utc(2015, 3, 18, 17, 19, 25)
    receiver.feed(b"", 2000)
    assert receiver.utc() is None


def test_everything_that_is_dropped_is_counted() -> None:
    receiver = after(rmc(), "GNVTG,,T,,M,,N,,K,N", gll("noon"), gll(place="9960.0,N,00000.0,E"))
    receiver.feed(b"$GNGLL,1,N,2,E,3,A*00\r\n\x00", 1)
    assert (receiver.unused, receiver.malformed, receiver.reader.bad_checksum, receiver.reader.skipped) == (
        1,
        2,
        1,
        1,
    )


STREAM = b"".join(
    sealed(body) + b"\r\n"
    for second in range(10, 20)
    for body in (rmc(f"1719{second}"), gga(f"1719{second}", OTHER), gsa(3), gll(f"1719{second}"))
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10000])
def test_the_fix_does_not_depend_on_how_the_bytes_are_cut(size: int) -> None:
    receiver = Receiver()
    for at in range(0, len(STREAM), size):
        receiver.feed(STREAM[at : at + size], 5)
    assert receiver.fix() == Fix(LAT_E7, LON_E7, 14, utc(2015, 3, 18, 17, 19, 19), 5)


def test_every_prefix_of_the_first_sentence_says_not_yet() -> None:
    line = sealed(rmc())
    for end in range(len(line) + 1):
        receiver = Receiver()
        receiver.feed(line[:end], 0)
        assert receiver.fix() is None


def test_an_hour_of_fixes_grows_no_memory() -> None:
    receiver = Receiver()
    receiver.feed(STREAM, 0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for now_ms in range(60):
        receiver.feed(STREAM, now_ms)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2048


BODIES = [
    *DENIALS,
    rmc(),
    rmc("235959"),
    gga(),
    gga("000000", OTHER),
    gll(),
    gsa(3),
    gsa(2),
    "GNZDA,0,1,1,2025,,",
]


@given(st.lists(st.sampled_from(BODIES), max_size=12))
def test_no_fix_follows_a_denial_until_a_position_is_told_again(bodies: list[str]) -> None:
    told = False
    for body in bodies:
        if body in DENIALS and "GSA" not in body:
            told = False
        elif body[2:5] in ("RMC", "GGA", "GLL"):
            told = True
    if not told:
        assert after(*bodies).fix() is None


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([sealed(b) + b"\r\n" for b in BODIES])), max_size=20
    )
)
def test_fuzzed_bytes_raise_nothing(chunks: list[bytes]) -> None:
    receiver = Receiver()
    for now_ms, chunk in enumerate(chunks):
        receiver.feed(chunk, now_ms)
        fix = receiver.fix()
        assert fix is None or abs(fix.lat_e7) <= 900000000


ON_MICROPYTHON = """
import json, sys
sys.path.insert(0, sys.argv[1])
import gnss
results = []
for lines in json.load(sys.stdin):
    receiver = gnss.Receiver()
    for now_ms, line in enumerate(lines):
        receiver.feed(line.encode() + b"\\r\\n", now_ms)
    fix = receiver.fix()
    results.append([None if fix is None else list(fix), receiver.utc()])
print(json.dumps(results))
"""


@pytest.mark.skipif(not MICROPYTHON.exists(), reason="no MicroPython beside the interpreter")
def test_micropython_gives_the_same_fixes(tmp_path: Path) -> None:
    cases = [[rmc(), denial] for denial in DENIALS]
    cases += [
        [rmc("235959", "311224"), gga("000000"), gsa(3), gll("000001")],
        [rmc(), gga(), gsa(1, "BD"), gsa(3)],
    ]
    cases += [[gga(), gga("171926.00", OTHER)], [gga(hdop="99.0")]]
    expected = []
    for bodies in cases:
        receiver = after(*bodies, now_ms=0)
        fix = receiver.fix()
        expected.append([None if fix is None else list(fix), receiver.utc()])
    script = tmp_path / "script.py"
    script.write_text(ON_MICROPYTHON)
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=160K", script, ROOT / "firmware" / "lib"],
        input=json.dumps([[sealed(body).decode() for body in bodies] for bodies in cases]),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    assert json.loads(done.stdout) == expected
