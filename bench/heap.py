"""The smallest heap in which a firmware starts, says one alert over a whole link and learns of it."""

import pathlib
from collections.abc import Callable
from typing import Any

from bench.far import Far
from bench.tags import Tag
from sim.common import SimError
from sim.story import StoryError
from sim.tag import HEAP

_STEP = 4 * 1024
_SIZES = range(16 * 1024, HEAP + 1, _STEP)
_TRIES = len(_SIZES).bit_length()
_UP_S, _KNOWN_S = 15, 10


async def smallest(
    folder: pathlib.Path, way: Any, kind: Callable[[pathlib.Path, int, str], Tag]
) -> int | None:
    """Return it in bytes, a multiple of 4 KB; None: not even HEAP is enough."""
    folder.mkdir(parents=True)
    # A tag for each try: what a try that failed left behind is not in the way.
    tags = [kind(folder, HEAP, str(number)) for number in range(_TRIES)]
    far = Far(folder, tuple(tags))
    await far.start()
    try:
        lane = await way.lane(far.port)
        low, high = 0, len(_SIZES)
        while low < high:
            middle = (low + high) // 2
            if await _fits(tags.pop(), lane.address, _SIZES[middle]):
                high = middle
            else:
                low = middle + 1
        return _SIZES[low] if low < len(_SIZES) else None
    finally:
        await far.stop()


async def _fits(tag: Tag, address: tuple[str, int], heap: int) -> bool:
    tag.heap = heap
    tag.flash(address, 1)
    try:
        await tag.start(_UP_S)
        began_ms = await tag.press()
        await tag.story.until_event("stored", _KNOWN_S, "not at the desk", began_ms)
        await tag.story.until_event(tag.known, _KNOWN_S, "not known", began_ms)
    except (StoryError, SimError):
        return False
    finally:
        try:
            await tag.end()
        except SimError:
            pass  # its interpreter had died
    return True
