"""
A year of one tag, in virtual time (faults/soak.py).

    counted = play(2038, 365, folder)      # {"presses": 90, ..., "violations": [text]}

A press a week, and one at each moment that is odd: as the ticks wrap, as 31 and 32 bits of seconds end, around the
receiver's week rollover. Power is cut five times in the first month, which takes the epoch past its end; then the tag
runs for eleven months. The broker is restarted once a week in the first two months, and is gone without a word while
the ticks wrap. What may not happen: a press unanswered after 5 minutes, the desk without news for two heartbeats, a
clock that is wrong, and more memory held at the end than at the beginning.
"""

import asyncio
import calendar
import gc
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import app
import counters
from own_sky import OwnSky

from faults.world.body import Body
from faults.world.judge import Judge
from faults.world.net import Bearer, Broker
from faults.world.office import Office, new_file
from faults.world.world import World
from tests.host.fakes import BUILT_S, RING_MS, run

_DAY_S = 86400
_TICK_MS = 60_000
_HEARTBEAT_S = 3600
_ANSWER_S = 300
# Five starts from the last.
_FIRST_EPOCH = (1 << 32) - 4
_CUT_DAYS = (4, 9, 14, 19, 24)
_PID_DAY = 40
# Weeks at whose end the broker is restarted.
_RESTARTS = 8
# 1024 weeks of the receiver, from 1980-01-06.
_ROLLOVER_S = calendar.timegm((2038, 11, 21, 0, 0, 0)) - 18
_WEEKS_S = 1024 * 7 * _DAY_S
# Of what the firmware's objects hold, between the second month and the last.
_GROWN = 2048


class _Nobody:
    """No attacker."""

    active = False

    def saw_up(self, payload: bytes) -> bool:
        return False

    def saw_down(self, payload: bytes) -> None: ...


class _Sky(OwnSky):
    """The firmware's own receiver, hearing sentences once a minute while it is powered."""

    def __init__(self, year: "Year") -> None:
        self._year = year
        self._on = asyncio.Event()
        super().__init__(self, self._supply)

    def _supply(self, on: bool) -> None:
        if on:
            self._on.set()
        else:
            self._on.clear()

    async def read(self, size: int) -> bytes:
        await self._on.wait()
        await asyncio.sleep(20)
        utc_s = int(self._year.utc_s())
        if utc_s >= _ROLLOVER_S:
            utc_s -= _WEEKS_S
        fields = time.strftime("%H%M%S.00,A,5027.0060,N,03031.4040,E,0.1,,%d%m%y,,,A", time.gmtime(utc_s))
        body = b"GNRMC," + fields.encode()
        xor = 0
        for byte in body:
            xor ^= byte
        return b"$%s*%02X\r\n" % (body, xor)


class Year(World):
    """A World (world.py) without hazards of its own."""

    def __init__(self, year: int, days: int, folder: Path) -> None:
        super().__init__(year, folder)
        self._start_s = calendar.timegm((year, 1, 1, 0, 0, 0))
        self._end_s = self.now.s + days * _DAY_S
        self.counted = dict.fromkeys(
            ("presses", "heartbeats", "starts", "tick_wraps", "packet_id_wraps", "days"), 0
        )
        self._heard_s = self.now.s
        self._held: list[int] = []
        self._epoch_ended = False

    def log(self, who: str, text: str, *values: Any) -> None:
        super().log(who, text, *values)
        # A year of it is too much to keep.
        del self.lines[:-400]

    def utc_s(self) -> float:
        return self._start_s + self.now.s - self._began_s

    def blame(self, text: str, *values: Any) -> None:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(self.utc_s())))
        self.judge.blame("soak", when + " " + text, *values)

    def _make(self) -> None:
        self.judge = Judge(self)
        self.attacker = _Nobody()  # type: ignore[assignment]
        self.body = Body(self)
        self.sky = True
        app._TICK_MS = app._TROUBLE_MS = _TICK_MS
        self.body.power.restore()
        for store in (self.body.nvs, counters_store(self.body)):
            store.put("epoch", counters.pack_epoch(_FIRST_EPOCH))
        self.body.power.on = False
        self._build, self.body._build = self.body._build, self._built  # type: ignore[method-assign]
        self.bearers = [Bearer("lte", self, 40000, 20000)]
        self.broker = Broker(self)
        self.office = Office(self, self._folder / "desk.db", new_file(self._folder / "empty.db"))
        self.office.jump_clock(self._start_s - BUILT_S - 1000)
        self.office.manners = {"seen": 0.5, "take": 1, "decline": 0.3, "close": 1, "slow_s": 120}
        self.office.hear = self._heard(self.office.hear)  # type: ignore[method-assign]

    def _built(self) -> Any:
        firmware = self._build()
        firmware.heartbeat_s = _HEARTBEAT_S
        firmware.sky = _Sky(self)
        firmware.tag._place._fix = firmware.sky.fix
        self.counted["starts"] += 1
        self._epoch_ended = self._epoch_ended or firmware.tag._counters.epoch < _FIRST_EPOCH
        return firmware

    def _heard(self, hear: Any) -> Any:
        def heard(topic: str, payload: bytes) -> None:
            if self.now.s - self._heard_s > 2 * _HEARTBEAT_S + 60:
                self.blame("the desk has heard nothing for %d s", self.now.s - self._heard_s)
            self._heard_s = self.now.s
            self.counted["heartbeats"] += topic.endswith("state")
            hear(topic, payload)

        return heard

    async def main(self) -> dict[str, Any]:  # type: ignore[override]
        # After 2**24 s a float's last digit is more than the loop's nanosecond, and its timers would never be due.
        asyncio.get_running_loop()._clock_resolution = 1e-6  # type: ignore[attr-defined]
        self._make()
        living = asyncio.create_task(self.body.live())
        plan = [each for each in self._plan() if self.now.s <= each[0] <= self._end_s]
        for at_s, what in sorted(plan, key=lambda each: each[0]):
            if at_s > self.now.s:
                await asyncio.sleep(at_s - self.now.s)
            await what()
            if len(self.judge.violations) > 20:
                break
        self._ends()
        living.cancel()
        self.office.kill()
        return {**self.counted, "violations": self.judge.violations}

    def _plan(self) -> Iterator[tuple[float, Any]]:
        dice, began_s, end_s = self.dice, self.now.s, self._end_s
        wrap_s = RING_MS / 1000
        presses = [began_s + week * 7 * _DAY_S + dice.uniform(0, 6 * _DAY_S) for week in range(53)]
        # A finger down before the ticks wrap, and up after.
        presses += [n * wrap_s - 0.4 for n in range(2, int(end_s / wrap_s) + 1)]
        for at_s in presses[53:]:
            # Nothing gets through before they wrap, nobody says so, and what waits must go out after it.
            yield at_s - 20, self._silence
        for odd_s in ((1 << 31) - 2, (1 << 31) + 3600, _ROLLOVER_S - 30, _ROLLOVER_S + _DAY_S, (1 << 32) - 2):
            presses.append(began_s + odd_s - self._start_s)
        for at_s in presses:
            yield at_s, self._press
        for day in _CUT_DAYS:
            yield began_s + day * _DAY_S, self._cut
        yield began_s + _PID_DAY * _DAY_S, self._near_the_last_packet_id
        for week in range(_RESTARTS):
            yield began_s + (7 * week + 6.5) * _DAY_S, self._outage
        for day in range(int((end_s - began_s) / _DAY_S)):
            yield began_s + (day + 0.9) * _DAY_S, self._look
        yield end_s, self._sample

    # ------------------------------------------------------------------------------------------------- what happens

    async def _press(self) -> None:
        self.counted["presses"] += 1
        pin = self.body.pin
        pin.move(True)
        await asyncio.sleep(0.8)
        pin.move(False)
        pressed_s = self.now.s
        while why := self._unanswered():
            if self.now.s - pressed_s > _ANSWER_S:
                self.blame("a press is not answered: %s", why)
                return
            await asyncio.sleep(5)
        for _ in range(12):
            # The receiver tells its time now.
            await asyncio.sleep(5)
            self._look_at_the_clock()

    def _look_at_the_clock(self) -> bool:
        """Return whether the tag knows the time; then it must be right."""
        utc_s = self.body.tag and self.body.tag.utc.utc_s()
        if utc_s is None:
            return False
        if abs(utc_s - self.utc_s()) > 3:
            self.blame("the tag believes it is %d s later than it is", utc_s - self.utc_s())
        return True

    def _unanswered(self) -> str:
        tag = self.body.tag
        if tag is None:
            return "the tag is off"
        if [entry for entry in tag.outbox.pending() if entry.pressed]:
            return "it waits in the outbox"
        if tag.incident and tag.incident.state == "calling":
            return "the child does not know"
        return ""

    async def _cut(self) -> None:
        self.body.cut(rtc_kept=False, off_s=5)
        await asyncio.sleep(30)

    async def _outage(self) -> None:
        """The broker is away for a minute."""
        self.broker.kill(silently=False)
        self.later(60, self.broker_up)

    async def _silence(self) -> None:
        """The same, and the tag is not told: its session is half open."""
        self.broker.kill(silently=True)
        self.later(60, self.broker_up)

    async def _near_the_last_packet_id(self) -> None:
        """As after 65,525 messages in one session."""
        for session in self.body.tag.link._sessions if self.body.tag else ():
            session.mqtt._client.pid = 65525
            self._watched = session

    async def _look(self) -> None:
        """Once a day."""
        self.counted["days"] += 1
        if not self._look_at_the_clock():
            self.blame("the tag does not know the time")
        if self.now.s - self._heard_s > 2 * _HEARTBEAT_S:
            self.blame("the desk has heard nothing for %d s", self.now.s - self._heard_s)
        watched = getattr(self, "_watched", None)
        if watched and watched.mqtt._client.pid < 65525:
            self.counted["packet_id_wraps"] += 1
            self._watched = None
        elif watched and watched.mqtt._client.pid > 65535:
            self.blame("packet id %d", watched.mqtt._client.pid)
        if self.counted["days"] % 30 == 0:
            await self._sample()
        # What the judge and the world remember is their own.
        self.body.streams = [stream for stream in self.body.streams if not stream.closed]

    async def _sample(self) -> None:
        if self.body.tag:
            gc.collect()
            self._held.append(
                held([self.body.tag, self.body.tag.link, self.body.rtc_memory, self.body.disk.files])
            )

    def _ends(self) -> None:
        self.counted["tick_wraps"] = int(self.now.s * 1000 // RING_MS) - int(self._began_s * 1000 // RING_MS)
        if self.counted["days"] >= 60:
            if not self.counted["packet_id_wraps"]:
                self.blame("no packet id has wrapped")
            if not self._epoch_ended:
                self.blame("the epoch has not come to its end")
            grown = self._held[-1] - max(self._held[1:2])
            if grown > _GROWN:
                self.blame("the tag holds %d bytes more than in the second month: %r", grown, self._held)
        if why := self.judge.unsettled() or self.judge.behind():
            self.blame("at the end %s", why)
        self.judge.verdict()


def counters_store(body: Body) -> Any:
    """The records on flash."""
    import journal

    return journal.Journal("/data")


def held(roots: list[Any]) -> int:
    """The bytes of all that these objects of the firmware hold."""
    import sys

    seen: set[int] = set()
    total, waiting = 0, list(roots)
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set):
            waiting += list(each)
        elif type(each).__module__ in _FIRMWARE:
            waiting.append(vars(each)) if hasattr(each, "__dict__") else None
        elif not isinstance(each, bytes | bytearray | str | int):
            continue
        total += sys.getsizeof(each)
    return total


# Whose objects are followed; all else (tasks, loops, the world) is not the tag's.
_FIRMWARE = frozenset(
    (
        "tag",
        "link",
        "reopening",
        "drill",
        "outbox",
        "counters",
        "clock",
        "journal",
        "log",
        "mqtt",
        "backoff",
        "place",
        "incident",
        "gnss",
    )
) | {"nmea", "umqtt.simple", "own_sky", "faults.world.year"} - {"faults.world.year"}


def play(year: int, days: int, folder: Path) -> dict[str, Any]:
    """Live through it; folder holds the desk's disk."""
    random.seed(year)
    world = Year(year, days, folder)
    try:
        counted: dict[str, Any] = run(world.now, world.main())
    except Exception as error:  # noqa: BLE001 - a task was lost, or all of them spin or wait for ever
        return {**world.counted, "violations": [f"{type(error).__name__}: {error}", *world.judge.violations]}
    return counted
