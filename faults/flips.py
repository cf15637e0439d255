"""
Bit flips: every frame that tag and desk say in a story, with every single bit of it turned, just before it is due.

None may be accepted: the desk answers, stores and rings nothing, the tag feels, writes and settles nothing. Then the
frame itself comes, and must be taken, because a refusal of everything would prove nothing.

    python -m faults.flips [--long] [--seed N] [--count N] [--break NAME]

--long adds 100,000 frames with two bits turned (--count: another number), drawn from the seed.
"""

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from faults.common import Progress, finish, parser
from faults.planted import FLIPS, plant

_DOUBLE = 100_000
# Whoever takes that many takes them all, and each costs a transaction.
_ENOUGH = 50


class Flips:
    """`doubles`: how many frames with two bits turned there are in all. `violations` as common.py has them."""

    def __init__(self, seed: int, doubles: int, folder: Path, progress: Progress) -> None:
        from faults.pair import Pair  # after the fault is in place

        self._seed = seed
        self._dice = random.Random(seed)
        self._progress = progress
        self._doubles = 0
        # Told to nobody, only counted: how many each of the frames gets.
        self._pair = Pair(folder / "first", random.Random(seed))
        self._frames = self._story()
        self._doubles = -(-doubles // self._frames)
        self._pair = Pair(folder / "second", random.Random(seed))
        self._pair.heard = self._each
        self.runs = {"single": 0, "double": 0}
        self.violations: list[dict[str, Any]] = []

    def run(self) -> None:
        if self._story() != self._frames:
            self._blame("story", "it is not the same twice")

    def _story(self) -> int:
        """Every kind of frame: alert, update, another press, cancel, state; acks of every level; a command."""
        pair = self._pair
        pair.talk()
        pair.press()
        pair.talk()
        pair.command()
        pair.locate()
        for act in ("seen", "take", "decline", "take"):
            pair.act(act)
            pair.talk()
        pair.press()
        pair.talk()
        pair.cancel()
        pair.talk()
        pair.act("close")
        pair.talk()
        pair.up(pair.tag.will())
        pair.tag.heartbeat()
        pair.talk()
        count = len(pair.frames)
        pair.close()
        return count

    def _each(self, up: bool, frame: bytes) -> None:
        size = 8 * len(frame)
        number = int.from_bytes(frame, "big")
        for bit in range(size):
            if len(self.violations) >= _ENOUGH:
                return
            self._one("single", up, (number ^ 1 << bit).to_bytes(len(frame), "big"), frame)
        for _ in range(self._doubles):
            first, second = self._dice.sample(range(size), 2)
            self._one("double", up, (number ^ 1 << first ^ 1 << second).to_bytes(len(frame), "big"), frame)
        self._progress.say(f"{sum(self.runs.values())} frames, {len(self.violations)} violations")
        self._control(up, frame)

    def _one(self, kind: str, up: bool, flipped: bytes, frame: bytes) -> None:
        pair = self._pair
        self.runs[kind] += 1
        refused = pair.worn.log.counters.get("down.refused", 0)
        try:
            done = pair.desk_after(flipped) if up else pair.tag_after(flipped)
        except Exception as error:  # noqa: BLE001 - whatever it is, it may not come out
            done = f"{type(error).__name__} came out: {error}"
        if not up and pair.worn.log.counters.get("down.refused", 0) != refused + 1:
            done += "; not counted as refused"
        if done:
            self._blame("up" if up else "down", f"{flipped.hex()} for {frame.hex()}: {done}")

    def _control(self, up: bool, frame: bytes) -> None:
        """The frame itself is right: else its flips were refused for another reason."""
        pair = self._pair
        refused = pair.worn.log.counters.get("down.refused", 0)
        if up:
            try:
                from desk import token
                from faults.world.office import OURS

                token.verify(frame, OURS.up, OURS.kid)
            except Exception as error:  # noqa: BLE001 - it must be right
                self._blame("up", f"the desk refuses {frame.hex()}: {error}")
        elif pair.worn.log.counters.get("down.refused", 0) != refused:
            self._blame("down", f"the tag refuses {frame.hex()}")

    def _blame(self, where: str, text: str) -> None:
        self.violations.append({"seed": self._seed, "text": f"{where}: {text}"})


def main() -> int:
    options = parser("flips", "Turn every bit of every frame: none may be accepted.")
    options.add_argument(
        "--break", dest="fault", choices=FLIPS, metavar="NAME", help="with a deliberate fault"
    )
    arguments = options.parse_args()
    plant(FLIPS, arguments.fault)
    progress = Progress("flips")
    doubles = arguments.count if arguments.count is not None else _DOUBLE if arguments.long else 0
    with tempfile.TemporaryDirectory(prefix="flips") as folder:
        flips = Flips(arguments.seed or 0, doubles, Path(folder), progress)
        flips.run()
    return finish(
        "flips",
        sum(flips.runs.values()),
        flips.violations,
        progress,
        arguments,
        frames=flips._frames,
        **flips.runs,
    )


if __name__ == "__main__":
    sys.exit(main())
