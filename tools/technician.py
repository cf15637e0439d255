"""
The table of errors in docs/technician.md, written from tools/flasher/errors.py; a test holds that it is up to date.

    python -m tools.technician           writes it
    python -m tools.technician --check   says whether it is; exit status 1 when not
"""

import sys

from sim.common import ROOT
from tools.flasher.errors import KINDS

PAGE = ROOT / "docs" / "technician.md"
_BEGIN, _END = "<!-- errors: python -m tools.technician -->\n", "<!-- errors end -->\n"


class _Names(dict[str, str]):
    """A fact's place in a text is shown by its name in capitals."""

    def __missing__(self, name: str) -> str:
        return name.upper()


def table() -> str:
    """Return the table in Markdown."""
    lines = ["| exit | kind | what is said | what to do |", "|---|---|---|---|"]
    for kind, row in KINDS.items():
        said, cure = (text.format_map(_Names()).replace("|", "\\|") for text in (row.text, row.cure))
        lines.append(f"| {row.status} | `{kind}` | {said} | {cure} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with the present table in it. ValueError when it has no place for one."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for the table of errors")
    return before + begin + table() + end + after


def main(argv: list[str]) -> int:
    """Write or check; return the exit status."""
    text = PAGE.read_text()
    wanted = page(text)
    if argv == ["--check"]:
        if text != wanted:
            print("docs/technician.md: run python -m tools.technician", file=sys.stderr)
        return int(text != wanted)
    if argv:
        print(__doc__, file=sys.stderr)
        return 2
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
