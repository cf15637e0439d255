"""
firmware/link.py over one bearer, in virtual time, against a broker in memory: docs/protocol.md §1 and §7, DESIGN §5.
Over two: test_link_bearers.py; the touch's probe: test_link_probe.py.

Times are in seconds from the moment the test's link began to run.
"""

import asyncio
from itertools import pairwise

import pytest

from tests.host.fakes import Now, ticking
from tests.host.link_setup import DIAL, TAG, Setup

SCHEDULE_S = [0, 2, 5, 10, 20, 30]


@pytest.fixture
def setup(monkeypatch, tmp_path) -> Setup:
    return Setup(ticking(monkeypatch, Now()), tmp_path / "outbox")


# ------------------------------------------------------------------------------------------------ opening and saying


def test_connect_subscribe_and_the_alert_leave_in_one_write_before_any_answer(setup):
    setup.broker.mute = True
    setup.add()
    setup.run(2)
    [stream] = setup.bearer.streams
    assert len(stream.writes) == 1
    [connection] = setup.broker.connections
    assert connection.client is not None
    assert connection.subscribed == [f"obereg/{TAG}/down"]
    assert setup.broker.payloads() == [b"alert"]


def test_the_connect_says_who_we_are_as_the_protocol_page_has_it(setup):
    setup.run(1)
    client = setup.broker.connections[0].client
    assert client == {
        "client_id": TAG.encode(),
        "user": TAG.encode(),
        "password": DIAL.password.encode(),
        "will_topic": f"obereg/{TAG}/up/state".encode(),
        "will": b"will 1",
        # user, password, will of QoS 1 that is not retained, clean session
        "flags": 0x80 | 0x40 | 0x08 | 0x04 | 0x02,
        "keep_alive_s": 18000,
    }


def test_a_message_is_published_at_qos_1_and_never_retained(setup):
    setup.add()
    setup.run(1)
    [published] = setup.broker.published
    assert (published.topic, published.flags) == (f"obereg/{TAG}/up/alert", 0x02)


def test_an_alert_leaves_at_once_on_a_session_that_is_open(setup):
    setup.run(10, setup.add, 0.2)
    assert setup.said_s() == [10.1]


def test_alerts_go_before_position_updates(setup):
    setup.add(b"update", kind=3, pressed=False)
    setup.add(b"alert")
    setup.run(1)
    assert setup.broker.payloads() == [b"alert", b"update"]


def test_alerts_go_before_a_state_message_in_the_write_that_opens_a_session(setup):
    setup.link.state = b"beat"
    setup.add(b"update", kind=3, pressed=False)
    setup.add(b"alert")
    setup.run(1)
    assert [published.payload for published in setup.broker.published] == [b"alert", b"update", b"beat"]


def test_what_comes_down_is_handed_over_byte_for_byte(setup):
    setup.broker.on_publish = lambda published: published.connection.publish(
        f"obereg/{TAG}/down", b"ack" * 60
    )
    setup.add()
    setup.run(1)
    assert setup.downs == [b"ack" * 60]
    assert setup.broker.pubacked == [7]


# ------------------------------------------------------------------------------------------------------- again


def test_the_same_bytes_go_out_on_the_schedule_without_end(setup):
    setup.add()
    setup.run(3600)
    said_s = setup.said_s()
    assert [round(s - said_s[0]) for s in said_s[:6]] == SCHEDULE_S
    tail_s = [later - s for s, later in pairwise(said_s[5:])]
    assert len(tail_s) >= 48
    assert all(47.9 <= s <= 72.1 for s in tail_s)
    assert len(set(tail_s)) > 10, "without jitter a city of tags calls in step"


def test_each_time_is_a_new_publish_with_a_new_packet_id(setup):
    setup.add()
    setup.run(40)
    ids = [published.packet_id for published in setup.broker.published]
    assert len(ids) == len(set(ids)) == 6
    assert all(published.flags == 0x02 for published in setup.broker.published)  # no DUP


def test_a_puback_settles_nothing(setup):
    entry = setup.add()
    setup.run(200)
    assert len(setup.said_s()) > 6
    assert setup.outbox.pending() == [entry]
    assert len(setup.bearer.streams) == 1  # but it says that the session lives


def test_a_settled_message_is_said_no_more(setup):
    entry = setup.add()
    setup.run(3, lambda: setup.outbox.settle(entry), 3600)
    assert len(setup.said_s()) == 2


def test_after_a_reconnect_everything_unsettled_is_said_at_once(setup):
    setup.add(b"one")
    setup.add(b"two")
    setup.run(31, lambda: setup.broker.connections[0].say(b""), 0.5)
    assert setup.said_s(b"one")[-1] == setup.said_s(b"two")[-1] < 31.3


# ------------------------------------------------------------------------------------------------ sessions in doubt


def test_a_mute_broker_gets_a_second_session_beside_the_first_after_3_s(setup):
    setup.broker.mute = True
    setup.add()
    setup.run(5)
    assert setup.at_s(setup.bearer.times("open")) == [0.0, 3.0]
    assert len(setup.open_streams) == 2
    assert len(setup.said_s()) == 2


def test_no_puback_within_3_s_opens_a_second_session(setup):
    setup.run(10, lambda: setattr(setup.broker.connections[0], "half_open", True), setup.add, 5)
    assert setup.at_s(setup.bearer.times("open")) == [0.0, 13.0]
    assert setup.said_s() == [13.1]


def test_silence_is_no_doubt_when_nothing_was_asked(setup):
    setup.run(3000)
    assert len(setup.bearer.times("open")) == 1


def test_the_wait_for_an_answer_begins_when_the_network_is_joined(setup):
    """Joining takes its time, and the 3 s count from its end, not from the link's patience with joining."""
    setup.bearer.attach_s = 7.0
    setup.broker.mute = True
    setup.add()
    setup.run(12)
    assert setup.at_s(setup.bearer.times("attach")) == [0.0, 10.0]


def test_the_first_answer_wins_and_ends_the_other_session(setup):
    """The broker has ended the first already, for both have one client id."""
    setup.run(10, lambda: setattr(setup.broker.connections[0], "half_open", True), setup.add, 60)
    _, second = setup.bearer.streams
    assert setup.open_streams == [second]
    assert {published.connection for published in setup.broker.published} == {second.end}


def test_an_answer_on_the_older_session_is_enough(setup):
    """It comes when the second is open and still mute: no third is opened, and the second may yet be the one."""

    def answer() -> None:
        setup.broker.connections[0].say(b"\x20\x02\x00\x00\x40\x02\x00\x02")

    setup.broker.mute = True
    setup.add()
    setup.run(4, answer, 0.9, setup.add, 0.2)
    assert len(setup.bearer.streams) == len(setup.open_streams) == 2
    assert setup.broker.published[-1].connection is setup.broker.connections[0]


def test_a_path_slower_than_our_patience_delivers_all_the_same(setup):
    """Each answer takes 4 s, so there is always a second session in the making."""
    setup.broker.latency_s = 2.0
    setup.run(30, setup.add, 60)
    assert setup.said_s()[0] == 32.0
    assert setup.bearer.most_open <= 2


def test_a_late_answer_on_the_first_session_does_not_hide_that_the_second_has_died(setup):
    """The path breaks right after the second CONNACK, then the first one's PUBACK comes in late."""

    def break_path(n: int) -> None:
        setup.broker.connections[n].half_open = True

    def late() -> None:
        setup.bearer.streams[0].arrive(b"\x40\x02\x00\x02")

    setup.run(10, lambda: break_path(0), setup.add, 3.15, lambda: break_path(1), 0.1, late, 60)
    assert len(setup.bearer.streams) == 3
    assert {published.connection for published in setup.broker.published[1:]} == {setup.broker.connections[2]}


@pytest.mark.parametrize("opening_s", [2, 6, 12, 30, 48, 58])
def test_a_slow_opening_is_not_given_up_early(setup, opening_s):
    """At 30 % loss TCP and TLS were seen to take 48 s: a child on a bad network must not wait for a better one."""
    setup.bearer.open_s = opening_s
    setup.add()
    setup.run(70)
    assert setup.said_s()[0] == opening_s + 0.1


def test_there_are_never_more_than_two_sessions(setup):
    setup.broker.mute = True
    setup.add()
    setup.run(7200)
    assert setup.bearer.most_open == 2
    assert len(setup.bearer.streams) > 400


def test_two_tasks_never_write_to_one_stream_at_once(setup):
    """The stream sends twice what two tasks drain at once, as MicroPython's does; the broker would hear doubles."""

    def both_ways() -> None:
        for packet_id in range(1, 20):
            setup.broker.connections[0].publish(f"obereg/{TAG}/down", b"down", packet_id)
        asyncio.get_running_loop().call_later(setup.broker.latency_s + 0.005, setup.add)

    setup.run(10, both_ways, 1)
    assert setup.said_s() == [10.1]
    assert setup.broker.pubacked == list(range(1, 20))


def test_a_kick_during_a_write_is_not_lost(setup):
    def two() -> None:
        setup.add(b"one")
        # In the middle of the write of the first.
        asyncio.get_running_loop().call_later(0.005, setup.add, b"two")

    setup.run(10, two, 1)
    assert setup.said_s(b"one") == [10.1]
    assert setup.said_s(b"two") == [10.1]


def test_a_stream_that_takes_no_more_bytes_is_replaced_after_3_s(setup):
    setup.run(10, lambda: setattr(setup.bearer.streams[0], "takes", False), setup.add, 5)
    assert setup.at_s(setup.bearer.times("open")) == [0.0, 13.0]
    assert setup.bearer.streams[0].closed
    assert setup.said_s()[0] == 13.1


@pytest.mark.parametrize("error", [OSError(104, "ECONNRESET"), ValueError("TLS"), AssertionError()], ids=repr)
def test_whatever_a_write_raises_the_message_goes_out_on_a_new_session(setup, error):
    setup.run(10, lambda: setattr(setup.bearer.streams[0], "error", error), setup.add, 1)
    assert setup.said_s() == [10.1]
    assert setup.open_streams == setup.bearer.streams[1:]


# ------------------------------------------------------------------------------------------- nothing waits for ever


def hang_attach(setup: Setup) -> None:
    setup.bearer.attach_s = None


def hang_open(setup: Setup) -> None:
    setup.bearer.open_s = None


def hang_write(setup: Setup) -> None:
    setup.bearer.prepare = lambda stream: setattr(stream, "takes", False)


def hang_mute(setup: Setup) -> None:
    setup.broker.mute = True


def hang_half_open(setup: Setup) -> None:
    def hang(stream) -> None:
        stream.end.half_open = True

    setup.bearer.prepare = hang


@pytest.mark.parametrize("hang", [hang_attach, hang_open, hang_write, hang_mute, hang_half_open])
def test_after_hours_of_it_the_alert_goes_out_within_half_a_minute(setup, hang):
    normal = (setup.bearer.attach_s, setup.bearer.open_s, setup.bearer.prepare, setup.broker.mute)
    setup.broker.pubacks = False

    def heal() -> None:
        setup.bearer.attach_s, setup.bearer.open_s, setup.bearer.prepare, setup.broker.mute = normal
        setup.broker.published.clear()

    hang(setup)
    setup.add()
    setup.run(3 * 3600, heal, 30)
    assert setup.said_s()
    assert setup.bearer.most_open <= 2
    assert setup.bearer.most_attaching == 1


@pytest.mark.parametrize(
    "error",
    [OSError(113, "EHOSTUNREACH"), ValueError("invalid cert"), RuntimeError("modem"), AssertionError()],
    ids=repr,
)
@pytest.mark.parametrize("where", ["attach_error", "open_error"])
def test_whatever_the_bearer_raises_the_link_lives_and_tries_again(setup, where, error):
    setattr(setup.bearer, where, error)
    setup.add()
    setup.run(600, lambda: setattr(setup.bearer, where, None), 20)
    assert (str(error) or repr(error)) in setup.warnings()
    assert len(setup.said_s()) >= 1


GARBAGE = {
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "reserved packet type": b"\xf0\x00",
    "endless length": b"\x30\xff\xff\xff\xff",
    "a long packet": b"\x32\xff\x7f",
    "a short CONNACK": b"\x20\x01\x00",
    "a packet only a client sends": b"\x10\x00",
    "zeros": bytes(64),
    "a PUBLISH that ends in its topic": b"\x32\x03\x00\x09x",
    "a PUBLISH at QoS 2": b"\x34\x06\x00\x01x\x00\x01y",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_from_the_broker_ends_the_session_and_nothing_else(setup, garbage):
    setup.run(10, lambda: setup.broker.connections[0].say(garbage), 1, setup.add, 1)
    assert len(setup.bearer.streams) == 2
    assert setup.log.counters["link.ended"] == 1
    assert setup.at_s(setup.bearer.times("close"))[0] == 10.1
    assert setup.said_s() == [11.1]


# What umqtt would trip over in its next call, if anything of a packet were left for it.
@pytest.mark.parametrize("packet_id", [0x0040, 0x4003, 0xD001, 0x3000, 0x307F, 0x4002])
def test_an_answer_to_nothing_leaves_the_next_message_alone(setup, packet_id):
    stray = b"\x40\x02" + packet_id.to_bytes(2, "big")
    setup.run(10, lambda: setup.broker.connections[0].say(stray), 1, setup.add, 1)
    assert setup.said_s() == [11.1]
    assert len(setup.bearer.streams) == 1


# ---------------------------------------------------------------------------------------------------- reconnecting


def dropping(setup: Setup) -> None:
    """Let the broker close each session a second after its CONNECT."""

    def drop(stream) -> None:
        asyncio.get_running_loop().call_later(1, stream.end.say, b"")

    setup.bearer.prepare = drop


def test_outside_an_incident_it_reconnects_at_most_6_times_an_hour(setup):
    dropping(setup)
    setup.run(6 * 3600, urgent=False)
    opens = setup.at_s(setup.bearer.times("open"))
    assert 30 <= len(opens) <= 36
    assert all(later - s >= 3600 for s, later in zip(opens, opens[6:], strict=False))


@pytest.mark.parametrize("after_s", [50, 300, 3500])
def test_an_incident_reconnects_at_once_and_quickly_however_often_it_was_before(setup, after_s):
    dropping(setup)
    setup.run(after_s, lambda: setup.link.urgent(True), setup.add, 60, urgent=False)
    opens = [s - after_s for s in setup.at_s(setup.bearer.times("open")) if s >= after_s]
    assert opens[0] == 0.0
    assert len(opens) >= 8
    assert all(later - s <= 16 for s, later in pairwise(opens))


@pytest.mark.parametrize("after_s", [50, 300])
def test_a_press_does_not_wait_for_the_next_calm_attempt(setup, after_s):
    setup.bearer.open_error = OSError(111, "ECONNREFUSED")
    setup.run(after_s, lambda: setup.link.urgent(True), 0.5, urgent=False)
    assert after_s in setup.at_s(setup.bearer.times("open"))


@pytest.mark.parametrize("after_days", [5, 7, 13])
def test_a_session_of_many_days_is_replaced_when_it_ends(setup, after_days):
    """Ticks tell only 6 days apart: what was long ago must not look like the future."""

    def drop() -> None:
        setup.broker.connections[-1].say(b"")

    beats = [step for n in range(after_days * 6) for step in (state(setup, b"%d" % n), 4 * 3600)]
    setup.run(0, *(700, drop) * 5, *beats, drop, 10, urgent=False)
    assert len(setup.bearer.streams) == 7
    assert len(setup.open_streams) == 1


def test_a_broker_that_refuses_our_password_is_named_and_gets_the_alert_when_it_lets_us_in(setup):
    setup.broker.connack = 5
    entry = setup.add()
    setup.run(120, lambda: setattr(setup.broker, "connack", 0), 16)
    assert "CONNACK 5: the broker does not know this tag or its password" in setup.warnings()
    assert setup.outbox.pending() == [entry]
    assert len(setup.said_s()) >= 1


def test_a_refused_subscription_ends_the_session(setup):
    """Without it no ack could be heard."""

    def refuse(stream) -> None:
        stream.end.say(b"\x90\x03\x00\x01\x80")

    setup.bearer.prepare = refuse
    setup.run(1)
    assert "the broker refuses our subscription" in setup.warnings()


# --------------------------------------------------------------------------------------------------- state messages


def state(setup: Setup, token: bytes | None):
    def say() -> None:
        setup.link.state = token
        setup.link.kick()

    return say


def test_a_state_message_is_said_once_a_session(setup):
    setup.run(state(setup, b"beat"), 1000, lambda: setup.broker.connections[0].say(b""), 1000)
    assert setup.broker.payloads("state") == [b"beat", b"beat"]
    assert [published.connection for published in setup.broker.published] == setup.broker.connections


def test_a_newer_state_message_replaces_one_that_is_not_said_yet(setup):
    setup.bearer.attach_s = 5
    setup.run(state(setup, b"old"), 1, state(setup, b"new"), 100)
    assert setup.broker.payloads("state") == [b"new"]


def test_an_acknowledged_state_message_is_said_no_more(setup):
    setup.run(
        state(setup, b"beat"), 1, state(setup, None), 1, lambda: setup.broker.connections[0].say(b""), 60
    )
    assert setup.broker.payloads("state") == [b"beat"]


def test_each_session_has_a_will_of_its_own(setup):
    setup.run(1, lambda: setup.broker.connections[0].say(b""), 5)
    assert [connection.client["will"] for connection in setup.broker.connections] == [b"will 1", b"will 2"]


def test_the_log_never_holds_the_password_or_a_payload(setup):
    setup.broker.connack = 4
    setup.add(b"SECRET-PAYLOAD")
    setup.run(60)
    assert DIAL.password not in "\n".join(setup.log.lines)
    assert "SECRET" not in "\n".join(setup.log.lines)


def test_in_an_incident_who_is_refused_at_once_tries_again_every_2_5_s_for_a_while(setup):
    """A broker that restarts: nothing listens, and nobody knows for how long."""
    setup.bearer.open_error = OSError(111)
    setup.add()
    setup.run(300)
    at_s = setup.at_s(setup.bearer.times("open"))
    gaps_s = [round(b - a, 1) for a, b in pairwise(at_s)]
    assert gaps_s[:3] == [0.3, 0.7, 1.5]
    assert all(2.4 <= gap_s <= 2.6 for gap_s in gaps_s[3:38])
    assert all(12 <= gap_s <= 18 for gap_s in gaps_s[41:])
    assert len(gaps_s) > 45


def test_outside_an_incident_who_is_refused_waits_calmly(setup):
    setup.bearer.open_error = OSError(111)
    setup.run(150, urgent=False)
    assert setup.at_s(setup.bearer.times("open")) == [0, 5, 35]


def test_a_desk_that_does_not_answer_is_a_trouble_and_is_told_of_when_it_does(setup):
    """A broker whose access list is wrong confirms what it throws away."""
    seen: list[str | None] = []

    def look() -> None:
        seen.append(setup.link.trouble)

    def answer() -> None:
        setup.broker.connections[-1].publish(f"obereg/{TAG}/down", b"an answer")

    setup.add()
    setup.run(15, look, 10, look, answer, 1, look)
    assert seen == [None, "the desk does not answer", None]
    assert setup.troubles == ["the desk does not answer"]


def test_many_messages_leave_in_batches_of_four_alerts_first(setup):
    """A heap that holds twenty presses does not hold them twice in one write."""
    setup.add(b"update", kind=3, pressed=False)
    for number in range(10):
        setup.add(b"alert %d" % number)
    setup.run(1)
    [stream] = setup.bearer.streams
    sizes = [sum(data.count(b"alert %d" % number) for number in range(10)) for _, data in stream.writes]
    assert [size for size in sizes if size] == [4, 4, 2]
    assert setup.broker.payloads() == [b"alert %d" % number for number in range(10)] + [b"update"]
