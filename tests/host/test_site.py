"""tools/flasher/site.py: the night as people write it, and as a tag without a time zone needs it."""

import pytest

from tools.flasher.errors import FlashError
from tools.flasher.site import load

SITE = """
[tag]
board = "tag-a"
apn = "iot"
{more}
[tag.broker]
host = "broker.example"
tls = false
"""


@pytest.fixture
def site(tmp_path):
    def read(*lines: str):
        path = tmp_path / "site.toml"
        path.write_text(SITE.format(more="\n".join(lines)))
        return load(path).config

    return read


@pytest.mark.parametrize(
    ("night", "offset", "minutes"),
    [
        ('["21:00", "07:00"]', "+03:00", [18 * 60, 4 * 60]),
        ('["21:00", "07:00"]', "-05:00", [2 * 60, 12 * 60]),
        ('["00:00", "23:59"]', "+00:00", [0, 1439]),
        ('["22:15", "06:45"]', "+05:45", [16 * 60 + 30, 60]),
        ('["02:00", "06:00"]', "+03:00", [23 * 60, 3 * 60]),
    ],
)
def test_a_night_is_turned_into_minutes_of_the_utc_day(site, night, offset, minutes):
    config = site(f"night = {night}", f'utc_offset = "{offset}"')
    assert config["night"] == minutes
    assert "utc_offset" not in config


def test_without_a_night_there_is_none_and_an_offset_alone_does_no_harm(site):
    assert "night" not in site()
    assert set(site('utc_offset = "+03:00"')) == set(site())


@pytest.mark.parametrize(
    "night", ["21", '"21:00"', "[]", '["21:00"]', '["24:00", "07:00"]', '["9:00", "07:00"]', "[1260, 420]"]
)
def test_a_night_that_is_none_says_how_it_is_written(site, night):
    with pytest.raises(
        FlashError, match=r'night must be two times, for example \["21:00", "07:00"\]'
    ) as caught:
        site(f"night = {night}", 'utc_offset = "+03:00"')
    assert caught.value.kind == "site-bad"


@pytest.mark.parametrize("line", ["", 'utc_offset = "3"', "utc_offset = 3", 'utc_offset = "+15:00"'])
def test_a_night_needs_the_offset_of_its_times(site, line):
    with pytest.raises(FlashError, match=r'night needs utc_offset, for example "\+03:00"'):
        site('night = ["21:00", "07:00"]', line)
