"""The whole way in virtual time: the real tag and the real link, a broker in memory, a desk with real keys."""

import asyncio
import pathlib
import random
from typing import Any

from link import Dial, Link

from tests.host.fakes import end
from tests.host.loop_broker import FakeBearer, LoopBroker, Published
from tests.host.tag_setup import Worn


class Way:
    """
    A worn tag with its link; the desk acknowledges what it hears with the present level while `awake`.

    `bearers`, of these names, the preferred one first; `bearer` is that one. `felt` holds (at_s, signal).
    """

    def __init__(self, monkeypatch: Any, folder: pathlib.Path, *names: str) -> None:
        self.worn = Worn(monkeypatch, folder)
        self.now = self.worn.now
        self.broker = LoopBroker(self.now)
        self.broker.on_publish = self.answer
        self.bearers = [FakeBearer(self.broker, name) for name in names or ("fake",)]
        self.bearer = self.bearers[0]
        self.awake = True
        self.present = (1, 1)  # level, rev
        self.presses = 0  # the most that an alert or update has said
        self.felt: list[tuple[float, str]] = []

    def answer(self, published: Published) -> None:
        claims = self.worn.desk.hear(published.payload)
        if not self.awake:
            return
        if claims.kind <= 3:
            self.presses = max(self.presses, claims.presses)
            ack = self.worn.desk.ack(published.payload, *self.present)
        else:
            ack = self.worn.desk.ack(published.payload, 0, 0)
        published.connection.publish(
            published.topic.replace("up/alert", "down").replace("up/state", "down"), ack
        )

    def start(self) -> list[asyncio.Task]:
        """A start of the tag: its tasks, as app.py joins them."""
        tag = self.worn.tag
        dial = Dial("broker.example", 8883, tag.me.tag, tag.me.password, 18000)
        bits = random.Random(1).getrandbits
        tag.feel = lambda signal: self.felt.append((self.now.s, signal))
        tag.link = Link(
            self.bearers, dial, tag.outbox, tag.will, tag.on_down, tag.on_trouble, self.worn.log, bits
        )
        tag.start("power on")

        async def tick() -> None:
            while True:
                tag.tick(self.now.ticks_ms())
                await asyncio.sleep(0.2)

        return [asyncio.create_task(tag.link.run()), asyncio.create_task(tick())]

    async def restart(self, tasks: list[asyncio.Task]) -> list[asyncio.Task]:
        await end(tasks)
        await end(session.task for session in self.worn.tag.link._sessions)
        self.worn.cut()
        return self.start()

    def when(self, signal: str) -> float:
        """When it was felt for the first time."""
        return next(at_s for at_s, name in self.felt if name == signal)
