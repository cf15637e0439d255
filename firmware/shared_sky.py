"""
A receiver that shares its radio with LTE: send first, then listen to the sky, then send what it told.

    sky = SharedSky(modem, log)          # SIM7080, or None where it is not used: no sky then
    sky.fix()                            # the latest Fix, or None
    sky.power(True)                      # a finger is down, or an incident is open
    await sky.run(tag)

The radio is lent only while nothing waits for an answer and no press may follow, and a touch takes it back at once. In
an incident LTE has its turn in between, so that what the desk says reaches the child.
"""

import asyncio

import clock
from at_gnss import locate
from micropython import const

_LOOK_MS = const(200)
# A window, and before and behind it commands with deadlines of their own.
_ROUND_MS = const(300000)
# A cold start takes 30 s under an open sky.
_WINDOW_MS = const(60000)
# LTE's turn between two windows of an incident.
_LTE_MS = const(30000)
# Outside incidents: how old the place may be that a press would tell.
_IDLE_MS = const(3600000)


class SharedSky:
    def __init__(self, modem, log):
        self._modem = modem
        self._log = log
        self._fix = None
        self._pause_ms = 0  # until the next window; 0: it is due
        self._ended_ms = 0
        self._stop = False

    def fix(self):
        return self._fix

    def power(self, on):
        """On: what is said next must not wait for the sky; the first window follows at once."""
        self._stop = True
        self._pause_ms = 0 if on else _IDLE_MS
        self._ended_ms = clock.ticks_ms()

    async def run(self, tag):
        """Lend the radio whenever it is the sky's turn, for ever."""
        while True:
            clock.expect("sky", _ROUND_MS)
            await asyncio.sleep(_LOOK_MS / 1000)
            # Forgotten in time: it may be days until all is settled, and ticks of long ago look like the future.
            if self._pause_ms and clock.since(clock.ticks_ms(), self._ended_ms) >= self._pause_ms:
                self._pause_ms = 0
            modem = self._modem
            if modem and not self._pause_ms and not modem.radio.locked() and tag.settled():
                await self._listen(tag)

    async def _listen(self, tag):
        self._stop = False
        self._log.mark("radio lent")
        try:
            fix = await locate(self._modem, _WINDOW_MS, lambda: self._stop)
        except Exception as error:  # noqa: BLE001 - ModemError: LTE begins anew, the sky has to wait
            self._log.say("W", "sky: %s" % error)
            fix = None
        self._ended_ms = clock.ticks_ms()
        self._log.mark("radio back")
        if not self._stop:
            self._pause_ms = _LTE_MS if tag.incident else _IDLE_MS
        if fix:
            self._fix = fix
            tag.on_time(fix.utc_s)
            # This receiver is not heard again soon.
            tag.update_soon()
