"""
Replays and reflections: every frame of a story, said again where it was heard or where it was not.

First each frame in each of seven situations; then worlds of random replays in random situations, one seed each.

    python -m faults.replays [--long] [--seed N] [--count N] [--break NAME]

Nothing may come of it: no incident, no message, no ring; nothing felt, written, settled or said, no level, no counter.
Two things may: the desk says an ack again of what it has stored; and of an ack of the open incident the tag believes
the time (one that lost its time takes it for a lower bound; it never goes back).
--count: how many random replays (10,000; --long 100,000). --seed N: the world N alone (-1: the seven situations).
"""

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from faults.common import Progress, finish, parser, until_stopped, workers
from faults.planted import REPLAYS, plant

_CI, _LONG = 10_000, 100_000
# A world has so many replays; more would only replay longer stories.
_WORLD = 200


class Replays:
    """What has been said again, `runs`, and what came of it, `violations`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seed = -1
        self._where = ""
        self.runs = 0
        self.violations: list[dict[str, Any]] = []

    def situations(self) -> None:
        """Every frame in each situation."""
        self._seed = -1
        for situation in (
            self._at_once,
            self._after_a_reset,
            self._after_a_cut,
            self._in_a_later_incident,
            self._reflected,
            self._at_another_tag,
            self._after_a_change_of_keys,
        ):
            self._where = situation.__name__.strip("_").replace("_", " ")
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                self._pair = self._new_pair(Path(folder), random.Random(0))
                situation()
                self._control()
                self._pair.close()

    def world(self, seed: int, count: int) -> None:
        """`count` random replays while a random story goes on."""
        from faults.pair import PairError

        self._seed = seed
        dice = random.Random(seed)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            pair = self._pair = self._new_pair(Path(folder), dice)
            acts = (
                pair.press,
                pair.press,
                pair.cancel,
                pair.locate,
                pair.talk,
                pair.talk,
                pair.talk,
                self._act,
            )
            acts += (
                lambda: pair.restart(False),
                lambda: pair.restart(True),
                self._command,
                pair.tag.heartbeat,
            )
            try:
                pair.talk()
                end = self.runs + count
                while self.runs < end:
                    if dice.random() < 0.1:
                        self._where = "in a random world"
                        dice.choice(acts)()
                    else:
                        self._any(dice)
                pair.talk()
                self._control()
            except PairError as error:
                self._blame(str(error))
            pair.close()

    # --------------------------------------------------------------------------------------------------- situations

    def _at_once(self) -> None:
        self._story()
        # The frame itself was the last one of its direction.
        frames, self._pair = self._pair.frames, self._another()
        self._pair.down = self._down_twice  # type: ignore[method-assign]
        self._pair.up = self._up_twice  # type: ignore[method-assign]
        self._story()
        if len(self._pair.frames) != len(frames):
            self._blame("the story is another one")
        del self._pair.down, self._pair.up

    def _after_a_reset(self) -> None:
        self._story()
        self._pair.restart(False)
        self._all()

    def _after_a_cut(self) -> None:
        self._story()
        self._pair.restart(True)
        self._all()

    def _in_a_later_incident(self) -> None:
        pair = self._pair
        self._story()
        pair.act("close")
        pair.talk()
        pair.press()
        self._all()
        if pair.tag.incident.state != "calling":
            self._blame("the later incident is answered")

    def _reflected(self) -> None:
        self._story()
        self._pair.press()  # something waits to be answered
        for up, frame in list(self._pair.frames):
            self._say(not up, frame, False)

    def _at_another_tag(self) -> None:
        pair = self._pair
        self._story()
        pair.sibling.tag.start("power on")
        pair.sibling.press()
        for up, frame in list(pair.frames):
            self.runs += 1
            done = self._try(
                lambda up=up, frame=frame: (
                    pair.desk_after(frame, pair.sibling.tag.me.tag)
                    if up
                    else pair.tag_after(frame, pair.sibling)
                )
            )
            if done:
                self._blame(f"{frame.hex()}: {done}")

    def _after_a_change_of_keys(self) -> None:
        pair = self._pair
        self._story()
        pair.press()
        waiting = pair.tag.outbox.pending()[0]
        withheld = pair.to_desk(waiting.token).token
        pair.change_keys()
        # New to the tag, and under the old key.
        self._say(False, withheld, False)
        for up, frame in list(pair.frames):
            self._say(up, frame, False)
        # Sealed under the old key, too: it will never be answered.
        if entry := pair.tag.outbox.find(waiting.cti):
            pair.tag.outbox.settle(entry)

    # ---------------------------------------------------------------------------------------------------- the pieces

    def _story(self) -> None:
        """An incident that stays open, with every kind of frame."""
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
        pair.cancel()
        pair.talk()
        pair.up(pair.tag.will())
        pair.tag.heartbeat()
        pair.talk()

    def _control(self) -> None:
        """After all that a press still reaches the desk, and its ack the child."""
        pair = self._pair
        if pair.kid != pair.tag.me.kid:
            raise ValueError("the pair has lost its key")
        pair.worn.calls.clear()
        pair.press()
        pair.talk()
        if pair.tag.outbox.pending() or ("feel", "received") not in pair.worn.calls:
            self._blame("a press is not answered any more")

    def _act(self) -> None:
        from desk.incidents import IncidentError

        if self._pair.store.incidents():
            try:
                self._pair.act(random.Random(self.runs).choice(("seen", "take", "decline", "close")))
            except IncidentError:
                pass  # not possible now: people try

    def _command(self) -> None:
        if self._pair.store.incidents():
            self._pair.command()

    def _any(self, dice: random.Random) -> None:
        pair = self._pair
        up, frame = dice.choice(pair.frames)
        to_desk = dice.random() < 0.5
        self._where = "replayed" if to_desk == up else "reflected"
        self._say(to_desk, frame, to_desk == up)

    def _all(self) -> None:
        for up, frame in list(self._pair.frames):
            self._say(up, frame, True)

    def _down_twice(self, frame: bytes) -> None:
        type(self._pair).down(self._pair, frame)
        self._say(False, frame, True)

    def _up_twice(self, frame: bytes) -> None:
        type(self._pair).up(self._pair, frame)
        self._say(True, frame, True)

    def _say(self, to_desk: bool, frame: bytes, known: bool) -> None:
        pair = self._pair
        self.runs += 1
        done = self._try(lambda: pair.desk_after(frame, known=known) if to_desk else pair.tag_after(frame))
        if done:
            self._blame(f"{frame.hex()} to the {'desk' if to_desk else 'tag'}: {done}")

    @staticmethod
    def _try(say: Any) -> str:
        try:
            return say()
        except Exception as error:  # noqa: BLE001 - whatever it is, it may not come out
            return f"{type(error).__name__} came out: {error}"

    def _blame(self, text: str) -> None:
        self.violations.append({"seed": self._seed, "text": f"{self._where}: {text}"})

    def _another(self) -> Any:
        self._pair.close()
        return self._new_pair(self._folder / "another", random.Random(0))

    @staticmethod
    def _new_pair(folder: Path, dice: random.Random) -> Any:
        from faults.pair import Pair  # after the fault is in place

        return Pair(folder, dice)


def play(seed: int) -> tuple[int, list[dict[str, Any]]]:
    """One world, or all situations (-1): how many frames were said again, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="replays") as folder:
        replays = Replays(Path(folder))
        if seed < 0:
            replays.situations()
        else:
            replays.world(seed, _WORLD)
        return replays.runs, replays.violations


def main() -> int:
    options = parser("replays", "Say every frame again, everywhere: nobody may act on it.")
    options.add_argument(
        "--break", dest="fault", choices=REPLAYS, metavar="NAME", help="with a deliberate fault"
    )
    arguments = options.parse_args()
    plant(REPLAYS, arguments.fault)
    progress = Progress("replays")
    count = _LONG if arguments.long else _CI
    if arguments.count is not None:
        count = arguments.count
    elif arguments.seed is not None:
        count = _WORLD
    first = arguments.seed or 0
    seeds = [-1] if arguments.seed is None or first < 0 else []
    if first >= 0:
        seeds += range(first, first - (-count // _WORLD))
    runs, violations = 0, []
    with workers() as pool, until_stopped(progress):
        for said, found in pool.map(play, seeds):
            runs += said
            violations += found
            progress.say(f"{runs} frames, {len(violations)} violations")
    return finish("replays", runs, violations, progress, arguments)


if __name__ == "__main__":
    sys.exit(main())
