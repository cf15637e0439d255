"""
firmware/tag.py: what it says of the way to the desk (cell, trouble), and when the radio may be lent to the sky.

DESIGN §1 (shared radio), docs/protocol.md §4.
"""

import pytest

from tests.host.tag_setup import Worn

ALERT, CANCEL, UPDATE, HEARTBEAT = 1, 2, 3, 4
CELL = [255, 1, 0x1A2B, 0x1234567, -97]


@pytest.fixture
def worn(monkeypatch, tmp_path) -> Worn:
    return Worn(monkeypatch, tmp_path)


def said(worn: Worn) -> list[tuple]:
    return [(claims.kind, claims.cell and list(claims.cell)) for claims in worn.said()]


# ------------------------------------------------------------------------------------------------------------ the cell


def test_alert_cancel_and_updates_say_the_cell(worn):
    worn.cell = CELL
    worn.press()
    worn.wait(2)
    worn.hold()
    worn.wait(20)
    assert said(worn) == [(ALERT, CELL), (UPDATE, CELL), (CANCEL, CELL), (UPDATE, CELL)]


def test_each_message_says_the_cell_of_its_own_moment(worn):
    worn.press()
    worn.cell = CELL
    worn.press()
    worn.cell = [255, 6, 7, 8, -110]
    worn.press()
    assert said(worn) == [(ALERT, None), (UPDATE, CELL), (UPDATE, [255, 6, 7, 8, -110])]


def test_a_state_message_says_no_cell_not_even_in_an_incident(worn):
    """It would be a place, and heartbeats must not make a map of a child's days."""
    worn.cell = CELL
    worn.tag.start("power on")
    assert worn.state().cell is None
    worn.press()
    worn.tag.heartbeat()
    assert worn.state().cell is None
    worn.tag.on_trouble("wifi: no known network")
    assert worn.state().cell is None
    assert worn.desk.hear(worn.tag.will()).cell is None


# --------------------------------------------------------------------------------------------------------- the trouble


def test_trouble_on_the_way_to_the_desk_is_a_state_message_that_names_it(worn):
    worn.tag.on_trouble("modem: AT+CPIN?: no SIM card")
    assert (worn.state().kind, worn.state().text) == (HEARTBEAT, "link: modem: AT+CPIN?: no SIM card")
    assert worn.calls[-1] == ("kick",)


def test_a_long_trouble_is_cut_and_still_said(worn):
    worn.tag.on_trouble("modem: " + "ж" * 200)
    text = worn.state().text
    assert text.startswith("link: modem: жж")
    assert len(text.encode()) <= 64


def test_trouble_in_an_incident_leaves_alert_and_child_alone(worn):
    worn.press()
    token = worn.pending()[0].token
    worn.felt()
    worn.tag.on_trouble("modem: no coverage")
    assert [entry.token for entry in worn.pending()] == [token]
    assert worn.felt() == []


# ------------------------------------------------------------------------------------------ when the radio may be lent


def test_with_nothing_said_and_no_finger_down_the_radio_may_be_lent(worn):
    assert worn.tag.settled()


def test_not_while_a_state_message_waits_for_its_ack(worn):
    worn.tag.start("power on")
    assert not worn.tag.settled()
    worn.hear(worn.tag.link.state, 0, 0)
    assert worn.tag.settled()


def test_not_while_any_message_waits_for_its_ack(worn):
    worn.press()
    worn.press()
    worn.wait(3)
    assert not worn.tag.settled()
    worn.hear(worn.pending()[0].token, 1, 1)
    assert not worn.tag.settled()
    worn.settle()
    assert worn.tag.settled()


def test_not_while_a_finger_is_down(worn):
    """In an incident: it may be another press, or a cancel."""
    worn.press()
    worn.settle()
    worn.touch()
    for _ in range(29):
        worn.wait(1)
        worn.settle()
        assert not worn.tag.settled()
    worn.tag.on_button("released", worn.now.ticks_ms())
    assert worn.tag.settled()


def test_a_stuck_button_does_not_keep_the_radio_for_ever(worn):
    worn.touch()
    worn.wait(30)
    assert not worn.tag.settled()
    worn.tag.on_button("stuck", worn.now.ticks_ms())
    worn.hear(worn.tag.link.state, 0, 0)
    assert worn.tag.settled()


def test_in_an_incident_not_within_the_2_s_in_which_taps_are_a_press(worn):
    worn.press()
    worn.settle()
    worn.wait(10)
    worn.touch()
    worn.tag.on_button("released", worn.now.ticks_ms())
    worn.wait(1.9, step_s=0.1)
    assert not worn.tag.settled()
    worn.wait(0.2)
    assert worn.tag.settled()


def test_outside_an_incident_not_while_a_touch_may_be_followed_by_a_press(worn):
    worn.touch()
    worn.tag.on_button("released", worn.now.ticks_ms())
    worn.wait(9.8)
    assert not worn.tag.settled()
    worn.wait(0.6)
    assert worn.tag.settled()


def test_what_the_sky_told_is_said_with_the_next_tick(worn):
    """A place was said before, so it is not the first; without the word it would come a minute after the last."""
    worn.press()
    worn.settle()
    worn.wait(25, live=True)
    worn.wait(15)
    worn.settle()
    worn.wait(30)
    assert worn.pending() == []
    worn.see(accuracy_m=120)
    worn.wait(0.2)
    assert worn.pending() == []
    worn.tag.update_soon()
    assert worn.pending() == []
    worn.wait(0.2)
    [update] = worn.said()
    assert (update.kind, update.place.accuracy_m) == (UPDATE, 120)


def test_outside_an_incident_what_the_sky_told_is_kept_and_not_said(worn):
    worn.see()
    worn.tag.update_soon()
    worn.wait(100)
    assert worn.pending() == []
    worn.press()
    assert worn.said()[0].place.age_s == 100
