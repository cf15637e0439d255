"""
Put tags into service, step by step:

  python -m tools.flash all            # everything, from a blank board to a tag in service
  python -m tools.flash all --tray     # the same, board after board

  python -m tools.flash list           # what is at the ports
  python -m tools.flash burn           # MicroPython onto the chip
  python -m tools.flash install        # the firmware; only what changed is sent
  python -m tools.flash provision      # identity, broker, settings; writes the registration for the desk
  python -m tools.flash check          # the tag tests itself, part by part, and says what is wrong
  python -m tools.flash commission     # press the button: the desk answers, it is felt, the tag is in service
  python -m tools.flash read           # what a tag knows of itself
  python -m tools.flash wipe           # erase identity, keys, alerts, settings; shows that nothing is left

A command that was cut (cable, power) is repeated: it goes on where it stopped. Settings stand in site.toml
(copy site.example.toml). docs/technician.md tells the rest, and the cure for every message.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tools.flasher import ports, rom, tray
from tools.flasher.burn import burn
from tools.flasher.check import PRESS_S as CHECK_S
from tools.flasher.check import SEARCH_S, check
from tools.flasher.commission import PRESS_S, commission
from tools.flasher.errors import FlashError
from tools.flasher.install import install
from tools.flasher.label import label
from tools.flasher.look import look, read, silence, wipe
from tools.flasher.provision import provision
from tools.flasher.repl import Repl
from tools.flasher.report import Report
from tools.flasher.show import Screen
from tools.flasher.site import Site, load
from tools.flasher.whole import Options

_LOOK_S = 0.1


def do_all(arguments: argparse.Namespace, screen: Screen) -> int:
    """the whole sequence, resumed where it stopped; a report of the tray"""
    site = _site(arguments)
    report = Report(arguments.report or site.path.parent / "tray")
    options = Options(arguments.image, arguments.seconds, arguments.label)
    return tray.run(arguments.port, arguments.tray, site, screen, report, options)


def do_list(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """ports, chip, MAC, what is on it"""
    found = look(port)
    version = f"MicroPython {found['micropython']}" if found["micropython"] else ""
    facts = [
        found["chip"],
        found["mac"],
        version,
        f"Obereg {found['obereg']}" if found["obereg"] else "",
        f"tag {found['tag']}" if found["tag"] else "",
        found["what"],
    ]
    screen.say(port, "  ".join(each for each in facts if each), **found)


def do_burn(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """MicroPython onto the chip"""
    burn(port, _site(arguments), screen, arguments.image)


def do_install(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """the firmware; only what changed is sent"""
    install(port, _site(arguments), screen, arguments.erase)


def do_provision(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """identity and settings; a tag that has an identity keeps it"""
    provision(port, _site(arguments), screen, arguments.new_identity)


def do_check(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """the tag tests itself: each part in words and with a figure"""
    check(port, _site(arguments), screen, {}, arguments.seconds, arguments.search)


def do_commission(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """a press, the desk's answer, felt: then it is in service"""
    commission(port, _site(arguments), screen, arguments.seconds)


def do_read(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """what a tag knows of itself"""
    read(port, screen)


def do_wipe(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """erase identity, keys, alerts and settings, and show it"""
    wipe(port, screen)


def do_label(port: str, arguments: argparse.Namespace, screen: Screen) -> None:
    """a label with the tag's id, to print"""
    tag = arguments.tag
    if not tag:
        with Repl(port) as prompt:
            tag = prompt.call("state")["tag"]
        if not tag:
            raise FlashError("not-provisioned", port=port)
    path = label(tag, arguments.out or f"{tag}.svg")
    screen.say(port, f"label {path}", label=str(path), tag=tag)


def _image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", metavar="FILE", help="MicroPython's .bin (default: fetched once by mpflash, kept)"
    )


def _erase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--erase", action="store_true", help="a new file system: identity and settings are lost"
    )


def _identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--new-identity", action="store_true", help="also for a tag that has one; the old one is lost"
    )


def _label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tag", metavar="ID", help="the tag's id (default: asked at the port)")
    parser.add_argument("--out", metavar="FILE", help=".svg or .pdf (default: ID.svg)")


def _press(parser: argparse.ArgumentParser) -> None:
    text = "how long to wait for the press and the desk's answer (default: %(default)s)"
    parser.add_argument("--seconds", type=int, default=PRESS_S, metavar="N", help=text)


def _all(parser: argparse.ArgumentParser) -> None:
    _image(parser)
    _press(parser)
    parser.add_argument(
        "--tray",
        nargs="?",
        type=int,
        const=0,
        metavar="N",
        help="wait for the next board at each port, until N have been worked at (default: until Ctrl-C)",
    )
    parser.add_argument(
        "--report",
        metavar="FOLDER",
        help="tray.csv, tray.json, labels/ (default: tray, beside the site file)",
    )
    parser.add_argument("--label", choices=("svg", "pdf"), default="svg", help="default: svg")


def _parts(parser: argparse.ArgumentParser) -> None:
    text = "how long to wait for the press of the button (default: %(default)s)"
    parser.add_argument("--seconds", type=int, default=CHECK_S, metavar="N", help=text)
    text = "how long to search for the network, and for satellites (default: %(default)s)"
    parser.add_argument("--search", type=int, default=SEARCH_S, metavar="N", help=text)


def _nothing(parser: argparse.ArgumentParser) -> None:
    pass


Command = Callable[[str, argparse.Namespace, Screen], None]
COMMANDS: dict[str, tuple[Command, Callable[[argparse.ArgumentParser], None]]] = {
    "list": (do_list, _nothing),
    "burn": (do_burn, _image),
    "install": (do_install, _erase),
    "provision": (do_provision, _identity),
    "check": (do_check, _parts),
    "commission": (do_commission, _press),
    "label": (do_label, _label),
    "read": (do_read, _nothing),
    "wipe": (do_wipe, _nothing),
}


def _site(arguments: argparse.Namespace) -> Site:
    return load(arguments.site, arguments.board)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tools.flash", description=__doc__, formatter_class=form)
    names = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    rows: list[tuple[str, Any, Callable[[argparse.ArgumentParser], None]]] = [("all", do_all, _all)]
    for name, command, options in rows + [(name, *row) for name, row in COMMANDS.items()]:
        text = command.__doc__ or ""
        sub = names.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument(
            "--port",
            action="append",
            default=[],
            metavar="PORT",
            help="repeatable, may be a pattern (default: all boards)",
        )
        sub.add_argument("--site", default="site.toml", metavar="FILE", help="default: site.toml")
        sub.add_argument("--board", metavar="NAME", help="instead of the site file's")
        sub.add_argument(
            "--baud", type=int, default=rom.baud, metavar="N", help="of esptool (default: %(default)s)"
        )
        sub.add_argument("--json", action="store_true", help="one JSON object per line, for a script")
        options(sub)
    return parser


def _one(command: Command, port: str, arguments: argparse.Namespace, screen: Screen) -> int:
    try:
        command(port, arguments, screen)
        return 0
    except FlashError as error:
        # What burn asks is the ROM loader: a prompt, or none, explains nothing.
        why = silence(port) if error.kind == "no-answer" and command is not do_burn else error
    except Exception as error:  # noqa: BLE001 - the other boards go on, and nobody takes this one for done
        why = FlashError("tag-failed", text=f"{type(error).__name__}: {error}")
    # After Ctrl-C what it was stopped in is no failure of the board.
    if not screen.stopped.is_set():
        screen.fail(port, why)
    return why.status


def _each(command: Command, arguments: argparse.Namespace, screen: Screen) -> int:
    """Run `command` at its ports, side by side; return the status of what went wrong first."""
    found = [""] if arguments.command == "label" and arguments.tag else ports.find(arguments.port)
    statuses = dict.fromkeys(found, 0)

    def work(port: str) -> None:
        statuses[port] = _one(command, port, arguments, screen)

    # Daemons: after Ctrl-C nothing waits for what hangs at a port.
    threads = [threading.Thread(target=work, args=(port,), daemon=True) for port in found]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(_LOOK_S)  # a join would keep Ctrl-C waiting
    except KeyboardInterrupt:
        tray.give_up(screen, threads)
        screen.say("", "stopped; repeat the command: it goes on")
        raise
    return next((status for status in statuses.values() if status), 0)


def main(argv: list[str] | None = None) -> int:
    """Run one command at its ports; return 0, 2 (asked wrongly), or the status of what went wrong first."""
    arguments: Any = _parser().parse_args(argv)
    rom.baud = arguments.baud
    with Screen(arguments.json) as screen:
        try:
            if arguments.command == "all":
                return do_all(arguments, screen)
            return _each(COMMANDS[arguments.command][0], arguments, screen)
        except FlashError as error:
            screen.fail("", error)
            return error.status
        except KeyboardInterrupt:
            return tray.STOPPED


if __name__ == "__main__":
    status = main()
    # All is said and done: a Ctrl-C that comes now must not make it look as if it were not.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
