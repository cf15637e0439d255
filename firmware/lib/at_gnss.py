"""
The receiver inside the SIM7080, which shares its radio with LTE: one of them at a time.

    fix = await locate(modem, 60000, lambda: False)      # Fix, or None; LTE is off meanwhile

AT manual 8.2. Without a fix it still tells numbers, and some fixes are useless: only what passes every check counts.
"""

import asyncio

import clock
import gregorian
from fix import Fix
from micropython import const

_ASK_MS = const(1000)
_LOOK_S = 0.2
_MIN_SATELLITES = const(4)
# EN 15722 trusts 150 m at 95 %.
_MAX_M = const(150)
# HDOP 0.1 stands for "none", and 500 was seen in the field.
_MIN_HDOP_E1 = const(2)
_MAX_HDOP_E1 = const(200)


async def locate(modem, limit_ms, stop):
    """
    Take the radio from LTE, wait for a good fix, give the radio back; return the Fix, or None.

    Ends at `limit_ms`, or soon after `stop()` is true. ModemError where the modem refuses; the radio is back then, too.
    """
    async with modem.radio:
        await modem.lend_radio()
        try:
            await modem.command("AT+CGNSPWR=1")
            began_ms = asked_ms = clock.ticks_ms()
            while clock.since(clock.ticks_ms(), began_ms) < limit_ms and not stop():
                await asyncio.sleep(_LOOK_S)
                if clock.since(clock.ticks_ms(), asked_ms) >= _ASK_MS:
                    asked_ms = clock.ticks_ms()
                    for line in await modem.command("AT+CGNSINF"):
                        fix = parse(line, asked_ms)
                        if fix:
                            return fix
        finally:
            await modem.take_radio()
    return None


def parse(line, now_ms):
    """Return the Fix in a line +CGNSINF (8.2.2: 18 fields), or None where there is none to be trusted."""
    fields = line.split(": ")[-1].split(",")
    if len(fields) < 17 or fields[:2] != ["1", "1"]:
        return None
    try:
        time = fields[2]
        month, day, hour, minute, second = [int(time[at : at + 2]) for at in range(4, 14, 2)]
        days = gregorian.day(int(time[:4]), month, day)
        hdop_e1 = _scaled(fields[10], 1)
        # It does not say of what share; taken for one standard deviation, as receivers do.
        accuracy_m = 2 * _scaled(fields[16], 0) + 2
        good = (
            _MIN_HDOP_E1 < hdop_e1 < _MAX_HDOP_E1
            and int(fields[14]) >= _MIN_SATELLITES
            and 0 < accuracy_m <= _MAX_M
            and time > "2024"
            and hour < 24
            and minute < 60
            and second < 60
        )
        if not good or days is None:
            return None
        utc_s = days * 86400 + hour * 3600 + minute * 60 + second
        lat_e7, lon_e7 = _scaled(fields[3], 7), _scaled(fields[4], 7)
    except ValueError:
        return None
    if abs(lat_e7) > 900000000 or abs(lon_e7) > 1800000000:
        return None
    return Fix(lat_e7, lon_e7, accuracy_m, utc_s, now_ms)


def _scaled(text, places):
    """Return a decimal number x 10^places as an integer, cut off; ValueError where it is none."""
    whole, _, part = text.partition(".")
    below = whole[:1] == "-"
    if not whole[below:].isdigit():
        # With the places behind it int() would read a number from nothing.
        raise ValueError
    value = int(whole[below:] + (part + "0000000")[:places])
    return -value if below else value
