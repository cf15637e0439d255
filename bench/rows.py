"""
The rows: a fault each, played to both firmwares at the same moment.

Before each press both have their session over a whole link. Then the fault begins, both are pressed, and what happens
within the deadline counts. Then the link is made whole, and both come to rest.
"""

import asyncio
import pathlib
import random
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.far import Far
from bench.tags import Obereg, Plain, Tag
from sim.common import SimError
from sim.story import StoryError, now_ms
from sim.tag import HEAP

_POLL_S = 0.05
# What is still on its way when the sender knows belongs to the alert: ACKs of TCP and MQTT.
_TAIL_S = 0.5
_REST_S = 0.5
_BROKER_DOWN_S = 2.0
# When the broker dies, from the press.
_KILL_S = (-0.5, 0.3)


class RowError(SimError):
    """A row cannot be played to its end. The text says why."""


@dataclass(frozen=True)
class Fault:
    """What a row does to the way: `loss` each way; `half_open`; `restart` of the broker."""

    name: str
    loss: float = 0.0
    half_open: bool = False
    restart: bool = False


FAULTS = (
    Fault("no loss"),
    Fault("loss 10 %", loss=0.1),
    Fault("loss 30 %", loss=0.3),
    Fault("loss 60 %", loss=0.6),
    Fault("half-open link", half_open=True),
    Fault("broker restart", restart=True),
)


@dataclass
class Sample:
    """One press. ms from the touch, None: not within the deadline. recovered: it was ready again by itself."""

    stored_ms: float | None
    known_ms: float | None
    bytes: int
    segments: int | None
    recovered: bool = True


@dataclass
class Row:
    """The samples of one fault. start_ms: from the power to a session. why: what broke it off, or nothing."""

    fault: Fault
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    start_ms: dict[str, float] = field(default_factory=dict)
    why: str = ""


class Way(Protocol):
    """A Wire, or Proxies."""

    async def lane(self, port: int) -> Any: ...


class Stage:
    """Broker, desk, two lanes and the two tags of a row. start(), play() as often as you like, end() in any case."""

    def __init__(
        self, folder: pathlib.Path, way: Way, fault: Fault, count: int, seed: int, heap: int = HEAP
    ) -> None:
        folder.mkdir(parents=True)
        self.tags: list[Tag] = [Obereg(folder, heap), Plain(folder, heap)]
        self._lanes: dict[str, Any] = {}
        self._way, self._fault, self._count = way, fault, count
        self._random = random.Random(seed)
        self._far = Far(folder, self.tags)

    async def start(self) -> None:
        await self._far.start()
        for tag in self.tags:
            lane = self._lanes[tag.name] = await self._way.lane(self._far.port)
            tag.flash(lane.address, self._count)
        await asyncio.gather(*(tag.start() for tag in self.tags))

    async def end(self) -> None:
        for tag in self.tags:
            await tag.end()
        await self._far.stop()

    async def play(self, deadline_s: float) -> dict[str, Sample]:
        """Play the fault once; return what became of either press."""
        await asyncio.sleep(_REST_S)
        fault = self._fault
        for lane in self._lanes.values():
            lane.loss = fault.loss
            if fault.half_open:
                lane.half_open()
        kill_s = self._random.uniform(*_KILL_S) if fault.restart else None
        restart = None if kill_s is None else asyncio.create_task(self._restart(kill_s - _KILL_S[0]))
        if restart:
            await asyncio.sleep(-_KILL_S[0])
        pressed = await asyncio.gather(*(self._press(tag, deadline_s) for tag in self.tags))
        if restart:
            await restart
        for lane in self._lanes.values():
            lane.loss = 0.0
        await asyncio.wait_for(self._far.ready.wait(), 60)
        recovered = await asyncio.gather(
            *(tag.settle(began_ms, self._far) for tag, (began_ms, _) in zip(self.tags, pressed, strict=True))
        )
        samples = {}
        for tag, (_, sample), by_itself in zip(self.tags, pressed, recovered, strict=True):
            sample.recovered = by_itself
            samples[tag.name] = sample
        return samples

    async def _press(self, tag: Tag, deadline_s: float) -> tuple[float, Sample]:
        lane, story = self._lanes[tag.name], tag.story
        bytes_before, segments_before = lane.bytes, lane.segments
        began_ms = await tag.press()
        until_ms = began_ms + deadline_s * 1000
        while now_ms() < until_ms:
            if story.when("stored", began_ms) and story.when(tag.known, began_ms):
                break
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_TAIL_S)

        def span(what: str) -> float | None:
            at_ms = story.when(what, began_ms)
            return None if at_ms is None or at_ms > until_ms else round(at_ms - began_ms, 1)

        segments = None if segments_before is None else lane.segments - segments_before
        return began_ms, Sample(span("stored"), span(tag.known), lane.bytes - bytes_before, segments)

    async def _restart(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._far.broker_kill()
        self._far.ready.clear()
        await asyncio.sleep(_BROKER_DOWN_S)
        await self._far.broker_start()


async def play(folder: pathlib.Path, way: Way, fault: Fault, count: int, deadline_s: float, seed: int) -> Row:
    """Play a row of `count` presses; it does not raise for what goes wrong in it."""
    row = Row(fault)
    stage = Stage(folder, way, fault, count, seed)
    try:
        await stage.start()
        row.start_ms = {tag.name: tag.start_ms for tag in stage.tags}
        for _ in range(count):
            for name, sample in (await stage.play(deadline_s)).items():
                row.samples.setdefault(name, []).append(sample)
    except (StoryError, SimError, TimeoutError) as error:
        row.why = str(error) or "something took too long"
    finally:
        await stage.end()
    return row
