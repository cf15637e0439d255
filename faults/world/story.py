"""
What happens in a world: a child that presses, and hazards, drawn from the seed.

Each world has only some of the hazards, so that in some of them the rare things that follow a smooth start are reached.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class Story:
    """`lasts_s`: how long the trouble lasts. Drawing it sets the manners of people, air and broker."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._dice = dice = world.dice
        self.lasts_s = dice.choice((30, 60, 60, 90, 90, 120, 200, 400))
        if dice.random() < 0.02:
            self.lasts_s = 3000
        world.sky = dice.random() < 0.4
        self._cellar = dice.random() < 0.08
        if self._cellar:
            # No way out for so long that the outbox overflows.
            self.lasts_s, world.sky = 400, True
            for bearer in world.bearers:
                world.later(dice.uniform(0, 30), lambda air=bearer.air: setattr(air, "covered", False))
        world.attacker.active = dice.random() < 0.5
        world.office.manners = {
            "seen": dice.choice((0, 0.5)),
            "take": dice.choice((0, 0.5, 1, 1)),
            "decline": dice.choice((0, 0.5, 1, 1)),
            "close": dice.choice((0, 0, 0.5)),
            "slow_s": dice.choice((2, 10, 30)),
        }
        self._steady()
        hazards = (
            *(self._silence, self._stall, self._no_coverage, self._slow_air),
            *(self._kill_broker, self._refuse, self._kill_desk, self._full_disk),
            *(self._cut, self._cut_at_a_write, self._jump_clocks, self._command),
        )
        self._hazards = [hazard for hazard in hazards if dice.random() < 0.5]
        if self._cellar:
            self._hazards = [each for each in self._hazards if each != self._no_coverage]
        if world.attacker.active:
            self._hazards += [world.attacker.strike] * 3
        rare = ((self._restore_desk, 0.25), (self._old_flash, 0.15), (self._lose_counters, 0.15))
        self._once = [hazard for hazard, share in rare if dice.random() < share]
        if self._old_flash in self._once:
            # Counters that start over are an attacker's chance.
            world.attacker.active = True
        if self._restore_desk in self._once:
            # What is lost must be missed: the incident stays open.
            world.office.manners["close"] = 0
            world.office.fails_after_act = dice.random() < 0.5
        self._gestures = (*[self._hold] * 4, self._taps, self._brush, *[self._cancel] * 2)
        self._every_s = dice.choice((3, 8, 20)) * max(1, self.lasts_s // 400)

    def _steady(self) -> None:
        """Losses that last the whole story."""
        dice, broker = self._dice, self._world.broker
        if dice.random() < 0.6:
            broker.lose_up = dice.choice((0, 0.1, 0.3, 0.6))
            broker.lose_down = dice.choice((0, 0.1, 0.3, 0.6))
        if dice.random() < 0.4:
            broker.twice = dice.choice((0.1, 0.5))
        if dice.random() < 0.4:
            broker.delay_s = (0.001, dice.choice((0.5, 5.0, 30.0)))
        for bearer in self._world.bearers:
            if dice.random() < 0.5:
                bearer.air.loss = dice.choice((0.1, 0.3, 0.6))
                bearer.air.delay_s = (0.02, dice.choice((0.1, 1.0, 5.0)))
                bearer.air.attach_s = dice.choice((0.2, 1.0, 6.0))

    async def run(self) -> None:
        """The trouble. Child and hazards go their own ways."""
        child = asyncio.create_task(self._childhood())
        world, dice = self._world, self._dice
        end_s = world.now.s + self.lasts_s
        once = {dice.uniform(0.3, 1) * self.lasts_s: hazard for hazard in self._once}
        for at_s, hazard in once.items():
            world.later(at_s, lambda hazard=hazard: self._happens(hazard))
        while world.now.s < end_s:
            await asyncio.sleep(min(dice.expovariate(1 / self._every_s), end_s - world.now.s))
            if self._hazards:
                self._happens(dice.choice(self._hazards))
        child.cancel()
        world.body.pin.move(False)

    def _happens(self, hazard: Callable[[], None]) -> None:
        if not self._world.healing:
            self._world.log("hazard", "%s", hazard.__name__.strip("_"))
            hazard()

    # ------------------------------------------------------------------------------------------------------ the child

    async def _childhood(self) -> None:
        dice = self._dice
        await asyncio.sleep(dice.choice((0.0, 1.0, 8.0, 20.0)))
        for n in range(dice.choice((1, 2, 3, 4, 6))):
            if n:
                await asyncio.sleep(dice.uniform(0.3, dice.choice((3, 15, 60))))
            if dice.random() < 0.15:
                # The power goes while the press becomes a message.
                self._world.later(0.55, self._cut_at_a_write)
            await dice.choice(self._gestures)()
        if dice.random() < 0.05:
            await self._down(32)

    async def _down(self, seconds: float) -> None:
        pin = self._world.body.pin
        pin.move(True)
        await asyncio.sleep(seconds)
        pin.move(False)
        await asyncio.sleep(0.15)

    async def _hold(self) -> None:
        await self._down(self._dice.uniform(0.65, 1.5))

    async def _taps(self) -> None:
        for _ in range(3):
            await self._down(0.15)

    async def _cancel(self) -> None:
        await self._down(5.3)

    async def _brush(self) -> None:
        await self._down(0.2)

    # -------------------------------------------------------------------------------------------------------- hazards

    def _air(self) -> Any:
        return self._dice.choice(self._world.bearers).air

    def _silence(self) -> None:
        """Half open: both ends believe in it."""
        for stream in self._world.body.streams:
            stream.silent = True

    def _for_a_while(self, thing: Any, name: str, value: Any, well: Any) -> None:
        setattr(thing, name, value)
        self._world.later(
            self._dice.uniform(1, self._dice.choice((5, 40))), lambda: setattr(thing, name, well)
        )

    def _stall(self) -> None:
        self._for_a_while(self._air(), "stalled", True, False)

    def _no_coverage(self) -> None:
        self._for_a_while(self._air(), "covered", False, True)

    def _slow_air(self) -> None:
        self._for_a_while(self._air(), "delay_s", (0.5, 8.0), (0.02, 0.1))

    def _kill_broker(self) -> None:
        broker = self._world.broker
        broker.kill(silently=self._dice.random() < 0.3)
        self._world.later(self._dice.uniform(0.5, 15), self._world.broker_up)

    def _refuse(self) -> None:
        self._for_a_while(self._world.broker, "connack", 5, 0)
        for client in self._world.broker.clients():
            client.end()

    def _kill_desk(self) -> None:
        self._world.office.doom = self._dice.choice(("before", "after"))

    def _full_disk(self) -> None:
        office = self._world.office
        office.fill_disk(True)
        self._world.later(self._dice.uniform(1, 20), lambda: office.fill_disk(False))

    def _restore_desk(self) -> None:
        self._world.office.restore()

    def _cut(self) -> None:
        dice = self._dice
        self._world.body.cut(dice.random() < 0.4, dice.choice((0.5, 5.0, 30.0)))

    def _cut_at_a_write(self) -> None:
        dice = self._dice
        self._world.body.blow(
            dice.randint(1, 9), dice.random() < 0.5, dice.random() < 0.4, dice.choice((0.5, 5.0))
        )

    def _old_flash(self) -> None:
        """Somebody puts an older flash image back: the counters start over."""
        world = self._world
        world.body.cut(False, 2.0)
        world.later(1.0, world.roll_back)
        world.later(self._dice.uniform(3, 10), lambda: asyncio.create_task(self._hold()))

    def _lose_counters(self) -> None:
        """Both stores lose the epoch; the key stays whole in one of them."""
        body = self._world.body
        body.cut(False, 2.0)

        def lose() -> None:
            body.nvs.records.clear()
            body.disk.files.pop("/data/epoch", None)

        self._world.later(1.0, lose)

    def _jump_clocks(self) -> None:
        dice = self._dice
        jump_s = dice.choice((-86400, -30, 30, 86400, 40000000))
        if dice.random() < 0.5:
            self._world.body.jump_clock(jump_s)
        else:
            self._world.office.jump_clock(jump_s)

    def _command(self) -> None:
        self._world.office.command()
