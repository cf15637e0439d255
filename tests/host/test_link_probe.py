"""
firmware/link.py: a touch asks whether the session lives, so that a dead one is noticed before the press. DESIGN §5.

Times are in seconds from the moment the test's link began to run; the finger comes down at 10 s, the press is at 10.6.
"""

import pytest

from tests.host.fakes import Now, ticking
from tests.host.link_setup import Setup

HOLD_S = 0.6


@pytest.fixture
def setup(monkeypatch, tmp_path) -> Setup:
    return Setup(ticking(monkeypatch, Now()), tmp_path / "outbox")


def half_open(setup: Setup):
    def say() -> None:
        setup.broker.connections[-1].half_open = True

    return say


def touch(setup: Setup):
    return lambda: setup.link.urgent(True)


def rest(setup: Setup):
    return lambda: setup.link.urgent(False)


def pings_s(setup: Setup) -> list[float]:
    """When the broker heard a PINGREQ, in any session."""
    return setup.at_s(at_s for connection in setup.broker.connections for at_s in connection.pings)


def test_a_touch_asks_the_living_session_at_once(setup):
    setup.run(10, touch(setup), 2, urgent=False)
    assert pings_s(setup) == [10.1]
    assert setup.bearer.streams[0].writes[-1][1] == b"\xc0\x00"


def test_a_session_that_answers_in_time_stays_the_only_one(setup):
    setup.broker.latency_s = 1.4
    setup.run(10, touch(setup), HOLD_S, setup.add, 60, urgent=False)
    assert len(setup.bearer.streams) == 1
    assert setup.said_s()[0] == 12.0
    assert setup.log.counters == {}


def test_a_dead_session_is_noticed_3_s_after_the_touch_and_not_after_the_press(setup):
    setup.run(10, half_open(setup), touch(setup), HOLD_S, setup.add, 5, urgent=False)
    assert setup.at_s(setup.bearer.times("open")) == [0.0, 13.0]
    assert setup.said_s() == [13.1]


def test_a_session_that_died_of_it_is_replaced_before_the_press(setup):
    """The network tells at the first byte (a NAT that has forgotten us): the alert finds the new session."""

    def forgotten() -> None:
        setup.bearer.streams[0].error = OSError(104, "ECONNRESET")

    setup.run(10, forgotten, touch(setup), HOLD_S, setup.add, 1, urgent=False)
    assert setup.at_s(setup.bearer.times("open")) == [0.0, 10.0]
    assert setup.said_s() == [10.7]


def test_without_a_session_there_is_nothing_to_ask(setup):
    """One is opened, and its CONNACK is the answer: nothing stands in the alert's way then."""
    setup.bearer.open_error = OSError(111)

    def heal() -> None:
        setup.bearer.open_error = None

    setup.run(10, heal, touch(setup), HOLD_S, setup.add, 60, urgent=False)
    assert pings_s(setup) == []
    assert setup.said_s()[0] == 10.7


def test_while_a_session_is_being_opened_there_is_nothing_to_ask(setup):
    setup.bearer.attach_s, setup.broker.latency_s = 9.9, 0.4
    setup.run(10, touch(setup), HOLD_S, setup.add, 60, urgent=False)
    assert pings_s(setup) == []
    assert len(setup.bearer.streams) == 1


def test_what_is_asked_while_a_session_is_opened_is_not_asked_later(setup):
    setup.bearer.attach_s = 12
    setup.run(10, touch(setup), 10, rest(setup), 600, urgent=False)
    assert pings_s(setup) == []


def test_a_touch_in_an_incident_asks_nothing(setup):
    """Its messages ask already."""
    setup.run(10, touch(setup), 5, touch(setup), 5, touch(setup), 5, urgent=False)
    assert pings_s(setup) == [10.1]


def test_each_touch_after_a_rest_asks_again(setup):
    setup.run(*(10, touch(setup), 10, rest(setup)) * 3, 1, urgent=False)
    assert pings_s(setup) == [10.1, 30.1, 50.1]
    assert len(setup.bearer.streams) == 1


def test_a_touch_that_is_let_go_still_replaces_a_dead_session(setup):
    setup.run(10, half_open(setup), touch(setup), 1, rest(setup), 15, setup.add, 1, urgent=False)
    assert len(setup.bearer.streams) == 2
    assert setup.said_s() == [26.1]


def test_a_question_waits_for_no_budget(setup):
    """Six sessions have been opened within the hour; the touch lifts the limit."""

    def drop() -> None:
        setup.broker.connections[-1].say(b"")

    setup.run(*(600, drop) * 5, 500, half_open(setup), touch(setup), 4, setup.add, 1, urgent=False)
    assert len(setup.bearer.streams) == 7
    assert setup.said_s() == [3504.1]


def test_an_alert_that_waits_already_and_the_question_leave_in_one_write(setup):
    def both() -> None:
        setup.link.urgent(True)
        setup.add()

    setup.run(10, both, 1, urgent=False)
    stream = setup.bearer.streams[0]
    assert len(stream.writes) == 2
    assert stream.writes[1][1].startswith(b"\xc0\x00\x32")
