"""
The demo's modem: in this process, joined to the tag by a PTY and the panel's wires, and its floor.
"""

import argparse
import pathlib
import statistics
from typing import Any

from sim.demo_desk import Broker, FarSide
from sim.floor import connect, publish
from sim.modem import Modem
from sim.modem_floor import ModemCaller, Server
from sim.modem_wires import Wires
from sim.panel import Panel
from sim.story import Story

APN = "obereg"
_SWITCHES = {"modem": "the modem is supplied", "modem_pwrkey": "PWRKEY is pressed"}
_SESSION_BYTES = 9  # CONNACK and SUBACK
_FALL_S = 5


class ModemSide:
    """start() makes the modem, off and as from the factory; stop() ends it. sky: a recording, "walk" or None."""

    def __init__(
        self,
        options: argparse.Namespace,
        folder: pathlib.Path,
        story: Story,
        panel: Panel,
        sky: str | pathlib.Path | None,
    ) -> None:
        self.link = folder / "modem"
        self._options, self._story, self._panel, self._sky = options, story, panel, sky
        self._modem = self._fresh()

    def _fresh(self) -> Modem:
        return Modem(self.link, speed=self._options.speed, gnss=self._sky)

    async def start(self) -> None:
        await self._modem.start()
        self._panel.on_output(Wires(self._modem))
        self._panel.on_output(self._switched)

    async def stop(self) -> None:
        await self._modem.stop()

    def _switched(self, name: str, value: int, t_ms: int) -> None:
        if value and name in _SWITCHES:
            self._story.add(_SWITCHES[name], t_ms)

    def switched_on_ms(self) -> float | None:
        """Return when the tag first gave supply or PWRKEY, ms on the clock of time.monotonic."""
        times = [self._story.when(what) for what in _SWITCHES.values()]
        return min((at for at in times if at is not None), default=None)

    def dialogue(self) -> list[dict[str, Any]]:
        """Return the tag's dialogue with the modem so far. A line that is no command is payload: its length only."""
        said = self._modem.recorder.exchanges()
        for exchange in said:
            exchange["command"] = _veiled(exchange["command"])
            exchange["answer"] = [_veiled(line) for line in exchange["answer"]]
        return said

    async def floor(
        self, far: FarSide, broker: Broker, way: tuple[str, int], keys: dict[str, Any], tries: int
    ) -> float:
        """
        Return the ms that the shortest dialogue needs for the alert's own bytes, to the desk's "acked".

        From attached: on a living session whose radio is still connected, from writing AT+CASEND; the median of
        `tries`. From cold: with another modem as from the factory, from PWRKEY, once.
        """
        story, tag = self._story, keys["tag"]
        alert = next(message for message in story.stored if message["kind"] == 1)
        # The tag was switched off a moment ago; its hands must be off the wires.
        off = "the tag is off and its modem is not"
        await story.until(lambda: not self._panel.outputs.get("modem"), _FALL_S, off)
        hello, cold = connect(tag, keys["broker"]), self._options.origin == "cold"
        if cold:
            await self._modem.stop()
            self._modem = self._fresh()
            await self._modem.start()
        caller = ModemCaller(self._modem, self.link, Server(*way, broker.name, broker.ca_pem, APN))
        try:
            if cold:

                async def first(token: bytes) -> float:
                    began_ms = await caller.attach()
                    await caller.open()
                    await caller.say(hello + publish(tag, 2, token))
                    return began_ms

                return round(await far.another(alert, first), 1)
            await caller.attach()
            await caller.open()
            await caller.say(hello)
            await caller.hear(_SESSION_BYTES)
            spans = []
            for number in range(tries):

                async def again(token: bytes, number: int = number) -> float:
                    return await caller.say(publish(tag, number + 2, token))

                spans.append(await far.another(alert, again))
            return round(statistics.median(spans), 1)
        finally:
            caller.close()


def _veiled(text: str) -> str:
    # What the modem took for commands because a prompt went wrong may be a message, or the password of the session.
    return text if text.isprintable() and "\\x" not in text else f"<{len(text)} characters>"
