"""
A technician's table without hardware: blank boards on cables, each with modem and sky; a broker, a desk, a site file.

    python -m sim table                        one board at build/table/port-1
    python -m sim table --boards 4

In a second terminal: python -m tools.flash all --site build/table/site.toml --port build/table/port-1 --image
build/table/micropython.bin. Here you are its hands: press, pull the cable, break the modem. docs/technician.md tells it
step by step. What is in the folder stays: boards and desk go on where they stopped.
"""

import argparse
import asyncio
import pathlib

from sim.cable.world import SPEED, Place, Table
from sim.common import SimError, stdin_lines
from sim.felt import Finger

_SETTLED_S = 0.9  # no pattern has a longer pause
_STEADY_S = 0.4  # a light that is on for longer does not blink
HELP = """\
press [N]         press the button of board N (default: 1) for 0.8 s
hold MS [N]       press it for MS milliseconds
pull|plug [N]     the cable, which is the board's only supply
charger on|off [N]  with a charger on and a finger on the button the service window opens
button on|off [N]
modem off|on [N]  break the wire of the modem's PWRKEY, mend it
help, quit"""


class Hands:
    """What is felt at one board, and what is done to it."""

    def __init__(self, number: int, place: Place) -> None:
        self.place = place
        self._number = number
        self._finger = Finger()
        self._told = self._pulses = 0
        self._later: asyncio.TimerHandle | None = None
        self._lit: asyncio.TimerHandle | None = None
        place.panel.on_output(self._output)

    def _output(self, name: str, value: int, t_ms: int) -> None:
        loop = asyncio.get_running_loop()
        if name == "light":
            if self._lit:
                self._lit.cancel()
            self._lit = loop.call_later(_STEADY_S, self._say, "its light is on") if value else None
        if name != "vibration":
            return
        self._finger.edge(value, t_ms)
        self._pulses += value
        if self._later:
            self._later.cancel()
        if not value:
            self._later = loop.call_later(_SETTLED_S, self._tell)

    def _tell(self) -> None:
        felt = self._finger.felt()
        for _, signal in felt[self._told :]:
            self._say(f"you feel: {signal.replace('_', ' ')}")
        if len(felt) == self._told:
            self._say(f"it vibrates {self._pulses} times")
        self._told, self._pulses = len(felt), 0

    def _say(self, text: str) -> None:
        print(f"board {self._number}: {text}", flush=True)

    async def do(self, words: list[str]) -> None:
        """Do one command. SimError when there is no such thing."""
        panel, board = self.place.panel, self.place.board
        match words:
            case ["press"]:
                await panel.press()
            case ["hold", ms] if ms.isdigit():
                await panel.press(int(ms))
            case ["button" | "charger" as what, "on" | "off" as how]:
                panel.set(what, int(how == "on"))
            case ["pull"]:
                await board.stop()
            case ["plug"]:
                await board.start()
            case ["modem", "on" | "off" as how]:
                self.place.break_modem(how == "off")
            case _:
                raise SimError(f"{' '.join(words)}? `help` lists the commands")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", default="build/table", help="default: %(default)s")
    parser.add_argument("--boards", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--board", default="tag-a", metavar="NAME", help="which (default: %(default)s)")
    parser.add_argument(
        "--speed", type=float, default=SPEED, metavar="N", help="of the modems (default: %(default)g)"
    )
    parser.epilog = "Commands on stdin:\n" + HELP


async def run(arguments: argparse.Namespace) -> None:
    table = Table(arguments.folder, arguments.board, arguments.speed, None)
    try:
        await table.start()
        hands = []
        for number in range(1, arguments.boards + 1):
            hands.append(Hands(number, await table.place(str(number))))
        where = pathlib.Path(arguments.folder)
        print(f"site      {where / 'site.toml'}")
        print(f"image     {where / 'micropython.bin'}")
        for number in range(1, arguments.boards + 1):
            print(f"board {number}   {where / f'port-{number}'}")
        print(f"broker    {table.broker}")
        print("ready; `help` lists the commands", flush=True)
        async for line in stdin_lines():
            words = line.split()
            if words == ["quit"]:
                return
            if words == ["help"]:
                print(HELP, flush=True)
            elif words:
                await _do(hands, words)
        await asyncio.Event().wait()  # stdin ended: go on serving
    finally:
        await table.stop()


async def _do(hands: list[Hands], words: list[str]) -> None:
    number = 1
    # `hold 900` is a time, `press 2` a board.
    if words[-1].isdigit() and len(words) > 1 + (words[0] == "hold"):
        number = int(words.pop())
    try:
        if not 1 <= number <= len(hands):
            raise SimError(f"there is no board {number}")
        await hands[number - 1].do(words)
    except SimError as error:
        print(error, flush=True)
