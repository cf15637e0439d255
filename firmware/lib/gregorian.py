"""Days of the Gregorian calendar, in integers."""


def day(year, month, day):
    """Return the days from 1970-01-01 to that date, or None where there is no such date (1980 to 2200)."""
    number = _days(year, month, 1) + day - 1
    if not (1980 <= year <= 2200 and 1 <= month <= 12 and 1 <= day and number < _days(year, month + 1, 1)):
        return None
    return number


def _days(year, month, day):
    """Return days from 1970-01-01; month 13 is the next January."""
    # The year is taken to begin in March, so that the day that comes and goes is its last.
    if month < 3:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
