"""Days of the calendar, against the standard library's."""

import datetime

import gregorian
import pytest

EPOCH = datetime.date(1970, 1, 1).toordinal()


def test_every_day_from_1980_to_2200_has_its_number():
    for ordinal in range(datetime.date(1980, 1, 1).toordinal(), datetime.date(2200, 12, 31).toordinal() + 1):
        date = datetime.date.fromordinal(ordinal)
        assert gregorian.day(date.year, date.month, date.day) == ordinal - EPOCH


def test_days_that_are_not_in_the_calendar_have_none():
    for year in (1980, 2000, 2023, 2024, 2100, 2200):
        for month in range(-1, 15):
            for day in (*range(-2, 34), 99):
                try:
                    number = datetime.date(year, month, day).toordinal() - EPOCH
                except ValueError:
                    number = None
                assert gregorian.day(year, month, day) == number, (year, month, day)


@pytest.mark.parametrize("year", [0, 1, 79, 99, 1970, 1979, 2201, 9999, -4])
def test_years_that_no_tag_lives_in_have_none(year):
    assert gregorian.day(year, 1, 1) is None
