"""The desk's commands; `python -m desk --help` lists them. A table, one function each, errors at the edge."""

import argparse
import os
import sys

from desk import DeskError, commands

_EPILOG = """\
a first evening:
  export OBEREG_DB=sqlite:///desk.db OBEREG_BROKER_PASSWORD=...
  python -m desk tags add --name Mia                 a new tag; its identity file is for the technician
  python -m desk tags export --mosquitto --desk-user desk --out passwords
  python -m desk tags export --acl --out acl         the broker's two files
  python -m desk run --broker mqtts://desk@broker.example.org --ca ca.pem
  python -m desk incidents                           in a second terminal
  python -m desk take 1 --by Anna                    the child feels: help is coming
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0, 1 (it failed), or 2 (it was asked wrongly)."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if getattr(arguments, "db", "") is None and not getattr(arguments, "key", None):
        parser.error("give --db sqlite:///FILE, or set OBEREG_DB")
    try:
        status = arguments.command(arguments) or 0
        sys.stdout.flush()  # here, where a reader that went away is known to be none of our errors
        return status
    except DeskError as error:
        return _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its exit
        return 0
    except OSError as error:
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130


def _fail(text: str) -> int:
    print(f"desk: {text}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m desk",
        description="The Obereg desk: verify what tags say, keep it, answer, show incidents.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = _add(names, "run", commands.run, "serve: take alerts from a broker and answer them")
    run.add_argument(
        "--broker", required=True, metavar="URL", help="mqtt://[USER@]HOST[:PORT], mqtts:// for TLS"
    )
    run.add_argument(
        "--ca", metavar="FILE", help="the CA that signed the broker's certificate (PEM; mqtts only)"
    )
    run.add_argument(
        "--events", metavar="FILE", help="append one JSON line per event to FILE, or - for stdout"
    )

    shown = _add(names, "incidents", commands.incidents, "list the open incidents")
    shown.add_argument("--all", action="store_true", help="the closed ones too")
    shown.add_argument("--json", action="store_true", help="for a program")

    for act, text in (
        ("take", "you go: the child feels that help is coming"),
        ("close", "the incident is over"),
        ("decline", "who had taken it cannot come: it rings again"),
        ("seen", "a device has shown it to a person"),
    ):
        done = _add(names, act, commands.act, text)
        done.set_defaults(act=act)
        done.add_argument("id", type=int, metavar="ID", help="the incident's number, from `incidents`")
        done.add_argument("--by", metavar="NAME", help="who does it (default: your user name)")

    check = _add(names, "verify", commands.verify, "check one message and print what it says")
    check.add_argument("file", metavar="FILE", help="the exact bytes of a message, or their hex digits")
    check.add_argument("--key", metavar="HEX", help="the tag's up key, 64 hex digits, instead of --db")
    check.add_argument("--json", action="store_true", help="for a program")

    _add_tags(
        names.add_parser("tags", help="the tags this desk knows", description="The tags this desk knows.")
    )
    return parser


def _add_tags(parser: argparse.ArgumentParser) -> None:
    names = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    add = _add(names, "add", commands.tags_add, "make a new tag's identity and register it")
    add.add_argument("--name", default="", help="who wears it; it stays in the database")
    add.add_argument("--out", metavar="FILE", help="the identity file, a secret (default: obereg-<tag>.json)")

    shown = _add(names, "list", commands.tags_list, "list the tags")
    shown.add_argument("--json", action="store_true", help="for a program")

    take = _add(names, "import", commands.tags_import, "register tags from registration files")
    take.add_argument("files", nargs="+", metavar="FILE", help="a registration as JSON, or one a line")
    take.add_argument("--replace", action="store_true", help="a known tag may come with other keys")

    give = _add(names, "export", commands.tags_export, "write registrations, or the broker's files")
    give.add_argument(
        "tags", nargs="*", metavar="TAG", help="16 hex digits (default: all that are not revoked)"
    )
    form = give.add_mutually_exclusive_group()
    form.add_argument("--mosquitto", action="store_true", help="mosquitto's password file")
    form.add_argument("--acl", action="store_true", help="mosquitto's access list")
    give.add_argument(
        "--desk-user",
        metavar="NAME",
        help="the desk's user at the broker: the access list names it (default: desk), the password file gets"
        " its line too, with OBEREG_BROKER_PASSWORD",
    )
    give.add_argument("--out", metavar="FILE", help="a new file of mode 0600, because it holds secrets")

    revoke = _add(names, "revoke", commands.tags_revoke, "refuse a tag from now on")
    revoke.add_argument("tag", metavar="TAG", help="16 hex digits")


def _add(names, name, command, text):
    parser = names.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=command)
    parser.add_argument(
        "--db",
        metavar="URL",
        default=os.environ.get("OBEREG_DB") or None,
        help="sqlite:///FILE, sqlite:////ABSOLUTE/FILE or a path (default: OBEREG_DB)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
