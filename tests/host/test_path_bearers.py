"""
The whole path in virtual time over two bearers: LTE-M is dead, Wi-Fi delivers, LTE-M comes back.

The real tag and the real link, a broker in memory, a desk with real keys (way.py).
"""

import asyncio

import pytest

from tests.host.fakes import run
from tests.host.way import Way

ALERT, UPDATE, HEARTBEAT = 1, 3, 4


@pytest.fixture
def path(monkeypatch, tmp_path) -> Way:
    way = Way(monkeypatch, tmp_path, "modem", "wifi")
    way.modem, way.wifi = way.bearers
    way.modem.attach_ms, way.modem.open_ms = 240_000, 80_000
    way.modem.attach_s, way.modem.open_s = 6.0, 1.5
    way.wifi.attach_s, way.wifi.open_s = 3.0, 0.3
    return way


def said(path: Way) -> list[tuple[str, int]]:
    """(bearer, kind) of each message, when it was heard for the first time."""
    found = {}
    for published in path.broker.published:
        claims = path.worn.desk.hear(published.payload)
        found.setdefault(claims.cti, (published.connection.bearer.name, claims.kind))
    return list(found.values())


def texts(path: Way) -> list[str]:
    """What the desk was told of the link, each message once."""
    heard = {}
    for payload in path.broker.payloads("state"):
        claims = path.worn.desk.hear(payload)
        heard[claims.cti] = claims.text
    return [text for text in heard.values() if text.startswith("link:")]


async def press(path: Way) -> None:
    path.worn.touch()
    await asyncio.sleep(0.6)
    path.worn.tag.on_button("pressed", path.now.ticks_ms())
    await asyncio.sleep(0.2)
    path.worn.tag.on_button("released", path.now.ticks_ms())


def drop(bearer) -> None:
    for stream in bearer.streams:
        stream.end.say(b"")


def test_a_living_session_over_lte_carries_everything_and_wifi_stays_off(path):
    async def main() -> None:
        path.start()
        await asyncio.sleep(60)
        await press(path)
        await asyncio.sleep(100)

    run(path.now, main())
    assert {bearer for bearer, _ in said(path)} == {"modem"}
    assert path.wifi.log == []
    assert path.when("received") - path.when("sent_off") < 0.3


def test_cold_and_without_coverage_the_alert_arrives_over_wifi_within_seconds(path):
    """3 s of patience, 3.3 s to join and to open."""
    path.modem.attach_s, path.modem.attach_error = 200, OSError("no coverage")

    async def main() -> None:
        path.start()
        await press(path)
        await asyncio.sleep(10)

    run(path.now, main())
    assert ("wifi", ALERT) in said(path)
    assert path.when("received") - path.when("touch") < 7
    assert path.worn.pending() == []


def test_lte_that_dies_in_an_incident_is_replaced_by_wifi_and_comes_back_when_that_is_left(path):
    def die() -> None:
        """Coverage is gone: what is open says nothing any more, what is new is not found."""
        for stream in path.modem.streams:
            stream.end.half_open = True
        path.modem.attach_s = None

    async def main() -> None:
        path.start()
        await asyncio.sleep(60)
        await press(path)
        await asyncio.sleep(5)
        die()
        said_s = path.now.s
        await press(path)
        await asyncio.sleep(10)
        assert path.presses == 2
        assert path.felt[-1][1] == "received"
        assert path.felt[-1][0] - said_s < 8
        # The child is driven away: the Wi-Fi is out of reach, LTE is there.
        path.modem.attach_s = 6.0
        path.wifi.attach_s, path.wifi.attach_error = 2.0, OSError("no known network")
        drop(path.wifi)
        await asyncio.sleep(10)
        path.present = (3, 2)
        await asyncio.sleep(70)

    run(path.now, main())
    told = said(path)
    alerts = [(bearer, kind) for bearer, kind in told if kind != HEARTBEAT]
    assert alerts[:2] == [("modem", ALERT), ("wifi", UPDATE)]
    assert alerts[-1] == ("modem", UPDATE)
    assert "coming" in [signal for _, signal in path.felt]
    assert path.worn.pending() == []


def test_hours_without_lte_are_told_once_and_the_alert_goes_over_wifi_at_once(path):
    """Outside an incident Wi-Fi takes over when LTE has failed; the desk learns why."""
    path.modem.attach_s, path.modem.attach_error = 30, OSError("no SIM card")

    async def main() -> None:
        path.start()
        await asyncio.sleep(4 * 3600)
        await press(path)
        await asyncio.sleep(5)

    run(path.now, main())
    assert ("wifi", ALERT) in said(path)
    assert path.when("received") - path.when("sent_off") < 0.3
    assert texts(path) == ["link: modem: no SIM card"]
    assert len(path.modem.times("attach")) == 1


def test_with_both_dead_the_alert_waits_and_goes_out_over_the_first_that_comes_back(path):
    for bearer in path.bearers:
        bearer.attach_s, bearer.attach_error = 5, OSError("nothing here")

    async def main() -> None:
        path.start()
        await press(path)
        await asyncio.sleep(1800)
        assert path.worn.tag.link.trouble in ("modem: nothing here", "wifi: nothing here")
        assert "still_trying" in [signal for _, signal in path.felt]
        path.modem.attach_error = None
        path.healed_s = path.now.s
        await asyncio.sleep(60)

    run(path.now, main())
    assert {bearer for bearer, _ in said(path)} == {"modem"}
    # The longest pause between two tries, and what joining and opening take.
    assert path.when("received") - path.healed_s < 18 + 10
    assert path.worn.tag.link.trouble is None
    assert len(texts(path)) == 1
