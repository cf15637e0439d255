"""The simulated board at the end of a cable: real esptool and real mpremote at one port."""

import asyncio
import functools

import pytest

from sim.cable import interpreter
from tests.host.technician_bench import Table, at_table
from tools.flasher import image


@pytest.fixture
def at(tmp_path):
    return functools.partial(at_table, tmp_path)


def test_mpremote_works_at_a_board_that_esptool_has_burnt(at, tmp_path):
    async def story(table: Table) -> None:
        board = await table.board()
        assert (await table.good("list", "--json")).facts()[0]["what"] == "blank"
        await table.good("burn", "--image", str(table.image))
        assert "(1, 28, 0" in await table.mpremote(
            "exec", "import sys; print(sys.implementation, sys.platform)"
        )
        (tmp_path / "some.bin").write_bytes(bytes(range(256)) * 9)
        await table.mpremote("cp", str(tmp_path / "some.bin"), ":some.bin")
        main = "import time\nwhile True:\n    time.sleep(1)\n"
        await table.mpremote("exec", f"with open('main.py', 'w') as file: file.write({main!r})")
        await table.mpremote("reset")
        async with asyncio.timeout(10):
            while board.chip.causes[-1] != "reset":
                await asyncio.sleep(0.02)
        # It interrupts main.py, and finds what was written before the reset.
        assert "some.bin" in await table.mpremote("ls")
        assert board.chip.causes[-1] == "soft"

    at(story)


def test_a_chip_whose_kind_is_not_understood_at_once_is_asked_again(at):
    """As on a busy computer: esptool takes the answer to something else for the register it asked for."""

    async def story(table: Table) -> None:
        board = await table.board()
        write, wrong = board._write, []

        def confused(data: bytes) -> None:
            # READ_REG's answer: direction, command, size, value.
            at_byte = data.find(b"\xc0\x01\x0a")
            if at_byte >= 0 and not wrong:
                wrong.append(at_byte)
                data = data[: at_byte + 5] + bytes(4) + data[at_byte + 9 :]
            write(data)

        board._write = confused
        found = (await table.good("list", "--json")).facts()[0]
        assert (found["what"], found["chip"], len(wrong)) == ("blank", "esp32s3", 1)

    at(story)


def test_what_the_tag_wrote_is_what_esptool_reads(at):
    async def story(table: Table) -> None:
        board = await table.tag()
        await table.mpremote("exec", "with open('note', 'w') as file: file.write('between flash and file')")
        await table.mpremote("exec", "import esp32; n = esp32.NVS('x'); n.set_blob('k', b'kept'); n.commit()")
        flash = board.chip.flash.read_bytes()
        place = image.file_system(flash[image.TABLE : image.TABLE + image.TABLE_BYTES])
        assert b"between flash and file" in flash[place.offset : place.offset + place.size]
        assert b"kept".hex().encode() in flash[interpreter.NVS[0] : sum(interpreter.NVS)]
        assert "kept" in await table.mpremote(
            "exec", "import esp32; b = bytearray(9); print(b[: esp32.NVS('x').get_blob('k', b)])"
        )

    at(story)


def test_a_pulled_cable_is_gone_and_the_board_goes_on(at):
    async def story(table: Table) -> None:
        board = await table.tag()
        board.pull()
        done = await table.flash("list")
        assert (done.status, "went away" in done.err) == (11, True)
        board.plug()
        await table.good("list")

    at(story)


@pytest.mark.parametrize("chip", ["esp32s3", "esp32"])
def test_the_stand_in_for_an_image_is_taken_for_one(chip):
    found = image.inspect(interpreter.image(chip, "1.27.1"), chip)
    assert (found.chip, found.version, found.numbers) == (chip, "1.27.1", (1, 27, 1))


def test_every_cut_of_an_image_is_refused():
    data = interpreter.image()
    for size in [*range(0, 0x8000, 997), *range(0x8000, len(data), 1999), len(data) - 1]:
        with pytest.raises(image.ImageError):
            image.inspect(data[:size], "esp32s3")


def test_a_flipped_bit_in_a_part_that_counts_is_refused():
    data = interpreter.image()
    for at_byte in (30, 900, image.TABLE + 5, image.APP + 40, len(data) - 40):
        broken = bytearray(data)
        broken[at_byte] ^= 1
        with pytest.raises(image.ImageError):
            image.inspect(bytes(broken), "esp32s3")
