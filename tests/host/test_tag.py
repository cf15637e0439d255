"""
firmware/tag.py: what is said when, and what the child feels without the desk. Acks are in test_tag_acks.py.

The promises are those of DESIGN §4-§6 and docs/protocol.md §4 and §7.
"""

from itertools import pairwise

import pytest
from journal import Journal

from tests.host.joined import TAG_ID
from tests.host.tag_setup import KYIV, Worn

ALERT, CANCEL, UPDATE, HEARTBEAT, LINK_LOST = 1, 2, 3, 4, 7
TEST, POOR_POSITION, POOR_CLOCK, NEW_EPOCH, DISCREET = 1, 2, 4, 8, 16


@pytest.fixture
def worn(monkeypatch, tmp_path) -> Worn:
    return Worn(monkeypatch, tmp_path)


# ------------------------------------------------------------------------------------------------------- the press


def test_a_press_is_on_flash_before_the_link_hears_of_it(worn):
    """Also where the chip was woken by the press, and no touch came first."""
    on_flash = []
    worn.tag.link.kick = lambda: on_flash.append(Journal(worn.messages.folder).names())
    worn.tag.link.urgent = lambda on: on_flash.append(Journal(worn.messages.folder).names())
    worn.tag.on_button("pressed", worn.now.ticks_ms())
    [entry] = worn.pending()
    assert on_flash
    assert all(names == [entry.cti.hex()] for names in on_flash)
    assert worn.calls[0] == ("flash", entry.cti.hex())


def test_what_is_on_flash_is_what_will_be_sent_to_the_byte(worn):
    worn.press()
    [entry] = worn.pending()
    assert entry.token in worn.messages.get(entry.cti.hex())


def test_a_touch_is_felt_at_once_and_wakes_link_and_receiver(worn):
    worn.touch()
    assert worn.calls == [("gnss", True), ("urgent", True), ("feel", "touch")]
    assert worn.pending() == []


def test_a_press_is_felt_when_it_is_on_flash(worn):
    worn.press()
    kinds = [call[0] for call in worn.calls]
    assert worn.calls.index(("feel", "sent_off")) > kinds.index("flash")
    assert worn.felt() == ["sent_off"]


def test_a_touch_that_is_no_press_lets_link_and_receiver_rest_again(worn):
    worn.touch()
    worn.calls.clear()
    worn.wait(9.8)
    assert worn.calls == []
    worn.wait(0.6)
    assert worn.calls == [("gnss", False), ("urgent", False)]


def test_the_first_message_does_not_wait_for_a_fix_a_clock_or_a_cell(worn):
    worn.press()
    [alert] = worn.said()
    assert (alert.kind, alert.place, alert.cell, alert.iat) == (ALERT, None, None, None)
    assert (alert.flags, alert.battery_mv, alert.presses, alert.incident) == (POOR_CLOCK, 3900, 1, None)


def test_a_known_place_is_in_the_first_message(worn):
    worn.see(accuracy_m=12)
    worn.press()
    [alert] = worn.said()
    assert (alert.place.lat_e7, alert.place.lon_e7, alert.place.accuracy_m, alert.place.age_s) == (
        *KYIV,
        12,
        0,
    )
    assert not alert.flags & POOR_POSITION


def test_a_known_time_is_in_the_first_message(worn):
    worn.tag.on_time(1_800_000_000)
    worn.press()
    [alert] = worn.said()
    assert alert.iat == 1_800_000_000
    assert not alert.flags & POOR_CLOCK


def test_a_time_before_the_build_is_not_believed(worn):
    worn.tag.on_time(1_000_000_000)
    worn.press()
    assert worn.said()[0].iat is None


def test_the_clock_stays_trusted_through_a_reset_and_not_through_a_power_cut(worn):
    worn.tag.on_time(1_800_000_000)
    worn.restart()
    assert worn.tag.utc.utc_s() == 1_800_000_000
    worn.cut()
    assert worn.tag.utc.utc_s() is None


def test_discreet_and_a_made_up_epoch_are_said_in_every_message(worn):
    worn.flags = DISCREET
    worn.nvs.records.pop("epoch")
    worn.journal.remove("epoch")
    worn.cut()
    worn.press()
    worn.tag.heartbeat()
    assert worn.said()[0].flags == worn.state().flags == POOR_CLOCK | NEW_EPOCH | DISCREET


def test_pressing_again_says_at_once_how_often(worn):
    worn.press()
    worn.press()
    worn.press()
    alert, second, third = worn.said()
    assert (second.kind, second.presses, second.incident) == (UPDATE, 2, alert.cti)
    assert (third.kind, third.presses) == (UPDATE, 3)
    assert worn.felt() == ["sent_off"] * 3


# ---------------------------------------------------------------------------------------------------------- the test


def test_an_armed_press_and_what_follows_it_is_a_test(worn):
    worn.tag.drill.arm(worn.now.ticks_ms())
    worn.press()
    worn.wait(70)
    worn.hold()
    assert [said.flags & TEST for said in worn.said() if said.presses == 1] == [TEST] * 2
    # That hold was a press, too, and nobody had armed it.
    assert [said.flags & TEST for said in worn.said() if said.presses == 2] == [0, 0]


def test_the_next_incident_is_no_test(worn):
    worn.tag.drill.arm(worn.now.ticks_ms())
    worn.press()
    worn.settle(level=4)
    worn.press()
    assert [said.flags & TEST for said in worn.said()] == [0]


def test_a_state_message_is_no_test(worn):
    worn.tag.drill.arm(worn.now.ticks_ms())
    worn.press()
    worn.tag.heartbeat()
    assert not worn.state().flags & TEST


def test_a_press_a_minute_later_is_real(worn):
    worn.tag.drill.arm(worn.now.ticks_ms())
    for _ in range(302):
        worn.now.s += 0.2
        worn.tag.drill.feed(False, worn.now.ticks_ms())
    worn.press()
    assert not worn.said()[0].flags & TEST


# ------------------------------------------------------------------------------------------------------ the cancel


def test_cancel_is_a_second_message_and_removes_nothing(worn):
    worn.press()
    worn.wait(2)
    worn.felt()
    worn.hold()
    alert, again, cancel = worn.said()
    assert (alert.kind, again.kind, cancel.kind, cancel.incident) == (ALERT, UPDATE, CANCEL, alert.cti)
    assert worn.felt() == ["sent_off", "cancel"]
    assert worn.tag.incident.state == "calling"
    assert worn.pending()[0].kind == ALERT


def test_the_grip_that_called_does_not_cancel(worn):
    worn.hold()
    assert [claims.kind for claims in worn.said()] == [ALERT]


def test_the_grip_that_began_a_new_incident_does_not_cancel_it(worn):
    """The finger came down while the old incident was still open; it was closed before the hold was long enough."""
    worn.press()
    worn.touch()
    worn.settle(level=4, rev=2)
    worn.now.s += 0.6
    worn.tag.on_button("pressed", worn.now.ticks_ms())
    worn.tag.on_button("long", worn.now.ticks_ms())
    assert [claims.kind for claims in worn.said()] == [ALERT]


def test_a_long_hold_outside_an_incident_says_nothing(worn):
    worn.touch()
    worn.tag.on_button("long", worn.now.ticks_ms())
    assert worn.pending() == []


def test_a_stuck_button_is_reported_beside_the_alert(worn):
    worn.hold()
    worn.tag.on_button("stuck", worn.now.ticks_ms())
    assert [claims.kind for claims in worn.said()] == [ALERT]
    assert (worn.state().kind, worn.state().text) == (HEARTBEAT, "button stuck")
    assert worn.state().cti > worn.said()[0].cti


# ----------------------------------------------------------------------------------------------------- the updates


def updates_s(worn: Worn, seconds: float, live: bool = False, step_s: float = 0.2) -> list[float]:
    """Let time pass; return after how many seconds updates were said."""
    began_s = worn.now.s
    known = {entry.cti for entry in worn.pending()}
    times = []
    while worn.now.s < began_s + seconds - 0.01:
        worn.wait(step_s, live, step_s)
        for entry in worn.pending():
            if entry.cti not in known:
                known.add(entry.cti)
                times.append(round(worn.now.s - began_s, 1))
    return times


def test_the_first_good_fix_after_the_press_is_said_at_once(worn):
    worn.press()
    assert updates_s(worn, 5) == []
    worn.see(accuracy_m=50)
    assert updates_s(worn, 1, live=True) == [0.2]
    assert worn.said()[-1].place.accuracy_m == 50


def test_the_fix_that_the_alert_holds_is_not_said_again(worn):
    worn.see(accuracy_m=10)
    worn.press()
    assert updates_s(worn, 4) == []


def test_a_poor_fix_is_said_at_20_s(worn):
    worn.press()
    worn.see(accuracy_m=51)
    assert updates_s(worn, 25, live=True) == [20.0]


def test_updates_follow_every_10_s_and_after_10_minutes_every_60_s(worn):
    worn.press()
    worn.see(accuracy_m=10)
    times = updates_s(worn, 900, live=True)
    gaps = [round(b - a, 1) for a, b in pairwise(times)]
    assert times[0] == 0.2
    assert gaps == [10.0] * 60 + [60.0] * 4


def test_without_a_fix_an_update_every_60_s_keeps_the_answers_coming(worn):
    worn.press()
    assert updates_s(worn, 300) == [20.0, 80.0, 140.0, 200.0, 260.0]


def test_the_first_fix_after_the_20_s_is_said_at_once_however_poor(worn):
    """Until then nobody has any place: it must not wait for the next minute."""
    worn.press()
    updates_s(worn, 30)
    worn.see(accuracy_m=120)
    assert updates_s(worn, 15, live=True) == [0.2, 10.2]


def test_after_a_week_updates_are_still_slow(worn):
    """Ticks tell only 6 days apart: the quick ten minutes must not come back."""
    worn.press()
    worn.settle()
    worn.see(accuracy_m=10)
    for _ in range(8):
        worn.wait(86400, live=True, step_s=3600)
        worn.settle()
    assert len(updates_s(worn, 300, live=True)) in (5, 6)


def test_updates_carry_rev_and_incident_and_no_battery(worn):
    worn.press()
    worn.settle(level=2, rev=5)
    worn.wait(20)
    [update] = worn.said()
    assert (update.kind, update.rev, update.battery_mv, update.presses) == (UPDATE, 5, None, 1)
    assert update.incident == worn.tag.incident.cti
    assert update.nonce == worn.desk.nonce


# --------------------------------------------------------------------------------------------------------- the age


@pytest.mark.parametrize(
    ("age_s", "said_s", "poor"),
    [(3, 3, False), (600, 600, False), (601, 601, True), (86000, 86000, True), (86500, None, False)],
    ids=str,
)
def test_the_age_of_the_last_fix_is_said_and_judged(worn, age_s, said_s, poor):
    worn.see()
    worn.tag.tick(worn.now.ticks_ms())
    worn.now.s += age_s - 0.6
    worn.press()
    [alert] = worn.said()
    assert (alert.place and alert.place.age_s) == said_s
    assert bool(alert.flags & POOR_POSITION) == poor


def test_a_fix_worse_than_150_m_is_flagged(worn):
    worn.see(accuracy_m=151)
    worn.press()
    assert worn.said()[0].flags & POOR_POSITION


def test_the_last_fix_outlives_the_receiver_that_had_it(worn):
    worn.see()
    worn.wait(1)
    worn.fix = None
    worn.wait(99)
    worn.press()
    assert worn.said()[0].place.age_s == 100


@pytest.mark.parametrize("days", [1.1, 6.3, 9, 12.4271, 13, 20])
def test_a_silent_receivers_old_fix_never_becomes_a_new_one(worn, days):
    """Ticks wrap after 12.4 days; a receiver that has gone mute shows the same fix for ever."""
    worn.see()
    worn.wait(1)
    worn.wait(days * 86400, step_s=20)
    worn.press()
    assert worn.said()[0].place is None


# ----------------------------------------------------------------------------------------------------- still trying


def still_trying_s(worn: Worn, seconds: float) -> list[float]:
    began_s = worn.now.s
    times = []
    while worn.now.s < began_s + seconds - 0.01:
        worn.wait(0.2)
        times += [round(worn.now.s - began_s, 1)] * worn.felt().count("still_trying")
    return times


def test_an_undelivered_press_says_still_trying_after_15_s_and_then_every_8_s(worn):
    worn.press()
    assert still_trying_s(worn, 50) == [15.0, 23.0, 31.0, 39.0, 47.0]


def test_still_trying_ends_with_the_delivery(worn):
    worn.press()
    still_trying_s(worn, 20)
    worn.settle()
    assert still_trying_s(worn, 60) == []


def test_a_second_undelivered_press_is_tried_as_audibly_as_the_first(worn):
    worn.press()
    worn.settle()
    worn.wait(5)
    worn.press()
    assert still_trying_s(worn, 30) == [15.0, 23.0]


def test_still_trying_goes_on_until_every_press_is_delivered(worn):
    worn.press()
    worn.press()
    worn.hear(worn.pending()[1].token, 1, 1)
    assert still_trying_s(worn, 20) == [15.0]
    worn.settle()
    assert still_trying_s(worn, 20) == []


def test_the_delivery_of_an_older_incidents_press_does_not_silence_a_new_one(worn):
    worn.press()
    worn.press()
    first, second = worn.pending()
    worn.hear(first.token, 4, 2)
    worn.press()
    worn.hear(second.token, 4, 2)
    assert worn.tag.incident.state == "calling"
    assert still_trying_s(worn, 16) == [15.0]


def test_an_older_incidents_press_does_not_keep_a_new_one_trying(worn):
    worn.press()
    worn.press()
    worn.hear(worn.pending()[0].token, 4, 2)
    worn.press()
    worn.hear(worn.pending()[1].token, 1, 1)
    assert [claims.presses for claims in worn.said()] == [2]  # of the older incident
    assert still_trying_s(worn, 30) == []


# ----------------------------------------------------------------------------------------------------------- state


def test_a_heartbeat_holds_the_battery_and_no_place(worn):
    worn.see()
    worn.wait(1)
    worn.tag.heartbeat()
    assert (worn.state().kind, worn.state().battery_mv, worn.state().place, worn.state().cell) == (
        4,
        3900,
        None,
        None,
    )
    assert worn.calls[-1] == ("kick",)


def test_a_heartbeat_in_an_incident_holds_no_place_either(worn):
    worn.see()
    worn.press()
    worn.tag.heartbeat()
    assert worn.state().place is None


def test_a_start_is_said_with_its_reason(worn):
    worn.tag.start("watchdog")
    assert (worn.state().kind, worn.state().text) == (HEARTBEAT, "start: watchdog")
    assert ("urgent", True) not in worn.calls


def test_the_will_is_older_than_anything_said_after_it(worn):
    will = worn.desk.hear(worn.tag.will())
    worn.press()
    assert (will.kind, will.place) == (LINK_LOST, None)
    assert will.cti < worn.said()[0].cti
    assert will.cti[:4] == worn.said()[0].cti[:4]


# --------------------------------------------------------------------------------------------------------- restart


@pytest.mark.parametrize("start", ["restart", "cut"])
def test_an_open_incident_goes_on_after_a_restart_with_the_same_bytes(worn, start):
    worn.press()
    worn.press()
    worn.hear(worn.pending()[1].token, 3, 7)
    before = [entry.token for entry in worn.pending()]
    incident = worn.tag.incident
    getattr(worn, start)()
    worn.tag.start("power on")
    assert [entry.token for entry in worn.pending()] == before
    assert worn.tag.incident == incident
    assert (incident.rev, incident.presses, incident.state) == (7, 2, "coming")
    assert ("gnss", True) in worn.calls
    assert ("urgent", True) in worn.calls
    assert worn.state().rev == 7
    worn.press()
    assert (worn.said()[-1].presses, worn.said()[-1].incident) == (3, incident.cti)


def test_a_cut_between_the_alert_and_the_incidents_record_loses_nothing(worn):
    worn.press()
    alert = worn.said()[0]
    worn.journal.remove("incident")
    worn.cut()
    worn.tag.start("power on")
    assert worn.tag.incident[:2] == ("calling", alert.cti)
    assert worn.tag.incident.presses == 1
    worn.felt()
    worn.hear(worn.pending()[0].token, 3, 2)
    assert worn.felt() == ["coming"]


def test_a_damaged_record_of_the_incident_is_counted_and_made_again_from_the_alert(worn):
    worn.press()
    worn.journal.put("incident", b"\x85nonsense")
    worn.restart()
    assert worn.tag.incident.state == "calling"
    assert worn.log.counters == {"incident.damaged": 1}


def test_the_incident_that_goes_on_is_the_newest(worn):
    """An older alert may still wait for its ack when its incident has long been closed."""
    worn.press()
    worn.press()
    worn.hear(worn.pending()[1].token, 4, 2)
    worn.press()
    newest = worn.said()[-1]
    worn.journal.remove("incident")
    worn.cut()
    assert worn.tag.incident.cti == newest.cti


def test_after_a_restart_an_undelivered_press_is_still_tried(worn):
    worn.press()
    worn.restart()
    worn.tag.start("watchdog")
    assert still_trying_s(worn, 24) == [15.0, 23.0]


def test_after_a_restart_a_delivered_alert_is_not_tried(worn):
    worn.press()
    worn.settle()
    worn.restart()
    worn.tag.start("watchdog")
    assert still_trying_s(worn, 24) == []


def test_after_a_restart_an_undelivered_second_press_is_still_tried(worn):
    worn.press()
    worn.settle()
    worn.press()
    worn.restart()
    worn.tag.start("watchdog")
    assert still_trying_s(worn, 16) == [15.0]


def test_still_trying_ends_when_the_desk_knows_of_a_call_whose_record_rotted(worn):
    worn.press()
    worn.wait(0.2)  # the incident's record follows the alert's
    worn.messages.remove(worn.pending()[0].cti.hex())
    worn.restart()
    worn.tag.start("watchdog")
    assert still_trying_s(worn, 21) == [15.0]
    worn.settle()  # the update
    assert still_trying_s(worn, 20) == []


# -------------------------------------------------------------------------------------------------- flash refuses


@pytest.mark.parametrize(
    ("store", "puts"),
    [("messages", 0), ("messages", 1), ("messages", 2), ("journal", 0), ("journal", 1)],
    ids=str,
)
def test_whichever_write_the_flash_refuses_the_alert_is_sent_and_the_truth_is_felt(worn, store, puts):
    getattr(worn, store).puts_left = puts
    worn.press()
    worn.press()
    worn.wait(21)
    assert [claims.kind for claims in worn.said()] == [ALERT, UPDATE, UPDATE]
    assert ("kick",) in worn.calls
    assert worn.felt() == ["sent_off", "sent_off", "still_trying"]
    worn.settle()
    assert worn.felt() == ["received", "received"]
    assert worn.tag.incident.state == "received"
    assert worn.log.counters


def test_with_both_stores_and_all_flash_refusing_a_child_is_heard(worn):
    worn.nvs.refuses = True
    worn.journal.puts_left = worn.messages.puts_left = 0
    worn.cut()
    worn.press()
    [alert] = worn.said()
    assert alert.kind == ALERT
    assert alert.flags & NEW_EPOCH
    worn.settle(level=3, rev=1)
    assert worn.felt() == ["sent_off", "coming"]


def test_the_tags_id_is_in_no_log_line(worn):
    worn.press()
    assert TAG_ID.hex() not in "\n".join(worn.log.lines)


def test_a_cut_in_the_middle_of_another_press_does_not_let_the_next_one_repeat_its_number(worn):
    """A desk rings for a higher number only: the same again would be a press that nobody hears."""
    worn.press()
    worn.settle()
    # The power goes when the message is on flash and nothing after it.
    real = worn.tag._step
    worn.tag._step = lambda *_: None
    worn.press()
    said = worn.said()[-1].presses
    worn.tag._step = real
    worn.cut()
    worn.press()
    assert worn.said()[-1].presses > said
