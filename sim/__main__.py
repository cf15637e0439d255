"""`python -m sim PART ...`: each part of the simulator as a process of its own. `--help` teaches."""

import argparse
import asyncio
import importlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from sim.common import SimError

PARTS = {
    "image": "write a tag's flash image: the firmware, one board, its configuration",
    "tag": "run a tag: the firmware on MicroPython, restarted after reset and sleep",
    "panel": "press the button, set battery and charger, see vibration and light",
    "modem": "a SIM7080G on a PTY: LTE-M, sockets to real hosts, GNSS, faults",
    "sky": "a GNSS receiver on a PTY, from a recording",
    "broker": "an MQTT broker with passwords and Obereg's access list",
    "table": "a technician's table: boards on cables, with all they need to be put into service",
    "air": "the way between tag and broker: delay, refusal, silence",
}
EPILOG = """\
A tag by hand, each line in a terminal of its own (sim/README.md says more):
  python -m sim panel --listen 127.0.0.1:7000
  python -m sim sky --pty build/gnss --ttff 5
  python -m sim image --out build/tag.img --board tag-a --config config.json
  python -m sim tag --board tag-a --flash build/tag.img --gnss build/gnss --panel 127.0.0.1:7000"""


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do the work; SIGTERM ends it as Ctrl-C does, so that links and tags do not stay behind."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def main(argv: list[str]) -> int:
    if argv[:1] == ["demo"]:
        return importlib.import_module("sim.demo").main(argv[1:]) or 0
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m sim", description=__doc__, epilog=EPILOG, formatter_class=text
    )
    commands = parser.add_subparsers(dest="part", metavar="PART", required=True)
    commands.add_parser("demo", help="the whole story, once (its own options: demo --help)")
    part: Any = None
    for name, summary in PARTS.items():
        sub = commands.add_parser(name, help=summary, formatter_class=text)
        if argv[:1] == [name]:
            # Only the part that is wanted: importing them all takes longer than a tag needs to start.
            part = importlib.import_module(f"sim.{name}")
            sub.description = part.__doc__
            part.add_arguments(sub)
    arguments = parser.parse_args(argv)
    try:
        asyncio.run(_until_told(part.run(arguments)))
    except SimError as error:
        print(f"sim {arguments.part}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 143
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
