"""The emulated receiver: times move, positions do not, garbage passes through."""

import asyncio
import datetime
import itertools
import os
import pathlib
import re
import time

import pytest

from sim import nmea_play
from sim.nmea_play import RecordingError
from sim.pty_line import LineError
from sim.sky import Sky

NOW = datetime.datetime(2026, 11, 21, 7, 8, 9, 250_000, tzinfo=datetime.UTC)
RMC = nmea_play.sentence(b"GNRMC,081411.000,A,5541.1955,N,03737.2872,E,0.60,301.29,260514,,,A")
GGA = nmea_play.sentence(b"GPGGA,081412.000,5541.1956,N,03737.2877,E,1,5,4.87,66.2,M,14.5,M,,")
ZDA = nmea_play.sentence(b"GPZDA,081411.000,26,05,2014,,")
GLL = nmea_play.sentence(b"GPGLL,5541.1955,N,03737.2872,E,081411,A,A")
GSA = nmea_play.sentence(b"GNGSA,A,3,03,19,27,13,,,,,,,,,2.75,2.56,1.00")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (RMC, b"GNRMC,070809.250,A,5541.1955,N,03737.2872,E,0.60,301.29,211126,,,A"),
        (GGA, b"GPGGA,070809.250,5541.1956,N,03737.2877,E,1,5,4.87,66.2,M,14.5,M,,"),
        (ZDA, b"GPZDA,070809.250,21,11,2026,,"),
        (GLL, b"GPGLL,5541.1955,N,03737.2872,E,070809,A,A"),
        (GSA, GSA[1:-5]),
    ],
    ids=["RMC", "GGA", "ZDA", "GLL without decimals", "GSA has no time"],
)
def test_time_and_date_move_to_now_and_all_else_stays(old, new):
    assert nmea_play.retime(old, NOW) == nmea_play.sentence(new)


def test_a_sentence_with_a_wrong_checksum_and_bytes_that_are_none_pass_untouched():
    broken = RMC.replace(b"5541", b"5542")
    noise = b"\x00\xff$GPRMC,1\xa0" + broken + b"\r\n$*00"
    assert nmea_play.retime(noise, NOW) == noise


def test_a_sentence_without_time_keeps_it_empty():
    empty = nmea_play.sentence(b"GPRMC,,V,,,,,,,,,,N")
    assert nmea_play.retime(empty, NOW) == empty


def test_cutting_into_epochs_loses_and_reorders_nothing():
    recording = b"\x01\x02garbage" + GSA + RMC + ZDA + GGA + b"\xa0\xa2\x00" + GSA
    cut = nmea_play.epochs(recording)
    assert b"".join(epoch.data for epoch in cut) == recording
    assert [epoch.gap_s for epoch in cut] == [1.0, 1.0]
    assert cut[1].data.startswith(GGA)


def test_midnight_and_a_jump_give_sane_gaps():
    def at(clock: bytes) -> bytes:
        return nmea_play.sentence(b"GPGLL,,,,,%s,V,N" % clock)

    cut = nmea_play.epochs(at(b"235959.80") + at(b"000000.00") + at(b"101010.00") + at(b"101012.00"))
    assert [round(epoch.gap_s, 3) for epoch in cut] == [0.2, 1.0, 2.0, 1.0]


def test_remarks_are_dropped_at_the_start_only():
    assert nmea_play.without_remarks(b"# one\n# two\n\xa0#three\n# four\n") == b"\xa0#three\n# four\n"


def test_the_made_up_walk_has_right_checksums_and_moves_slowly():
    walk = nmea_play.walk()
    places = []
    for _ in range(5):
        for line in next(walk).data.splitlines():
            match = re.fullmatch(rb"\$(.*)\*(..)", line)
            assert match is not None
            assert nmea_play.checksum(match[1]) == int(match[2], 16)
            if match[1].startswith(b"GNGGA"):
                fields = match[1].split(b",")
                places.append(float(fields[2][2:]) * 1852 + float(fields[4][3:]) * 1852)
    assert all(0 < abs(b - a) < 3 for a, b in itertools.pairwise(places))


class Listener:
    """Read what the receiver says, without blocking."""

    def __init__(self, link: pathlib.Path) -> None:
        self.fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.data = b""

    async def until(self, text: bytes, timeout_s: float = 3.0) -> bytes:
        end = time.monotonic() + timeout_s
        while text not in self.data:
            assert time.monotonic() < end, f"no {text!r} in {self.data!r}"
            self.read()
            await asyncio.sleep(0.005)
        return self.data

    def read(self) -> None:
        try:
            self.data += os.read(self.fd, 4096)
        except BlockingIOError:
            pass


def test_before_the_first_fix_it_says_that_it_has_none_and_then_plays_to_the_byte(tmp_path):
    recording = b"# remark\n" + RMC + ZDA + b"\x00\xa0\xff\x13\x11\r\n" + GGA

    async def story() -> None:
        sky = Sky(tmp_path / "gnss", recording, ttff_s=2, speed=10, as_of="recorded", baud=100_000)
        await sky.start()
        listener = Listener(sky.link)
        try:
            start = time.monotonic()
            heard = await listener.until(recording[9:])
            assert time.monotonic() - start > 0.19
            # One every 0.1 s of the 0.2 s; a busy computer may be early or late with one.
            none = heard.count(nmea_play.no_fix())
            assert none in (1, 2, 3)
            assert heard.startswith(nmea_play.no_fix() * none + RMC)
        finally:
            os.close(listener.fd)
            await sky.stop()
        assert not sky.link.is_symlink()

    asyncio.run(story())


def test_without_power_it_is_silent_and_with_power_the_search_begins_again(tmp_path):
    async def story() -> None:
        sky = Sky(tmp_path / "gnss", RMC, ttff_s=1, speed=10)
        await sky.start()
        listener = Listener(sky.link)
        try:
            await listener.until(b"RMC")
            await sky.power(False)
            listener.read()
            listener.data = b""
            await asyncio.sleep(0.3)
            listener.read()
            assert listener.data == b""
            await sky.power(True)
            heard = await listener.until(b",A,5541.1955,N,03737.2872,E,")
            assert heard.startswith(nmea_play.no_fix())
        finally:
            os.close(listener.fd)
            await sky.stop()

    asyncio.run(story())


def test_a_reader_that_does_not_read_costs_bytes_and_never_blocks(tmp_path):
    async def story() -> None:
        sky = Sky(tmp_path / "gnss", b"x" * 50_000, ttff_s=0, speed=1000)
        await sky.start()
        try:
            async with asyncio.timeout(3):
                while sky.dropped < 10_000:
                    await asyncio.sleep(0.01)
        finally:
            await sky.stop()

    asyncio.run(story())


def test_a_link_name_that_is_taken_and_a_missing_recording_are_named(tmp_path):
    (tmp_path / "gnss").write_text("mine")

    async def story() -> None:
        with pytest.raises(LineError, match="exists and is no link"):
            await Sky(tmp_path / "gnss").start()

    asyncio.run(story())
    with pytest.raises(RecordingError, match=r"cannot read the recording .*none\.log"):
        Sky(tmp_path / "g", tmp_path / "none.log")
