"""
Somebody who hears every frame, holds no key, and can say anything to both sides, as a bad broker could.
"""

from typing import Any

from desk import token
from faults.world.office import OURS, SIBLING
from tests.host.fakes import BUILT_S

_UP = f"obereg/{OURS.tag}/up/"
_DOWN = f"obereg/{OURS.tag}/down"

# What another child's tag and its desk once said, rightly sealed.
_ALIEN_UP = token.seal({6: BUILT_S, 7: bytes(8), -65537: {0: 1}}, SIBLING.up, SIBLING.kid)
_ALIEN_DOWN = token.seal(
    token.ack(b"\0\0\0\1\0\0\0\3", bytes(8), token.COMING, 9, bytes(8), BUILT_S), SIBLING.down, SIBLING.kid
)


_ATTACKS = ("replay up", "replay down", "replay down", "flip", "forge", "reflect", "alien", "noise")


class Attacker:
    """`active`: whether there is one in this world."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._ups: list[bytes] = []
        self._downs: list[bytes] = []
        self._answers: dict[bytes, list[bytes]] = {}  # by the cti they answer
        self.active = False

    def saw_up(self, payload: bytes) -> bool:
        """Return whether it is withheld from the desk."""
        if not self.active:
            return False
        new = payload not in self._ups
        self._ups.append(payload)
        answers = self._answers.get(self._world.judge.cti_of(payload) or b"", ()) if new else ()
        # Counters that come back: an old answer may settle a new message.
        for answer in answers[-3:]:
            self._to_tag(answer)
        return bool(answers)

    def saw_down(self, payload: bytes) -> None:
        if self.active:
            self._downs.append(payload)
            cti = self._world.judge.answered_cti(payload)
            self._answers.setdefault(cti, []).append(payload)

    def strike(self) -> None:
        """One attack."""
        dice = self._world.dice
        ups, downs = self._ups or [_ALIEN_UP], self._downs or [_ALIEN_DOWN]
        up, down = dice.choice(ups), dice.choice(downs)
        what = dice.choice(_ATTACKS)
        if what == "replay up":
            self._to_desk(up)
        elif what == "replay down":
            self._to_tag(down)
        elif what == "flip":
            self._to_desk(self._flipped(up))
            self._to_tag(self._flipped(down))
        elif what == "reflect":
            self._to_desk(down)
            self._to_tag(up)
        elif what == "forge":
            # What waits for its answer is among the last.
            self._forge(dice.choice(ups[-3:]))
        elif what == "alien":
            self._to_desk(_ALIEN_UP)
            self._to_tag(_ALIEN_DOWN)
        else:
            self._to_desk(dice.randbytes(dice.randrange(200)))
            self._to_tag(dice.randbytes(dice.randrange(200)))

    def replay_all(self) -> None:
        """Every frame seen so far, to both sides, each also with a bit flipped: at most 40 of a kind."""
        for frames in (self._ups, self._downs):
            for frame in self._world.dice.sample(frames, min(len(frames), 40)):
                for said in (frame, self._flipped(frame)):
                    self._to_desk(said)
                    self._to_tag(said)

    def _forge(self, up: bytes) -> None:
        """The answer that the child waits for, under a key that is not the desk's."""
        cti = self._world.judge.cti_of(up) or bytes(8)
        said = token.ack(cti, token.digest(up), token.COMING, 99, bytes(8), BUILT_S)
        self._to_tag(token.seal(said, SIBLING.down, OURS.kid))

    def _flipped(self, frame: bytes) -> bytes:
        dice = self._world.dice
        bits = int.from_bytes(frame, "big")
        for _ in range(dice.choice((1, 1, 2))):
            bits ^= 1 << dice.randrange(8 * len(frame))
        return bits.to_bytes(len(frame), "big")

    def _to_desk(self, payload: bytes) -> None:
        self._world.broker.to_desk(_UP + self._world.dice.choice(("alert", "state")), payload)

    def _to_tag(self, payload: bytes) -> None:
        self._world.broker.to_tag(_DOWN, payload)
