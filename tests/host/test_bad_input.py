"""What a technician gets wrong: each a clear line on the tag's console, and nothing lost."""

import asyncio
import json

import pytest

from sim import certs, image
from sim.broker import Broker
from tests.host.rig import Rig, config


def refused(tmp_path, settings, ca_der=None, drop=()):
    """Start a tag with these settings; return the line with which it refuses to work."""
    rig = Rig(tmp_path, settings, ca_der)
    image.update(rig.flash, dict.fromkeys(drop))

    async def story():
        async with rig.running():
            return await rig.says("not in service")

    return rig.run(story())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"hold_ms": 9000}, "hold_ms must be 0..5000", id="out of range"),
        pytest.param({"hold_ms": "600"}, "hold_ms must be 0..5000", id="another type"),
        pytest.param({"holdms": 600}, "there is no field holdms", id="misspelt"),
        pytest.param({"board": "tag-z"}, "board tag-z is unknown; there is: tag-a", id="unknown board"),
        pytest.param({"broker": {"port": 1883}}, "broker.host is missing", id="missing"),
        pytest.param({"apn": 'a"b'}, "apn must be a text of at most 100 characters without quotes", id="APN"),
        pytest.param(
            {"wifi": []}, "no way to the desk: neither apn (and a board with a modem) nor", id="no way"
        ),
    ],
)
def test_a_wrong_configuration_is_refused_by_the_name_of_the_field(tmp_path, fields, said):
    assert said in refused(tmp_path, config(1883, **fields))


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        pytest.param(["config.json"], "/config.json is missing", id="config"),
        pytest.param(["data/identity"], "this tag must be provisioned", id="identity"),
    ],
)
def test_a_missing_file_or_key_is_named(tmp_path, drop, said):
    assert said in refused(tmp_path, config(1883), drop=drop)


def test_a_tag_that_does_not_know_when_it_was_built_is_in_service_all_the_same(tmp_path):
    rig = Rig(tmp_path, config(1883))
    image.update(rig.flash, {"build.json": None})

    async def story():
        async with rig.running():
            await press_until_on_flash(rig)

    rig.run(story())


@pytest.mark.parametrize("way", [{}, {"apn": "obereg", "wifi": []}], ids=["wifi", "modem"])
def test_a_missing_or_wrong_ca_file_is_named(tmp_path, way):
    settings = config(8883, broker={"host": "127.0.0.1"}, **way)
    assert "/ca.der is missing" in refused(tmp_path, settings)
    assert "not a certificate in DER form" in refused(tmp_path, settings, b"-----BEGIN")


def test_a_configuration_that_is_no_json_is_said(tmp_path):
    rig = Rig(tmp_path, config(1883))
    image.update(rig.flash, {"config.json": b"{"})

    async def story():
        async with rig.running():
            return await rig.says("not in service")

    assert "/config.json is not JSON" in rig.run(story())


def test_an_apn_is_no_way_to_the_desk_on_a_board_without_a_modem(tmp_path):
    rig = Rig(tmp_path, config(1883, apn="obereg", wifi=[]))
    board = json.loads(image.board_map("tag-a"))
    del board["modem"]
    image.update(rig.flash, {"boards/tag-a.json": json.dumps(board).encode()})

    async def story():
        async with rig.running():
            return await rig.says("not in service")

    assert "no way to the desk" in rig.run(story())


def test_a_tag_that_is_not_in_service_says_so_with_its_light(tmp_path):
    rig = Rig(tmp_path, config(1883), None)
    image.update(rig.flash, {"data/identity": None})

    async def story():
        async with rig.running():
            await rig.says("not in service")
            await rig.blinks(5)

    rig.run(story())


async def press_until_on_flash(rig):
    # Pressed and let go while the chip boots would be no press.
    await rig.says("app: obereg")
    await rig.panel.press(300)
    await rig.story.until_event("on flash", 20, "no alert on flash")


def outbox(rig):
    return [name for name in image.read(rig.flash) if name.startswith("data/outbox/")]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_an_alert_waits_on_flash_while_the_broker_refuses_and_goes_out_when_it_does_not(tmp_path, tls):
    """A wrong password (plain) and a wrong CA (TLS): the console says which, and no byte of the alert is lost."""
    right, wrong = certs.make_ca(), certs.make_ca()
    pair = right.issue("127.0.0.1").write(tmp_path / "broker") if tls else None

    async def story():
        broker = Broker("127.0.0.1", 0, {"desk": "x"}, pair)
        await broker.start()
        settings = config(broker.address[1])
        settings["broker"]["tls"] = tls
        rig = Rig(tmp_path, settings, wrong.der if tls else None)
        try:
            async with rig.running():
                await press_until_on_flash(rig)
                line = await rig.says("link: session ended")
                assert ("ertificate" if tls else "CONNACK 5") in line
                await rig.off()
                (name,) = outbox(rig)
                kept = image.read(rig.flash)[name]
                # The technician mends it; the tag goes on by itself.
                await broker.stop()
                users = {rig.keys["tag"]: rig.keys["broker"]}
                broker = Broker(*broker.address, users, pair)
                await broker.start()
                if tls:
                    image.update(rig.flash, {"ca.der": right.der})
                rig.story.console.clear()
                await rig.on()
                await rig.says("session open")
                await rig.says("* published")
                await rig.off()
                # Published is not settled: no desk has signed for it.
                assert image.read(rig.flash)[name] == kept
        finally:
            await broker.stop()

    asyncio.run(asyncio.wait_for(story(), 90))


def test_the_tag_says_that_no_known_network_lets_it_in(tmp_path):
    rig = Rig(tmp_path, config(1883, wifi=[["another", "12345678"]]))

    async def story():
        async with rig.running():
            return await rig.says("no known network lets us in", 40)

    assert "status" in rig.run(story())


def test_a_broken_settings_file_leaves_identity_counters_and_outbox_alone(tmp_path):
    rig = Rig(tmp_path, config(1883))
    before = image.read(rig.flash)
    image.update(rig.flash, {"config.json": json.dumps({"board": "tag-a"}).encode()})

    async def story():
        async with rig.running():
            await rig.says("not in service")

    rig.run(story())
    after = image.read(rig.flash)
    assert {name: data for name, data in after.items() if name.startswith("data/")} == {
        name: data for name, data in before.items() if name.startswith("data/")
    }
