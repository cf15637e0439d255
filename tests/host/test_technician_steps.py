"""python -m tools.flash, step by step, at a simulated board: real esptool, real mpremote, the tag's own firmware."""

import functools
import hashlib
import json
import shutil
import stat

import pytest

from desk import tags
from sim.cable import interpreter
from tests.host.technician_bench import Table, at_table
from tools.flasher import firmware
from tools.flasher.errors import KINDS


@pytest.fixture
def at(tmp_path):
    return functools.partial(at_table, tmp_path)


async def root_of(table: Table) -> bytes:
    """The secret on the tag, read as anyone with a cable can."""
    record = bytes.fromhex(await table.python("print(open('/data/identity', 'rb').read().hex())"))
    # Two magics, the id.
    return record[16:48]


def test_a_blank_board_becomes_a_tag_with_an_identity_that_the_desk_can_import(at, tmp_path):
    async def story(table: Table) -> None:
        board = await table.tag()
        found = (await table.good("list", "--json")).facts()[0]
        (given,) = table.registrations()
        assert found["tag"] == given["tag"]
        assert (found["micropython"], found["service"]) == ("1.28.0", False)
        assert tags.parse_registration(given).tag == given["tag"]
        path = tmp_path / "registrations" / f"{given['tag']}.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        # The tag derives from its own root what the desk was given; the root itself is nowhere but on the tag.
        assert "root" not in given
        flash = board.chip.flash.read_bytes()
        assert bytes.fromhex(given["tag"]) in flash
        assert bytes.fromhex(given["up"]) not in flash

    at(story)


def test_the_installed_files_are_those_of_the_firmware_and_mpremote_finds_them(at):
    async def story(table: Table) -> None:
        await table.tag()
        wanted = firmware.files("tag-a")
        manifest = json.loads(await table.mpremote("fs", "cat", ":manifest.json"))
        assert manifest["files"] == {
            name: hashlib.sha256(data).hexdigest() for name, data in wanted.items() if name != "manifest.json"
        }
        sha256 = await table.mpremote("fs", "sha256sum", ":app.mpy")
        assert hashlib.sha256(wanted["app.mpy"]).hexdigest() in sha256

    at(story)


def test_installing_again_sends_nothing_and_a_changed_file_is_sent_alone(at):
    async def story(table: Table) -> None:
        await table.tag()
        again = (await table.good("install", "--json")).facts()[-1]
        assert (again["how"], again["files"], again["bytes"]) == ("nothing", 0, 0)
        await table.python("with open('/lib/cbor.mpy', 'wb') as file: file.write(b'rotten')")
        one = (await table.good("install", "--json")).facts()[-1]
        # With it goes when this was.
        assert (one["how"], one["files"]) == ("files", 2)
        size = len(firmware.files("tag-a")["lib/cbor.mpy"])
        assert size < one["bytes"] < size + 60

    at(story)


def test_what_does_not_belong_to_the_firmware_is_removed_and_what_is_the_tags_stays(at):
    async def story(table: Table) -> None:
        await table.tag()
        await table.python("with open('/app.py', 'w') as file: file.write('# of another firmware')")
        await table.python("with open('/data/mine', 'w') as file: file.write('mine')")
        root = await root_of(table)
        await table.good("install")
        listing = await table.python("import os; print(os.listdir('/'), os.listdir('/data'))")
        assert "app.py" not in listing
        assert "mine" in listing
        assert await root_of(table) == root

    at(story)


def test_provisioning_again_keeps_the_identity_and_a_new_one_is_made_only_when_asked(at):
    async def story(table: Table) -> None:
        await table.tag()
        first = table.registrations()
        await table.good("provision")
        assert table.registrations() == first
        # The desk is told when to miss it.
        text = table.site.read_text()
        added = 'heartbeat_s = 900\nnight = ["21:00", "07:00"]\nutc_offset = "+03:00"\n[tag.broker]'
        table.site.write_text(text.replace("[tag.broker]", added))
        await table.good("provision")
        assert table.registrations() == [{**first[0], "heartbeat_s": 900, "night": [1080, 240]}]
        await table.good("provision", "--new-identity")
        both = table.registrations()
        assert len(both) == 2
        assert {each["up"] for each in both} > {first[0]["up"]}

    at(story)


def test_an_identity_lost_on_one_side_comes_back_from_the_other(at):
    async def story(table: Table) -> None:
        await table.tag()
        first = table.registrations()
        await table.python("import os; os.remove('/data/identity')")
        await table.good("provision")
        await table.python("import esp32; n = esp32.NVS('obereg'); n.erase_key('identity'); n.commit()")
        await table.good("provision")
        assert table.registrations() == first

    at(story)


def test_wiping_leaves_no_byte_of_identity_key_or_settings_on_the_flash(at):
    async def story(table: Table) -> None:
        board = await table.tag()
        root = await root_of(table)
        (given,) = table.registrations()
        assert root in board.chip.flash.read_bytes()
        done = await table.good("wipe")
        assert "every one is erased" in done.out
        after = board.chip.flash.read_bytes()
        for piece in (
            root,
            bytes.fromhex(given["tag"]),
            given["tag"].encode(),
            b"wpa2wpa2",
            b"OBR1",
        ):
            assert piece not in after
        # MicroPython stays.
        assert (await table.good("list", "--json")).facts()[0]["what"] == "MicroPython, no firmware"

    at(story)


def test_a_label_shows_the_id_and_nothing_secret(at, tmp_path):
    async def story(table: Table) -> None:
        await table.tag()
        (given,) = table.registrations()
        for name in ("label.svg", "label.pdf"):
            await table.good("label", "--out", str(tmp_path / name))
        svg = (tmp_path / "label.svg").read_text()
        shown = " ".join(given["tag"][n : n + 4] for n in range(0, 16, 4))
        assert shown in svg
        data = svg.encode() + (tmp_path / "label.pdf").read_bytes()
        assert not any(given[key].encode() in data for key in ("up", "down", "broker"))
        assert data.count(b"%PDF-") == 1

    at(story)


def test_read_tells_the_state_and_no_key(at):
    async def story(table: Table) -> None:
        await table.tag()
        (given,) = table.registrations()
        done = await table.good("read", "--json")
        facts = {name: value for each in done.facts() for name, value in each.items()}
        assert facts["tag"] == given["tag"]
        assert (facts["service"], facts["incident_open"], facts["waiting"]) == (False, False, 0)
        assert not any(given[key] in done.out + done.err for key in ("up", "down", "broker"))

    at(story)


def test_read_tells_what_the_last_life_left(at):
    async def story(table: Table) -> None:
        await table.tag()
        left = "hard reset: watchdog: link is late\n{'down.refused': 2}\n1 I app: one\n2 E two"
        await table.python(
            f"from journal import Journal, pack; Journal('/data').put('crash', {left.encode()!r}); "
            "from board import NVS; NVS().put('starts', pack(bytes((0x82,))))"
        )
        done = await table.good("read", "--json")
        facts = {name: value for each in done.facts() for name, value in each.items()}
        assert facts["crash"] == "hard reset: watchdog: link is late"
        assert facts["counters"] == "{'down.refused': 2}"
        assert facts["log"] == "1 I app: one\n2 E two"
        assert facts["failed_starts"] == 2

    at(story)


def test_no_command_shows_a_key_byte(at):
    async def story(table: Table) -> None:
        await table.tag()
        shutil.rmtree(table.folder / "registrations")
        said = ""
        for words in (
            ("provision", "--new-identity"),
            ("provision", "--json"),
            ("list", "--json"),
        ):
            done = await table.good(*words)
            said += done.out + done.err
        (given,) = table.registrations()
        for key in (given["up"], given["down"], given["broker"], (await root_of(table)).hex()):
            for n in range(0, 64 - 8, 2):
                assert key[n : n + 8] not in said

    at(story)


def test_a_thousand_identities_share_nothing():
    made = [tags.new_identity() for _ in range(1000)]
    known = [tags.registration(identity) for identity in made]
    assert len({each["tag"] for each in known}) == 1000
    assert len({each["root"] for each in made}) == 1000
    assert len({each[key] for each in known for key in ("up", "down", "broker")}) == 3000
    assert all(len(bytes.fromhex(each[key])) * 8 == 256 for each in known for key in ("up", "down", "broker"))


# what is burnt, exit status, words
BAD_IMAGES = {
    "the wrong chip's": (interpreter.image("esp32"), "image-chip", "is for esp32"),
    "cut short": (interpreter.image()[:-500], "image-cut", "cut short"),
    "no image": (b"\x7fELF" + bytes(5000), "image-bad", "no image"),
    "too old": (interpreter.image(version="1.26.1"), "image-old", "1.26.1"),
    "another than the pinned": (interpreter.image(version="1.27.0"), "image-other", "not the pinned one"),
}


@pytest.mark.parametrize(("data", "kind", "words"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_an_image_that_is_not_right_is_not_burnt(at, tmp_path, data, kind, words):
    async def story(table: Table) -> None:
        board = await table.board()
        (tmp_path / "bad.bin").write_bytes(data)
        done = await table.flash("burn", "--image", str(tmp_path / "bad.bin"))
        assert (done.status, words in done.err) == (KINDS[kind].status, True), done
        assert "Traceback" not in done.err
        assert board.chip.flash.read_bytes().count(0xFF) == interpreter.FLASH_BYTES

    at(story)


def test_a_port_in_use_says_so(at):
    async def story(table: Table) -> None:
        board = await table.board()
        import serial

        with serial.Serial(str(board.link), exclusive=True):
            done = await table.flash("list")
        assert (done.status, "in use" in done.err) == (12, True), done

    at(story)


def test_no_board_and_no_site_file_say_what_to_do(at, tmp_path):
    async def story(table: Table) -> None:
        done = await table.flash("list", "--port", str(tmp_path / "nothing"))
        assert (done.status, "Put the cable in" in done.err) == (11, True), done
        await table.board()
        table.site.unlink()
        done = await table.flash("burn", "--image", str(table.image))
        assert (done.status, "site.example.toml" in done.err) == (40, True), done

    at(story)


def test_every_kind_has_its_own_exit_status():
    statuses = [kind.status for kind in KINDS.values()]
    assert len(set(statuses)) == len(statuses)
    assert all(2 < status < 126 for status in statuses)
