"""
Where answers go wrong: between the modem and its line. An answer is whatever the modem says in one piece: the answer
to a command, a prompt, a URC.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from faults.dialogue.line import Wire
from sim.modem import Fault

Kind = Callable[["Tap", bytes], bytes]


class Answer(NamedTuple):
    """`at_s`: when it began; `command`: the last that the tag had said; `data`: as the modem meant it."""

    at_s: float
    command: str
    data: bytes


class Tap:
    """
    Counts the answers from begin() on, and lets those of `plan` (number to kind) go wrong.

    `answers`: all of them. `began_s`: when the first fault was, 0 before that. `over_s`: when the last fault ended,
    None while one has not. A kind moves `dice`, and calls ends(), mute(), deaf(), withhold() and modem_fault().
    """

    def __init__(self, modem: Any, wire: Wire, plan: Mapping[int, tuple[str, Kind]], seed: str) -> None:
        self.wire = wire
        self.answers: list[Answer] = []
        self.acted: list[str] = []
        self.began_s = 0.0
        self.dice = random.Random(seed)
        self.number = 0
        self._modem = modem
        self._plan = dict(plan)
        self._seed = seed
        self._counting = False
        self._over_s = 0.0
        self._mute_until_s = 0.0
        self._deaf_until_s = 0.0
        self._withheld = b""
        self._dead = False
        self._armed: dict[str, int] = {}

    def begin(self) -> None:
        self._counting = True

    @property
    def over_s(self) -> float | None:
        if len(self.acted) < len(self._plan) or self._dead or self.unacted():
            return None
        return max(self._over_s, self.wire.held_until_s)

    def unacted(self) -> list[str]:
        """Faults that the modem was given and that have not acted yet."""
        acted = self._modem.faults.acted
        return [kind for kind, before in self._armed.items() if acted[kind] == before]

    def __call__(self, data: bytes) -> bytes:
        """Take what the modem begins to say; return what it says instead."""
        if not data or not self._counting:
            return data
        now_s = asyncio.get_running_loop().time()
        self.number = len(self.answers)
        self.answers.append(Answer(now_s, self.wire.command, data))
        withheld, self._withheld = self._withheld, b""
        name, kind = self._plan.get(self.number, ("", None))
        muted = now_s < self._mute_until_s or (
            now_s < self._deaf_until_s and data.startswith(b"\r\n+CADATAIND")
        )
        if kind:
            self.dice = random.Random(f"{self._seed} {self.number} {name}")
            self.acted.append(name)
            self.began_s = self.began_s or now_s
            self.ends(0)
            data = kind(self, data)
        return b"" if muted else data + withheld

    def supply_cut(self) -> None:
        """The modem's supply was switched off: what it had yet to say is gone, and it hangs no more."""
        self.wire.cut()
        self._modem.faults.clear("error")
        if self._dead:
            self._dead = False
            self.ends(0)

    # What kinds do

    def ends(self, after_s: float) -> None:
        """The fault will have ended in `after_s`."""
        self._over_s = max(self._over_s, asyncio.get_running_loop().time() + after_s)

    def mute(self, seconds: float) -> None:
        """Nothing of what the modem says arrives."""
        self._mute_until_s = asyncio.get_running_loop().time() + seconds
        self.ends(seconds)

    def deaf(self, seconds: float) -> None:
        """No +CADATAIND arrives."""
        self._deaf_until_s = asyncio.get_running_loop().time() + seconds
        self.ends(seconds)

    def withhold(self, data: bytes) -> None:
        """Say it behind the next answer."""
        self._withheld += data

    def modem_fault(self, kind: str, acts_within_s: float | None = None, **options: Any) -> None:
        """
        Give the modem a fault of its own. An event is at once, but not within this answer; the others act later:
        `acts_within_s`.
        """
        self._dead = self._dead or kind == "dead"
        if acts_within_s is None:
            asyncio.get_running_loop().call_soon(self._modem.fault, Fault(kind, **options))
        else:
            self._armed[kind] = self._modem.faults.acted[kind]
            self._modem.fault(Fault(kind, **options))
            self.ends(acts_within_s)
