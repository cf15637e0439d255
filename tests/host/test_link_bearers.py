"""
firmware/link.py over two bearers: Wi-Fi beside LTE-M, and what is told of a link that could not be opened. DESIGN §5.

Times are in seconds from the moment the test's link began to run.
"""

import asyncio
from itertools import pairwise

import pytest

from tests.host.fakes import Now, ticking
from tests.host.link_setup import TAG, Setup


@pytest.fixture
def setup(monkeypatch, tmp_path) -> Setup:
    """The modem is preferred; their deadlines are those of the real bearers."""
    setup = Setup(ticking(monkeypatch, Now()), tmp_path / "outbox", "modem", "wifi")
    setup.modem, setup.wifi = setup.bearers
    setup.modem.attach_ms, setup.modem.open_ms = 240_000, 80_000
    return setup


def half_open(setup: Setup) -> None:
    for connection in setup.broker.connections:
        connection.half_open = True


def drop(setup: Setup) -> None:
    for connection in setup.broker.connections:
        connection.say(b"")


# ----------------------------------------------------------------------------------------------- which, and when both


@pytest.mark.parametrize("urgent", [False, True])
def test_the_preferred_bearer_is_used_first_and_alone(setup, urgent):
    setup.add()
    setup.run(100, urgent=urgent)
    assert setup.attached_s() == [(0.0, "modem")]
    assert setup.said_over()[0] == "modem"


def test_in_an_incident_the_other_is_opened_beside_after_3_s_of_attaching(setup):
    setup.modem.attach_s = None
    setup.add()
    setup.run(5)
    assert setup.attached_s() == [(0.0, "modem"), (3.0, "wifi")]
    assert (setup.said_s(), setup.said_over()) == ([3.1], ["wifi"])


def test_in_an_incident_the_other_is_opened_beside_after_3_s_of_opening(setup):
    setup.modem.attach_s, setup.modem.open_s = 2.5, None
    setup.add()
    setup.run(8)
    assert setup.attached_s() == [(0.0, "modem"), (5.5, "wifi")]
    assert setup.said_over()[0] == "wifi"


def test_in_an_incident_3_s_of_silence_open_the_other(setup):
    setup.run(10, lambda: half_open(setup), setup.add, 5)
    assert setup.attached_s() == [(0.0, "modem"), (13.0, "wifi")]
    assert (setup.said_s(), setup.said_over()) == ([13.1], ["wifi"])
    assert setup.open_streams == setup.wifi.streams


def test_a_network_joined_within_3_s_needs_no_other(setup):
    setup.modem.attach_s, setup.modem.open_s = 2.9, 2.8
    setup.add()
    setup.run(60)
    assert setup.attached_s() == [(0.0, "modem")]


def test_outside_an_incident_the_other_waits_until_attaching_has_failed(setup):
    setup.modem.attach_s, setup.modem.attach_error = 200, OSError("no coverage")
    setup.run(210, urgent=False)
    assert setup.attached_s() == [(0.0, "modem"), (200.0, "wifi")]
    assert setup.open_streams == setup.wifi.streams


def test_outside_an_incident_attaching_that_forgets_its_deadline_ends_soon_after_it(setup):
    setup.modem.attach_s = None
    setup.run(250, urgent=False)
    assert setup.attached_s() == [(0.0, "modem"), (240.0, "wifi")]
    assert setup.modem.attaching == 0


def test_an_incident_that_begins_while_the_network_is_sought_opens_the_other_at_once(setup):
    setup.modem.attach_s = 200
    setup.run(50, lambda: setup.link.urgent(True), setup.add, 0.2, urgent=False)
    assert setup.attached_s() == [(0.0, "modem"), (50.0, "wifi")]
    assert setup.said_s() == [50.1]


# ---------------------------------------------------------------------------------------------------- who wins


@pytest.mark.parametrize(
    ("modem_s", "wifi_s", "winner"),
    [(4, 20, "modem"), (30, 4, "wifi"), (7, 3.5, "wifi"), (6, 3.5, "modem")],
    ids=str,
)
def test_the_first_connack_wins_and_the_other_session_is_ended(setup, modem_s, wifi_s, winner):
    setup.modem.attach_s, setup.wifi.attach_s = modem_s, wifi_s
    setup.add()
    setup.run(60)
    assert setup.said_s()[0] == min(modem_s, 3 + wifi_s) + 0.1
    assert set(setup.said_over()) == {winner}
    assert [stream.end.bearer.name for stream in setup.open_streams] == [winner]
    assert setup.modem.attaching == setup.wifi.attaching == 0
    assert len(setup.attached_s()) == 2
    assert setup.log.counters == {"link.ended": 1}


@pytest.mark.parametrize("attach_s", [4, 8, 15])
def test_a_slow_joining_is_not_begun_anew_beside_another(setup, attach_s):
    """The modem seeks a network where there is none; what the Wi-Fi has begun must come to its end."""
    setup.modem.attach_s = None
    setup.wifi.attach_s = attach_s
    setup.add()
    setup.run(25)
    assert setup.attached_s() == [(0.0, "modem"), (3.0, "wifi")]
    assert setup.said_s()[0] == 3.1 + attach_s


def test_a_slow_joining_is_not_begun_anew_beside_a_slow_opening(setup):
    setup.modem.open_s = 70
    setup.wifi.attach_s = 15
    setup.add()
    setup.run(20)
    assert setup.attached_s() == [(0.0, "modem"), (3.0, "wifi")]
    assert setup.said_s()[0] == 18.1


def test_an_opening_past_its_deadline_is_exchanged_although_the_other_still_seeks_a_network(setup):
    setup.modem.attach_s = setup.wifi.open_s = None
    setup.add()
    setup.run(50, lambda: setattr(setup.wifi, "open_s", 0.02), 20)
    assert setup.at_s(setup.wifi.times("open")) == [3.0, 63.0]
    assert setup.said_over()[0] == "wifi"


@pytest.mark.parametrize("open_s", [6, 12, 30, 48])
def test_a_slow_opening_is_not_given_up_for_a_network_that_is_sought(setup, open_s):
    setup.modem.attach_s = None
    setup.wifi.open_s = open_s
    setup.add()
    setup.run(60)
    assert setup.said_s()[0] == 3.1 + open_s


def test_the_other_bearer_that_fails_is_tried_again_while_the_first_is_still_at_it(setup):
    setup.modem.attach_s = None
    setup.wifi.attach_error = OSError("no known network")
    setup.add()
    setup.run(60, lambda: setattr(setup.wifi, "attach_error", None), 17)
    assert len(setup.wifi.times("attach")) > 5
    assert setup.modem.times("attach") == [setup.began_s]
    assert setup.said_over()[0] == "wifi"


def test_a_silent_session_does_not_wait_for_the_other_bearer_to_join(setup):
    """Half open over the modem, and no Wi-Fi far and wide: the modem must get a second session soon."""
    setup.wifi.attach_s = None
    setup.run(10, lambda: half_open(setup), setup.add, 8)
    assert setup.said_s() == [16.1]
    assert setup.said_over() == ["modem"]
    # It had been open: its mere end is no trouble.
    assert setup.troubles == []


def test_there_are_never_more_than_two_sessions_nor_two_of_them_joining_one_network(setup):
    setup.broker.mute = True
    setup.add()
    setup.run(3600)
    assert setup.modem.most_open <= 1
    assert setup.wifi.most_open <= 1
    assert setup.modem.most_attaching == setup.wifi.most_attaching == 1


def test_when_the_session_over_the_other_ends_the_preferred_one_is_used_again(setup):
    setup.modem.attach_error = OSError("no coverage")
    setup.run(100, lambda: setattr(setup.modem, "attach_error", None), lambda: drop(setup), 10, urgent=False)
    assert [name for _, name in setup.attached_s()] == ["modem", "wifi", "modem"]
    assert setup.open_streams == setup.modem.streams


# --------------------------------------------------------------------------------------------------- what fails, hangs


@pytest.mark.parametrize("urgent", [False, True])
def test_bearers_that_fail_take_turns(setup, urgent):
    for bearer in setup.bearers:
        bearer.attach_error = OSError("no network")
    setup.run(1200, urgent=urgent)
    names = [name for _, name in setup.attached_s()]
    assert len(names) >= 5
    assert all(name != following for name, following in pairwise(names))


def test_outside_an_incident_both_together_are_opened_at_most_6_times_an_hour(setup):
    for bearer in setup.bearers:
        bearer.attach_error = OSError("no network")
    setup.run(6 * 3600, urgent=False)
    opens = [at_s for at_s, _ in setup.attached_s()]
    assert 30 <= len(opens) <= 36
    assert all(round(later - s) >= 3600 for s, later in zip(opens, opens[6:], strict=False))


def hang_attach(bearer) -> None:
    bearer.attach_s = None


def hang_open(bearer) -> None:
    bearer.open_s = None


def hang_drain(bearer) -> None:
    bearer.prepare = lambda stream: setattr(stream, "takes", False)


def hang_half_open(bearer) -> None:
    bearer.prepare = lambda stream: setattr(stream.end, "half_open", True)


HANGS = [hang_attach, hang_open, hang_drain, hang_half_open]


@pytest.mark.parametrize("hang", HANGS)
@pytest.mark.parametrize("which", ["modem", "wifi"])
def test_a_bearer_that_hangs_for_ever_never_keeps_the_alert_from_the_other(setup, which, hang):
    """For hours: each message, whenever it comes, is said within seconds over the one that works."""
    hang(getattr(setup, which))
    times = []

    def say() -> None:
        times.append(round(setup.now.s - setup.began_s, 1))
        setup.add(b"alert %d" % len(times))

    setup.run(0, *(say, 1800) * 6, lambda: drop(setup), 10)
    for n, at_s in enumerate(times, 1):
        assert setup.said_s(b"alert %d" % n)[0] <= at_s + 3.2
    # All of it again after the drop.
    assert {published.connection for published in setup.broker.published[-6:]} == {setup.open_streams[-1].end}


@pytest.mark.parametrize("hang", HANGS)
@pytest.mark.parametrize("which", ["modem", "wifi"])
def test_after_hours_of_both_hanging_the_alert_goes_out_over_the_first_that_heals(setup, which, hang):
    """Within half a minute once what hung has met its deadline."""
    healed = getattr(setup, which)
    normal = (healed.attach_s, healed.open_s, healed.prepare)

    def heal() -> None:
        healed.attach_s, healed.open_s, healed.prepare = normal
        setup.broker.published.clear()

    for bearer in setup.bearers:
        hang(bearer)
    setup.add()
    deadline_ms = healed.attach_ms if hang is hang_attach else healed.open_ms
    setup.run(3 * 3600, heal, deadline_ms / 1000 + 30)
    assert setup.said_s()
    assert set(setup.said_over()) == {which}


@pytest.mark.parametrize("days", [3, 7, 13])
def test_after_days_without_any_network_the_first_that_comes_is_found(setup, days):
    """Ticks tell only 6 days apart: nothing that was long ago may look like the future."""
    for bearer in setup.bearers:
        bearer.attach_s = None
    setup.run(days * 86400, lambda: setattr(setup.wifi, "attach_s", 1), 2 * 600, setup.add, 1, urgent=False)
    assert setup.said_over()[0] == "wifi"


# ------------------------------------------------------------------------------------------------------------ trouble


def test_with_a_session_there_is_no_trouble(setup):
    setup.run(100)
    assert setup.link.trouble is None
    assert setup.troubles == []


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize("where", ["attach_error", "open_error"])
def test_trouble_names_bearer_and_cause_while_no_session_can_be_opened(setup, where, urgent):
    seen = []
    setattr(setup.modem, where, OSError("no coverage"))
    setattr(setup.wifi, where, OSError("no known network"))
    look = (20, lambda: seen.append(setup.link.trouble))
    setup.run(*look * 10, urgent=urgent)
    assert set(seen) == {"modem: no coverage", "wifi: no known network"}
    assert setup.troubles == []


def test_trouble_is_told_once_when_a_session_opens_and_is_over_then(setup):
    setup.modem.attach_error = OSError("no coverage")
    setup.wifi.attach_error = OSError("no known network")

    def heal() -> None:
        setup.modem.attach_error = setup.wifi.attach_error = None

    setup.run(61, heal, 60, lambda: drop(setup), 60)
    assert setup.troubles in (["modem: no coverage"], ["wifi: no known network"])
    assert setup.link.trouble is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(
            lambda setup: setattr(setup.broker, "connack", 5),
            "the broker does not know this tag or its password",
            id="refused",
        ),
        pytest.param(lambda setup: setattr(setup.broker, "mute", True), "silent", id="mute"),
    ],
)
def test_a_broker_that_does_not_let_us_in_is_told_when_it_does(setup, fault, said):
    def heal() -> None:
        setup.broker.connack, setup.broker.mute = 0, False

    fault(setup)
    setup.run(200, heal, 70)
    assert len(setup.troubles) == 1
    assert setup.troubles[0].endswith(said)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(drop, id="closed by the broker"),
        pytest.param(half_open, id="half open"),
        pytest.param(
            lambda setup: [setattr(stream, "takes", False) for stream in setup.modem.streams], id="stuck"
        ),
        pytest.param(
            lambda setup: [setattr(stream, "error", OSError(104)) for stream in setup.modem.streams],
            id="reset",
        ),
        pytest.param(lambda setup: setup.broker.connections[0].say(b"\xf0\x00"), id="garbage"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_the_mere_end_of_a_session_is_no_trouble(monkeypatch, tmp_path, end, count):
    setup = Setup(ticking(monkeypatch, Now()), tmp_path / "outbox", *("modem", "wifi")[:count])
    setup.modem = setup.bearer
    seen = []
    look = (lambda: seen.append(setup.link.trouble), 0.5)
    setup.run(10, lambda: end(setup), setup.add, *look * 20)
    assert setup.said_s()
    assert len(setup.broker.connections) == 2
    assert setup.troubles == []
    assert set(seen) == {None}


def warn(stream) -> None:
    stream.warning = "the broker's certificate is out of date"


def test_what_is_wrong_with_an_open_session_is_told_and_the_alert_goes_out(setup):
    setup.modem.prepare = warn
    setup.add()
    setup.run(10)
    assert setup.said_s()[0] == 0.1
    assert setup.troubles == ["the broker's certificate is out of date"]
    assert setup.link.trouble is None


def test_what_is_wrong_with_a_session_that_does_not_come_about_is_no_trouble_of_the_one_that_lives(setup):
    """The first was only late; the second, which would have been opened with a warning, never is."""
    setup.wifi.prepare = lambda stream: (warn(stream), setattr(stream.end, "half_open", True))

    def late() -> None:
        setup.modem.streams[0].arrive(b"\xd0\x00")

    setup.run(10, lambda: half_open(setup), setup.add, 4, late, 1)
    assert len(setup.wifi.streams) == 1
    assert setup.link.trouble is None


def test_what_comes_down_over_the_other_bearer_is_heard(setup):
    setup.modem.attach_s = None
    setup.broker.on_publish = lambda published: published.connection.publish(f"obereg/{TAG}/down", b"ack")
    setup.add()
    setup.run(4)
    assert setup.downs == [b"ack"]


def test_ending_a_session_leaves_no_task_behind(setup):
    left = []

    async def count() -> None:
        left.append(len(asyncio.all_tasks()))

    setup.modem.attach_s = None
    setup.add()
    setup.run(30, lambda: asyncio.ensure_future(count()), 1)
    # The test, the link, its alarm, the Wi-Fi's session and its read, this count
    assert left[0] <= 6


def test_a_network_that_is_not_found_for_90_s_is_said_while_it_is_looked_for(monkeypatch, tmp_path):
    setup = Setup(ticking(monkeypatch, Now()), tmp_path / "outbox")
    setup.bearer.attach_s = 120
    setup.bearer.attach_ms = 240_000
    troubles = []
    note = lambda: troubles.append(setup.link.trouble)  # noqa: E731
    setup.run(89, note, 2, note, 60, note)
    assert troubles == [None, "fake: no network yet", None]
    assert setup.troubles == ["fake: no network yet"]
