"""What a technician's tool refuses: each with one clear message, its own exit status, and no traceback."""

import asyncio
import os
import pathlib
import sys

import pytest

from sim.cable import interpreter
from sim.common import ROOT
from tests.host.technician_bench import Done, Table, at_tables
from tools.flasher import burn, image
from tools.flasher.errors import KINDS, FlashError
from tools.flasher.site import load

# As another user; what is imported later is in a folder that may be root's.
AS_NOBODY = """
import os, sys
import tools.flash, rich.progress, serial.serialposix
if not os.geteuid():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(tools.flash.main(sys.argv[1:]))
"""


def refused(done: Done, kind: str, *words: str) -> None:
    """Hold that this is said, on one line, and nothing else."""
    assert done.status == KINDS[kind].status, done
    assert len(done.err.splitlines()) == 1, done.err
    assert all(word in done.err for word in words), done.err
    assert "Traceback" not in done.out + done.err


def burnt(table: Table, chip: str, version: str) -> None:
    """Have MicroPython on the chip, as another tool has burnt it."""
    flash = bytearray(b"\xff" * interpreter.FLASH_BYTES)
    data = interpreter.image(chip, version)
    start = image.START.get(chip, 0)
    flash[start : start + len(data)] = data
    (table.folder / "a.flash").write_bytes(flash)


async def old_micropython(table: Table) -> None:
    """By every step that builds on it."""
    burnt(table, "esp32s3", "1.26.1")
    await table.board()
    await table.ready()
    for words in (("install",), ("check",)):
        refused(await table.flash(*words), "old-micropython", "1.26.1", "flash.py burn")


async def another_chip(table: Table) -> None:
    """The board in front of us has another chip than the one of the site file."""
    burnt(table, "esp32", "1.28.0")
    board = await table.board()
    await board.stop()
    board.chip.chip = "esp32"
    await board.start()
    await table.ready()
    for words in (("install",), ("check",)):
        refused(await table.flash(*words), "wrong-chip", "has an esp32, tag-a has an esp32s3")


async def empty(table: Table) -> None:
    """No MicroPython, and no firmware: told apart."""
    board = await table.board()
    refused(await table.flash("check"), "no-micropython", "flash.py burn")
    await board.stop()
    burnt(table, "esp32s3", "1.28.0")
    await board.start()
    await table.ready()
    for words in (("provision",), ("check",), ("commission",)):
        refused(await table.flash(*words), "not-installed", "flash.py install")


async def full(table: Table) -> None:
    """What is needed and what is free."""
    await table.tag()
    await table.python(
        "import os\n"
        "with open('/lib/cbor.mpy', 'wb') as file: file.write(b'rotten')\n"
        "size = os.statvfs('/')\n"
        "with open('/data/much', 'wb') as file:\n"
        "    for _ in range(size[3] - 2): file.write(bytes(size[0]))"
    )
    refused(await table.flash("install"), "flash-full", "bytes needed", "wipe")
    # As it was.
    await table.python("import os; os.remove('/data/much')")
    assert (await table.good("install", "--json")).facts()[-1]["how"] == "files"


async def silent(table: Table) -> None:
    """A tag whose firmware hangs before there is a prompt, and that nobody has put into service."""
    await table.tag()
    await table.python(
        "with open('/boot.py', 'w') as file:\n"
        "    file.write('import micropython, time\\nmicropython.kbd_intr(-1)\\nwhile True: time.sleep(1)')"
    )
    (board,) = table.boards
    await board.stop()
    await board.start()
    refused(await table.flash("check"), "no-prompt", "not in service", "flash.py all")
    done = await table.good("list", "--json")
    (found,) = done.facts()
    assert (found["what"], found["service"]) == ("no prompt, and not in service", False)


async def denied(table: Table) -> None:
    """A real device that is another user's."""
    board = await table.board()
    device = pathlib.Path(os.path.realpath(board.link))
    device.chmod(0 if os.geteuid() else 0o600)
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AS_NOBODY, "list", "--port", str(device)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(program.communicate(), 60)
    refused(Done(program.returncode or 0, out.decode(), err.decode()), "port-denied", "dialout")


STORIES = {story.__name__: story for story in (full, empty, old_micropython, another_chip, silent, denied)}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """How each story failed, or None; they run at the same time."""
    folder = tmp_path_factory.mktemp("refused")
    ended = at_tables({folder / name: story for name, story in STORIES.items()})
    return {path.name: error for path, error in ended.items()}


@pytest.mark.parametrize("name", STORIES)
def test_what_cannot_be_is_refused_with_one_line_and_its_own_status(failed, name):
    if failed[name]:
        raise failed[name]


def test_an_image_that_nobody_has_pinned_shows_the_line_to_write_and_the_line_helps(tmp_path):
    table = Table(tmp_path)
    text = table.site.read_text()
    head, _, pin = text.partition("[micropython]\n")
    table.site.write_text(head)
    data = table.image.read_bytes()
    with pytest.raises(FlashError) as told:
        burn.check(data, "esp32s3", load(table.site), table.image)
    assert (told.value.kind, told.value.status) == ("image-unpinned", 24)
    said = told.value.cure.partition("in site.toml: ")[2]
    assert said == pin.strip()
    table.site.write_text(f"{head}[micropython]\n{said}\n")
    assert burn.check(data, "esp32s3", load(table.site), table.image).version == "1.28.0"
