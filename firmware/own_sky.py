"""
A receiver on a UART of its own: it listens for as long as its supply is on.

    sky = OwnSky(reader, supply)         # reader.read(n) (async): its NMEA; supply(on)
    sky.fix()                            # the latest Fix, or None
    sky.power(True)
    await sky.run(tag)                   # which is told the time, too
"""

import clock
from gnss import Receiver
from micropython import const

# Bytes that are there are read well within this.
_HEARD_MS = const(10000)


class OwnSky:
    def __init__(self, reader, supply):
        self._reader = reader
        self._supply = supply
        self._receiver = Receiver()

    def fix(self):
        return self._receiver.fix()

    def power(self, on):
        if not on:
            # A fix must not outlive the receiver that had it; the tag keeps the last one with its age.
            self._receiver = Receiver()
        self._supply(on)

    async def run(self, tag):
        """Hear the receiver, for ever. It may be silent for ever (it is off most of the time): the fix's age tells."""
        while True:
            data = await self._reader.read(256)
            clock.expect("sky", _HEARD_MS)
            if data:
                self._receiver.feed(data, clock.ticks_ms())
                utc_s = self._receiver.utc()
                if utc_s is not None:
                    tag.on_time(utc_s)
