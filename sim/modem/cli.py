"""The modem's command line and the lines it understands on stdin."""

import argparse
import asyncio
from collections.abc import Callable

from sim.common import SimError, parse_address, stdin_lines
from sim.modem.faults import parse
from sim.modem.modem import Modem
from sim.modem.radio import Coverage
from sim.modem.simcard import Card
from sim.modem.timings import PWRKEY_ON
from sim.modem_wires import Wires, follow

_SWITCH = {"on": True, "off": False, "high": True, "low": False, "in": True, "out": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pty", required=True, metavar="LINK", help="the link to make; a tag takes it as --modem"
    )
    parser.add_argument(
        "--faults", metavar="FILE", help="what goes wrong, a fault a line (sim/modem/faults.py)"
    )
    parser.add_argument("--nmea", metavar="FILE", help="recording for the GNSS, or `walk`; none = no sky")
    parser.add_argument(
        "--apn", action="append", metavar="NAME", help="accepted by the network (default: obereg)"
    )
    parser.add_argument("--roaming", action="store_true", help="the network is not the SIM's own")
    parser.add_argument("--pin", help="the SIM asks for this PIN")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="> 1 shortens every wait (default: %(default)s)"
    )
    parser.add_argument("--on", action="store_true", help="press PWRKEY at once")
    parser.add_argument(
        "--panel",
        metavar="HOST:PORT",
        help="join supply, PWRKEY and DTR to the tag of the panel that listens there",
    )


async def run(arguments: argparse.Namespace) -> None:
    if arguments.speed <= 0:
        raise SimError("speed must be above 0")
    apns = ("", *(arguments.apn or ["obereg"]))
    air, card = Coverage(roaming=arguments.roaming, apns=apns), Card(pin=arguments.pin)
    modem = Modem(
        arguments.pty,
        coverage=air,
        card=card,
        speed=arguments.speed,
        faults=arguments.faults,
        gnss=arguments.nmea,
    )
    await modem.start()
    print(f"modem at {arguments.pty}: off. Press with: pwrkey 1200", flush=True)
    try:
        async with asyncio.TaskGroup() as group:
            if arguments.panel:
                group.create_task(follow(parse_address(arguments.panel), Wires(modem)))
            if arguments.on:
                modem.pwrkey(PWRKEY_ON.ms)
            await _listen(modem, air, card)
    except* SimError as errors:
        raise errors.exceptions[0]
    finally:
        await modem.stop()


async def _listen(modem: Modem, air: Coverage, card: Card) -> None:
    async for line in stdin_lines():
        try:
            said = obey(modem, line, air, card)
        except SimError as error:
            said = str(error)
        if said:
            print(said, flush=True)
    await asyncio.Event().wait()  # stdin ended: go on


def obey(modem: Modem, line: str, air: Coverage, card: Card) -> str:
    """Do what a line of stdin says; return what there is to say about it. SimError: not understood."""
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    switches: dict[str, Callable[[bool], None]] = {
        "supply": modem.supply,
        "dtr": modem.dtr,
        "coverage": lambda on: modem.set_coverage(air if on else None),
        "card": lambda on: modem.set_card(card if on else None),
    }
    if not line:
        return ""
    if word in switches and rest in _SWITCH:
        switches[word](_SWITCH[rest])
    elif word == "pwrkey" and rest.isdigit():
        modem.pwrkey(int(rest))
    elif word == "fault" and rest:
        modem.fault(parse(rest))
    elif word == "clear":
        modem.faults.clear(rest or None)
    elif line == "state":
        return f"{modem.state}, lost: {modem.counters}"
    else:
        raise SimError(
            f"not understood: {line}. Say pwrkey MS, supply on|off, dtr high|low, coverage on|off, card in|out, "
            "fault {JSON}, clear [FAULT] or state"
        )
    return ""
