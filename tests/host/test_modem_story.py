"""What keeps a tag from its desk, over the modem: each is named, seen, outlived, and no alert is lost by it."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sim import certs
from sim.demo_desk import LOCATION, OBEREG
from sim.modem import Card, Coverage, Fault
from sim.story import now_ms
from tests.host.modem_story_rig import HOLD_MS, StoryRig
from tests.host.rig import WIFI

ALERT, UPDATE, CELL = 1, 3, 4
# What a receiver's turn on a shared radio is.
RADIO = ("AT+CGNSPWR=1", "AT+CGNSPWR=0", "AT+CNACT=0,1")
OURS, OTHERS = certs.make_ca(), certs.make_ca()
THE_CELL = [1, 1, 0x07D0, 12024586, -89]


def run(rig: StoryRig, story: Callable[[], Awaitable[Any]], limit_s: float = 60) -> Any:
    async def whole() -> Any:
        async with asyncio.timeout(limit_s), rig.running():
            return await story()

    return asyncio.run(whole())


@dataclasses.dataclass
class Cause:
    """What is wrong before the tag is switched on, what ends it, and what the tag calls it. options: of the rig."""

    group: str
    wrong: Callable[[StoryRig], Any]
    right: Callable[[StoryRig], Any]
    said: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def certificate(rig: StoryRig) -> Awaitable[None]:
    rig.front.certificate(OURS.issue("127.0.0.1"), rig.folder)
    return rig.front.up()


SHORTLY = {"attach_ms": 8000}
CAUSES = {
    "no card": Cause(
        "SIM",
        lambda rig: rig.modem.set_card(None),
        lambda rig: rig.modem.set_card(Card()),
        "no SIM card",
    ),
    "a PIN": Cause(
        "SIM",
        lambda rig: rig.modem.set_card(Card(pin="1234")),
        lambda rig: rig.modem.set_card(Card()),
        "the SIM asks for its PIN",
    ),
    "another APN": Cause(
        "network",
        lambda rig: rig.modem.set_coverage(Coverage(apns=("", "another"))),
        lambda rig: rig.modem.set_coverage(Coverage()),
        "no network found: coverage, antenna, bands, APN?",
        SHORTLY,
    ),
    "the APN refused": Cause(
        "network",
        lambda rig: rig.modem.fault(Fault("pdp_refused", count=0)),
        lambda rig: rig.modem.faults.clear("pdp_refused"),
        "the network refuses the APN obereg",
    ),
    "registration denied": Cause(
        "network",
        lambda rig: rig.modem.fault(Fault("denied")),
        lambda rig: rig.modem.faults.clear("denied"),
        "the network refuses this SIM",
    ),
    "no coverage": Cause(
        "network",
        lambda rig: rig.modem.set_coverage(None),
        lambda rig: rig.modem.set_coverage(Coverage()),
        "no network found: coverage, antenna, bands, APN?",
        SHORTLY,
    ),
    "a closed port": Cause(
        "broker",
        lambda rig: rig.front.down("refuse"),
        lambda rig: rig.front.up(),
        "the broker refuses the connection",
    ),
    "the password refused": Cause(
        "broker",
        lambda rig: rig.serve({"desk": rig.users["desk"]}),
        lambda rig: rig.serve(rig.users),
        "CONNACK 5: the broker does not know this tag",
    ),
    "another CA": Cause(
        "broker",
        lambda rig: None,
        lambda rig: [rig.front.down("refuse"), certificate(rig)],
        "no TLS with this broker: is the CA its own?",
        {"pair": OTHERS.issue("127.0.0.1"), "ca_der": OURS.der},
    ),
}


async def done(made: Any) -> None:
    for waiting in made if isinstance(made, list) else [made]:
        if waiting is not None:
            await waiting


async def waits_and_arrives(rig: StoryRig, cause: Cause) -> None:
    await done(cause.wrong(rig))
    await rig.on()
    await rig.press()
    line = await rig.says(cause.said)
    assert " W link: session ended: modem: " in line
    await rig.blinks()
    kept = rig.waiting()
    name = min(kept)  # an update may have joined it
    assert not rig.story.stored
    await done(cause.right(rig))
    alert = await rig.alert(80)
    assert bytes.fromhex(alert["token"]) in kept[name]
    await rig.told(cause.said)
    await rig.story.until(lambda: name not in rig.waiting(), 5, "the alert stays in the outbox")


# Deadlines are wide: a machine with other work is slow, not wrong.
@pytest.mark.timeout(240)
@pytest.mark.parametrize("group", ["SIM", "network", "broker"])
def test_what_is_wrong_with_it_is_named_and_the_alert_waits_for_its_end(tmp_path, group):
    """The causes of a group side by side: a tag waits most of the time."""

    async def one(name: str, cause: Cause) -> None:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        rig = StoryRig(folder, **cause.options)
        try:
            async with asyncio.timeout(200), rig.running():
                await waits_and_arrives(rig, cause)
        except Exception as error:
            error.add_note(f"the cause: {name}")
            raise

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name, cause in CAUSES.items():
                if cause.group == group:
                    tasks.create_task(one(name, cause))

    asyncio.run(all_of_them())


def test_an_expired_certificate_is_reported_and_keeps_no_alert_waiting(tmp_path):
    """The envelope protects an alert without it; the clock may be what is wrong."""
    pair = OURS.issue("127.0.0.1", not_after=certs.EXPIRED)
    rig = StoryRig(tmp_path, pair=pair, ca_der=OURS.der)

    async def story():
        await rig.on()
        await rig.press()
        await rig.alert(20)
        await rig.told("the broker's certificate is out of date")

    run(rig, story)


def test_while_the_modem_opens_a_socket_in_silence_a_press_is_felt_and_goes_out_by_another(tmp_path):
    rig = StoryRig(tmp_path)

    async def story():
        rig.modem.fault(Fault("caopen_mute", ms=int(75_000 * rig.modem.speed)))
        await rig.on()
        await rig.story.until(lambda: rig.modem.faults.acted["caopen_mute"], 20, "no CAOPEN")
        began_ms = now_ms()
        await rig.press()
        touched_ms = await rig.feels("touch", began_ms)
        sent_ms = await rig.feels("sent_off", began_ms)
        assert touched_ms - began_ms < 150
        assert sent_ms - began_ms < HOLD_MS + 300
        alert = await rig.alert(20)
        assert alert["t_ms"] - began_ms < 15_000
        opened = [text for _, text in rig.dialogue() if text.startswith("AT+CAOPEN=")]
        assert len({text[:11] for text in opened}) == 2

    run(rig, story)


def test_without_coverage_the_alert_arrives_over_a_known_wifi_within_seconds(tmp_path):
    # `network` and `socket`, in C on a chip, take 3 KB more of this heap.
    rig = StoryRig(tmp_path, wifi=[list(WIFI)], heap=200 * 1024)

    async def story():
        rig.modem.set_coverage(None)
        rig.panel.wifi(*WIFI)
        await rig.on()
        await rig.press()
        alert = await rig.alert(20)
        assert alert["t_ms"] - rig.story.began_ms < 8000
        await rig.says("session open over wifi")

    run(rig, story)


async def fix_follows(rig, alert):
    """The order on a shared radio: the alert, its answer, the receiver; LTE again, the fix, its answer."""
    began_ms = rig.story.began_ms
    fix = await rig.message(
        lambda m: m["kind"] == UPDATE and LOCATION in m["claims"] and m["claims"][LOCATION].get(9, 0) < 3,
        30,
        "no fix followed",
        rig.story.stored.index(alert) + 1,
    )
    answered_ms = rig.story.when("answered by the desk", began_ms)
    await rig.story.until(lambda: not rig.waiting(), 10, "the answer to the fix did not reach the tag")
    said = [(t_ms, text) for t_ms, text in rig.dialogue() if t_ms > began_ms]
    assert any(text.startswith("AT+CASEND=") and t_ms < alert["t_ms"] for t_ms, text in said)
    radio = [(t_ms, text) for t_ms, text in said if text in RADIO and (t_ms > answered_ms or "GNS" in text)]
    assert [text for _, text in radio[:3]] == list(RADIO)
    assert alert["t_ms"] < answered_ms < radio[0][0] < radio[2][0] < fix["t_ms"]
    return fix


def test_on_a_shared_radio_the_alert_is_answered_before_the_receiver_is_on_and_the_fix_follows(tmp_path):
    rig = StoryRig(tmp_path, "lilygo-t-sim7080g", gnss="walk", speed=10)

    async def story():
        await rig.on()
        await rig.says("* time known")
        await rig.press()
        alert = await rig.alert()
        assert alert["claims"][OBEREG][CELL] == THE_CELL
        assert LOCATION not in alert["claims"]
        fix = await fix_follows(rig, alert)
        assert fix["claims"][OBEREG][CELL] == THE_CELL
        await rig.desk.desk("close", str(alert["incident"]), "--by", "a parent")
        await rig.feels("closed", rig.story.began_ms)
        # The next one knows where the child was last, and how long ago.
        await rig.press()
        alert = await rig.alert()
        assert alert["claims"][OBEREG][CELL] == THE_CELL
        place = alert["claims"][LOCATION]
        assert (place[1], place[2]) == (fix["claims"][LOCATION][1], fix["claims"][LOCATION][2])
        assert 0 < place[9] < 60
        await fix_follows(rig, alert)

    run(rig, story)


def test_a_touch_takes_the_radio_back_from_the_receiver(tmp_path):
    rig = StoryRig(tmp_path, "lilygo-t-sim7080g", speed=10)

    async def story():
        await rig.on()
        await rig.says("* radio lent")
        await rig.story.until(lambda: rig.dialogue()[-1][1] == "AT+CGNSINF", 10, "the receiver is not on")
        await rig.press()
        alert = await rig.alert()
        assert alert["t_ms"] - rig.story.began_ms < 3000
        assert alert["claims"][OBEREG][CELL] == THE_CELL

    run(rig, story)


def test_what_was_said_before_the_alert_and_came_after_it_is_said_again(tmp_path):
    """The desk drops a heartbeat older than what it has; unanswered it would keep the radio from the receiver."""
    rig = StoryRig(tmp_path, "lilygo-t-sim7080g", gnss="walk", speed=10)

    async def story():
        await rig.on()
        await rig.press()
        alert = await rig.alert()
        await rig.message(
            lambda m: m["claims"][OBEREG].get(7) == "start: power on", 10, "the start is not told"
        )
        await fix_follows(rig, alert)

    run(rig, story)


def test_an_alert_pressed_where_the_network_has_gone_arrives_when_it_is_back(tmp_path):
    rig = StoryRig(tmp_path)

    async def story():
        await rig.on()
        await rig.says("* time known")
        rig.modem.set_coverage(None)
        await rig.press()
        await rig.blinks(30)
        kept = rig.waiting()
        rig.modem.set_coverage(Coverage())
        alert = await rig.alert(30)
        assert bytes.fromhex(alert["token"]) in kept[min(kept)]
        await rig.told("modem: ")

    run(rig, story)


def test_a_modem_that_hangs_is_cured_by_cutting_its_supply(tmp_path):
    rig = StoryRig(tmp_path, "lilygo-t-sim7080g")

    async def story():
        await rig.on()
        await rig.says("* time known")
        rig.modem.fault(Fault("dead"))
        await rig.press()
        await rig.alert(50)
        assert "<supply off>" in str(rig.modem.recorder.exchanges()[1:])

    run(rig, story, 80)
