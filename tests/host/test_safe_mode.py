"""
What can keep a tag in service from ever being well, on the real interpreter: the alert goes out all the same.

The firmware is the tag's, compiled, from boot.py on; one of its parts is exchanged for one that does harm. Broker and
desk are ours. A watchdog that would take 30 s is made again with a second by the part that hangs.
"""

import asyncio
import json
import pathlib
from collections.abc import Callable
from typing import Any

import aiomqtt
import cbor
import journal
import pytest

from desk.claims import Claims
from desk.token import TokenError
from sim import image
from sim.broker import Broker
from sim.story import StoryError
from tests.host.fakes import FakeDesk
from tests.host.rig import Rig, config

# tag-a: the button's pin and the level of a finger; the charger's.
SERVICE = b"2 0 6 1"

SKY = """
import asyncio
class OwnSky:
    def __init__(self, reader, supply):
        self.times = 0
    def fix(self):
        return None
    def power(self, on):
        self.times += on
    async def run(self, tag):
        while %s:
            await asyncio.sleep(0.1)
        self.harm()
    def harm(self):
        %s
"""
HARM = {
    "raises": "raise ValueError('of this sentence')",
    "hangs": "import machine; machine.WDT(timeout=1000)\n        while True: pass",
    "fills": "all = []\n        while True: all.append(bytes(500))",
}


class Heard:
    """A desk at the broker: it answers everything that is right, and keeps it in `claims`."""

    def __init__(self, rig: Rig) -> None:
        me = rig.identity
        self._desk = FakeDesk(bytes.fromhex(me["tag"]), bytes.fromhex(me["root"]), me["generation"])
        self.claims: list[Claims] = []
        self.refused: list[str] = []

    async def run(self, port: int) -> None:
        async with aiomqtt.Client("127.0.0.1", port, username="desk", password="x") as client:
            await client.subscribe("obereg/+/up/#", qos=1)
            async for message in client.messages:
                token = bytes(message.payload)  # type: ignore[arg-type]
                try:
                    claims = self._desk.hear(token)
                except TokenError as error:
                    self.refused.append(str(error))
                    continue
                self.claims.append(claims)
                topic = f"obereg/{message.topic.value.split('/')[1]}/down"
                level = 1 if claims.kind <= 3 else 0
                await client.publish(topic, self._desk.ack(token, level, level), qos=1)

    def alerts(self) -> list[Claims]:
        return [claims for claims in self.claims if claims.kind == 1]

    def texts(self) -> list[str]:
        return [claims.text for claims in self.claims if claims.text]


def lives(
    tmp_path: pathlib.Path, files: dict[str, bytes | None], story: Callable[..., Any], failed: int = 0
) -> None:
    """Run `story(rig, heard)` with a tag in service with `files` over its own; so many starts have `failed` before."""

    async def whole() -> None:
        users = {"desk": "x"}
        broker = Broker("127.0.0.1", 0, users)
        await broker.start()
        rig = Rig(tmp_path, config(broker.address[1]))
        users[rig.keys["tag"]] = rig.keys["broker"]
        await broker.stop()
        broker = Broker(*broker.address, users)
        await broker.start()
        image.update(rig.flash, {"data/service": SERVICE, **files})
        nvs = {"obereg/starts": journal.pack(bytes((failed,))).hex()}
        rig.flash.with_name("tag.img.nvs").write_text(json.dumps(nvs))
        heard = Heard(rig)
        desk = asyncio.create_task(heard.run(broker.address[1]))
        try:
            async with rig.running():
                await story(rig, heard)
        except StoryError as error:
            raise AssertionError("\n".join([str(error), *rig.story.console[-60:]])) from error
        finally:
            desk.cancel()
            await broker.stop()

    asyncio.run(asyncio.wait_for(whole(), 120))


async def press(rig: Rig) -> None:
    await rig.says("app: obereg", 40)
    await rig.panel.press(300)
    await rig.story.until_event("on flash", 40, "no alert on flash")


@pytest.mark.parametrize("harm", sorted(HARM))
def test_a_sky_that_does_harm_in_an_incident_ends_in_safe_mode_and_the_alert_at_the_desk(tmp_path, harm):
    """The press brings it about, and each start that goes on with the incident does again."""

    async def story(rig: Rig, heard: Heard) -> None:
        await press(rig)
        until = rig.story.until
        await until(lambda: [text for text in heard.texts() if "safe mode" in text], 60, "no safe mode")
        await until(heard.alerts, 20, "no alert at the desk")
        await until(lambda: "* felt received" in "\n".join(rig.story.console), 20, "not felt")
        [text] = [text for text in heard.texts() if "safe mode" in text]
        said = {
            "raises": "start: hard reset; safe mode; ValueError in own_sky.py: ",
            "hangs": "start: watchdog; safe mode",
            "fills": "start: hard reset; safe mode; MemoryError in own_sky.py: ",
        }[harm]
        assert text.startswith(said)
        # One incident, and a press in it is heard, too.
        assert len({claims.cti for claims in heard.alerts()}) == 1
        await rig.panel.press(300)
        await until(lambda: [claims for claims in heard.claims if claims.presses == 2], 20, "not heard")
        assert heard.refused == []
        await rig.off()
        crash = journal.unpack(image.read(rig.flash)["data/crash"])
        assert crash.split(b": ")[0] == (b"watchdog" if harm == "hangs" else b"hard reset")
        secrets = [rig.identity["root"], rig.keys["up"], rig.keys["down"], rig.keys["broker"]]
        for secret in secrets:
            assert secret.encode() not in crash
            assert bytes.fromhex(secret) not in crash

    # At the touch, or once the press is there: of what blocks all no press is heard.
    sky = SKY % ("not tag.incident" if harm == "hangs" else "not self.times", HARM[harm])
    lives(tmp_path, {"own_sky.mpy": None, "own_sky.py": sky.encode()}, story, 0 if harm == "raises" else 2)


@pytest.mark.parametrize("rotten", ["lib/nmea.mpy", "haptics.mpy", "signals.mpy"], ids=lambda name: name)
def test_a_module_that_does_not_load_and_that_an_alert_can_do_without(tmp_path, rotten):
    async def story(rig: Rig, heard: Heard) -> None:
        await press(rig)
        until = rig.story.until
        await until(heard.alerts, 20, "no alert at the desk")
        await until(lambda: [text for text in heard.texts() if "safe mode" in text], 20, "not told")

    # Of another version; a body that is rotten can end the interpreter, which is a restart too.
    lives(tmp_path, {rotten: b"M\x05\x00\x1f" + bytes(range(200))}, story, 2)


def record(*value: Any) -> bytes:
    return journal.pack(cbor.encode(list(value)))


POISON = {
    "data/incident": record("calling", "12345678", "12345678", True, -1),
    "data/closed": journal.pack(b"?"),
    "data/crash": journal.pack(b"\xff\xfe"),
    "data/time": journal.pack(b"\xff" * 5),
    "data/outbox/0000000100000001": record(1, b"12345678", True, "text, no token"),
    "data/outbox/0000000100000002": record(1, b"12345678", True, 7),
    "data/outbox/0000000100000003": record([], {}, None, ["x"]),
    "data/outbox/0000000100000004": journal.pack(bytes(9000)),
    "data/outbox/zz": record(1, b"12345678", True, b"no such name"),
    "stage/ready": b"\xff\xfe/lib /boards\n-/data",
}


def test_records_that_are_whole_and_senseless_stop_nothing(tmp_path):
    async def story(rig: Rig, heard: Heard) -> None:
        await press(rig)
        await rig.story.until(heard.alerts, 20, "no alert at the desk")
        assert len([line for line in rig.story.console if "app: obereg" in line]) == 1
        assert heard.refused == []

    lives(tmp_path, POISON, story)


def test_in_service_nothing_opens_a_prompt_and_the_counters_go_on(tmp_path):
    """Three starts by the supply: each is counted, and the fourth says so."""

    async def story(rig: Rig, heard: Heard) -> None:
        for n in range(4):
            await rig.says("app: obereg", 20)
            await rig.off()
            nvs = json.loads(rig.flash.with_name("tag.img.nvs").read_text())
            assert bytes.fromhex(nvs["obereg/starts"])[4] == min(n + 1, 3)
            rig.story.console.clear()
            await rig.on()
        await rig.story.until(lambda: "start: power on; safe mode" in heard.texts(), 20, "not told")

    lives(tmp_path, {}, story)
