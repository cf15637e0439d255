"""
A GNSS receiver's latest fix, made of its NMEA sentences.

No I/O and no clock: the owner of the UART hands over bytes and the time of their arrival.

    receiver = Receiver()
    receiver.feed(uart.read(), clock.ticks_ms())
    fix = receiver.fix()  # Fix, or None
    utc_s = receiver.utc()  # what that feed() told of the time, or None

The receiver's latest word counts. As soon as it says that it has no position the fix is gone, and no older
one comes back. A receiver that says nothing at all leaves its last fix standing: that one gets older, and
the caller decides from `at_ms` how old is too old. After switching the receiver off, take a new Receiver.
"""

import nmea
from fix import Fix
from micropython import const

# Metres (95 %) per unit of HDOP for a single-frequency receiver without corrections: twice the 7 m or so of
# ranging error seen with a small antenna worn on a body.
_M_PER_HDOP = const(15)
# Said of a fix whose receiver tells no HDOP.
_UNKNOWN_M = const(100)

_DAY_S = const(86400)
_HALF_DAY_S = const(43200)


class Receiver:
    """
    Joins the sentences of one receiver. The parts it takes: RMC, GGA, GNS, GLL, GSA, ZDA of any talker.

    `satellites` is the number used in the fix, None when not told. `malformed` counts sentences that could
    not be believed, `unused` those of other kinds, `lost` how often a fix went; `reader`, an NMEAReader,
    counts what is no sentence.
    """

    def __init__(self):
        self.reader = nmea.NMEAReader()
        self.malformed = 0
        self.unused = 0
        self.lost = 0
        self._forget()

    def feed(self, data, now_ms):
        """Take any number of bytes that arrived at `now_ms`."""
        self._told_s = None
        for sentence in self.reader.feed(data):
            try:
                part = nmea.parse(sentence)
            except nmea.NMEAError:
                self.malformed += 1
                continue
            if part is None:
                self.unused += 1
            elif isinstance(part, nmea.GSA):
                self._take_gsa(part)
            elif isinstance(part, nmea.ZDA):
                # Before a fix it may tell the date that the receiver was made in.
                if self._lat_e7 is not None:
                    self._date(part)
            else:
                self._take_position(part, now_ms)

    def fix(self):
        """Return the latest Fix, or None while the receiver says that it has none."""
        if self._lat_e7 is None or self._gsa is False:
            return None
        utc_s = None if self._utc_s is None else self._nearest(self._time_ms)
        accuracy_m = _UNKNOWN_M if self._accuracy_m is None else self._accuracy_m
        return Fix(self._lat_e7, self._lon_e7, accuracy_m, utc_s, self._at_ms)

    def utc(self):
        """
        Return the seconds since 1970 that the latest feed() told, None when it told none.

        Only while there is a fix: before it, receivers tell the date of their last switching off or of their
        making as if it were today's. Whether the year can be right (week rollover) is for the clock to judge.
        """
        return self._told_s if self._gsa is not False else None

    def _forget(self):
        self._lat_e7 = None
        self._lon_e7 = None
        self._at_ms = None
        self._time_ms = None
        self._utc_s = None
        self._told_s = None
        self._accuracy_m = None
        self._gsa = None
        self.satellites = None

    def _take_position(self, part, now_ms):
        if not part.valid:
            if self._lat_e7 is not None:
                self.lost += 1
            self._forget()
            return
        if part.lat_e7 is None:
            return
        # A receiver that repeats the same second has not measured again, so its fix must not look fresh.
        if self._lat_e7 is None or part.time_ms is None or part.time_ms != self._time_ms:
            self._at_ms = now_ms
        self._gsa = None
        self._lat_e7 = part.lat_e7
        self._lon_e7 = part.lon_e7
        self._time_ms = part.time_ms
        self._date(part)
        if part.satellites is not None:
            self.satellites = part.satellites
        self._take_hdop(part.hdop_e2)

    def _date(self, part):
        if part.time_ms is None:
            return
        utc_s = None
        if part.day is not None:
            utc_s = part.day * _DAY_S + part.time_ms // 1000
        elif self._utc_s is not None:
            utc_s = self._nearest(part.time_ms)
        # Told once: said again, it would be late.
        if utc_s != self._utc_s:
            self._utc_s = self._told_s = utc_s

    def _nearest(self, time_ms):
        """
        Return the UTC second of a time of day, which comes without a date.

        It is never half a day from the last one that had a date: so around midnight it does not matter
        which of the sentences of a second comes first.
        """
        if time_ms is None:
            return None
        ahead = time_ms // 1000 - self._utc_s + _HALF_DAY_S
        return self._utc_s + ahead % _DAY_S - _HALF_DAY_S

    def _take_gsa(self, part):
        # A receiver of several systems sends one for each, with mode 1 for those it does not use. So all GSA
        # between two positions are heard together, and one with a fix is enough.
        if part.mode == 1:
            self._gsa = bool(self._gsa)
        elif part.mode:
            self._gsa = True
            self._take_hdop(part.hdop_e2)

    def _take_hdop(self, hdop_e2):
        if hdop_e2:
            self._accuracy_m = (hdop_e2 * _M_PER_HDOP + 99) // 100
