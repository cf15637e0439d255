"""
Plays signals on the vibration motor and the light, one after the other: none is cut short.

    haptics = Haptics(vibration, light, discreet, log)      # vibration(on), light(on)
    haptics.feel("received")
    await haptics.run()
"""

import asyncio

import clock
import signals
from micropython import const

# The longest pattern takes 3 s.
_PLAY_MS = const(30000)
# More than that is a pattern nobody could tell apart.
_MAX_QUEUE = const(4)
_GAP_S = const(0.15)


async def _play(output, times_ms):
    on = True
    for time_ms in times_ms:
        output(on)
        await asyncio.sleep(time_ms / 1000)
        on = not on
    output(False)


class Haptics:
    """`feel` never waits. When too many signals are queued, those that say least give way, and are counted."""

    def __init__(self, vibration, light, discreet, log):
        self.vibration = vibration
        self.light = light
        self.discreet = discreet
        self.log = log
        self._queue = []
        self._woken = asyncio.Event()

    def feel(self, signal):
        """Play a signal soon."""
        self._queue.append(signal)
        if len(self._queue) > _MAX_QUEUE:
            for small in ("still_trying", "touch"):
                if small in self._queue:
                    self._queue.remove(small)
                    self.log.count("haptics.dropped")
                    break
        self._woken.set()

    def kick(self):
        """Let run() show that it goes on."""
        self._woken.set()

    async def run(self):
        """Play what is queued, for ever."""
        while True:
            clock.expect("haptics", _PLAY_MS)
            await self._woken.wait()
            self._woken.clear()
            while self._queue:
                clock.expect("haptics", _PLAY_MS)
                vibration, light = signals.pattern(self._queue.pop(0), self.discreet)
                await asyncio.gather(_play(self.vibration, vibration), _play(self.light, light))
                # So that two patterns do not melt into one.
                await asyncio.sleep(_GAP_S)
