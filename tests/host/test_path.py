"""
The whole path in virtual time: the real tag and the real link, a broker in memory, a desk with real keys.

press → alert → outbox (flash) → link → broker → desk → signed ack → outbox.settle → vibration
"""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.fakes import run
from tests.host.way import Way


@pytest.fixture
def path(monkeypatch, tmp_path) -> Way:
    return Way(monkeypatch, tmp_path)


def test_a_child_that_presses_feels_within_3_s_that_it_is_known(path):
    """Joining the network and opening a session, begun by the touch, take 2 s here."""
    path.bearer.attach_s, path.bearer.open_s, path.broker.latency_s = 1.0, 0.9, 0.1
    pressed_s = 0.0

    async def main() -> None:
        nonlocal pressed_s
        path.start()
        pressed_s = path.now.s
        path.worn.touch()
        await asyncio.sleep(0.6)
        path.worn.tag.on_button("pressed", path.now.ticks_ms())
        await asyncio.sleep(5)

    run(path.now, main())
    assert path.when("received") - pressed_s < 3
    assert path.worn.pending() == []
    assert path.worn.tag.utc.utc_s() is not None


def test_help_is_coming_is_felt_when_a_person_takes_it_and_heals_if_that_word_is_lost(path):
    async def main() -> None:
        path.start()
        path.worn.tag.on_button("pressed", path.now.ticks_ms())
        await asyncio.sleep(10)
        path.present = (3, 2)  # said at once, and lost
        await asyncio.sleep(70)

    run(path.now, main())
    assert [signal for _, signal in path.felt] == ["sent_off", "received", "coming"]


FAULTS = {
    "drop": lambda path: [connection.say(b"") for connection in path.broker.connections],
    "half open": lambda path: [
        setattr(connection, "half_open", True) for connection in path.broker.connections
    ],
    "stall": lambda path: [
        setattr(stream, "takes", False) for bearer in path.bearers for stream in bearer.streams
    ],
    "garbage": lambda path: [connection.say(b"\x00garbage") for connection in path.broker.connections],
    "stray puback": lambda path: [
        connection.say(b"\x40\x02\x40\x05") for connection in path.broker.connections
    ],
    "mute": lambda path: setattr(path.broker, "mute", True),
    "refuse": lambda path: setattr(path.broker, "connack", 5),
    "no network": lambda path: setattr(path.bearer, "attach_error", OSError("no network")),
    "closed port": lambda path: setattr(path.bearer, "open_error", OSError(111)),
    "slow": lambda path: setattr(path.broker, "latency_s", 1.8),
    "slow opening": lambda path: setattr(path.bearer, "open_s", 20),
    "desk asleep": lambda path: setattr(path, "awake", False),
    "flash full": lambda path: setattr(path.worn.messages, "puts_left", 0),
}


def heal(path: Way) -> None:
    path.broker.mute, path.broker.connack, path.broker.latency_s = False, 0, 0.05
    for bearer in path.bearers:
        bearer.attach_error = bearer.open_error = None
        bearer.open_s = 0.02
    path.awake = True
    path.worn.messages.puts_left = None


# What, of which bearer where that makes a difference, and for how long (s).
steps = st.lists(
    st.tuples(st.sampled_from([*FAULTS, "heal", "press", "restart"]), st.integers(0, 1), st.floats(0, 30)),
    max_size=12,
)


@pytest.mark.parametrize("names", [("fake",), ("modem", "wifi")], ids=len)
@settings(max_examples=150, deadline=None)
@given(steps=steps)
def test_whatever_happens_on_the_way_every_press_arrives_and_the_child_feels_it(names, steps):
    """Faults in any order, presses and power cuts among them; once all is well the answer comes within 75 s."""
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        path = Way(monkeypatch, Path(folder), *names)

        async def main() -> None:
            tasks = path.start()
            path.worn.tag.on_button("pressed", path.now.ticks_ms())
            full = False
            for what, n, wait_s in steps:
                path.bearer = path.bearers[n % len(names)]
                if what == "press":
                    path.worn.tag.on_button("pressed", path.now.ticks_ms())
                elif what == "heal":
                    heal(path)
                    full = False
                elif what == "restart":
                    # What no flash took does not survive: that is said, not tested.
                    if not full:
                        tasks = await path.restart(tasks)
                else:
                    FAULTS[what](path)
                    full = full or what == "flash full"
                await asyncio.sleep(wait_s)
                assert not any(task.done() for task in tasks)
            heal(path)
            await asyncio.sleep(75)
            assert not any(task.done() for task in tasks)

        run(path.now, main())
        signals = [signal for _, signal in path.felt]
        assert path.presses == 1 + sum(what == "press" for what, _, _ in steps)
        assert not [entry for entry in path.worn.pending() if entry.urgent()]
        assert path.worn.tag.incident.state == "received"
        assert "received" in signals
        assert "coming" not in signals
        most_open = 2 + sum(what == "restart" for what, _, _ in steps)
        assert all(bearer.most_open <= most_open for bearer in path.bearers)
        assert signals[-1] == "received"
