"""
firmware/tag.py: what the desk says, and what the child feels for it. docs/protocol.md §5 and §7.

"Help is coming" is felt for a right ack of level 3 and for nothing else.
"""

import pytest

from desk.token import ack, digest, state_ack
from tests.host.fakes import BUILT_S, FakeDesk
from tests.host.joined import ROOT, TAG_ID
from tests.host.tag_setup import Worn

RECEIVED, SEEN, COMING, CLOSED, DECLINED = 1, 2, 3, 4, 5
NONCE = b"abcdefgh"
OBEREG = -65537


@pytest.fixture
def worn(monkeypatch, tmp_path) -> Worn:
    """A child that has pressed; nothing is answered yet."""
    worn = Worn(monkeypatch, tmp_path)
    worn.press()
    worn.felt()
    worn.first = worn.pending()[0].token
    return worn


# ------------------------------------------------------------------------------------------------- acks that are wrong


def changed(key, value):
    """An ack of level 3 with another value under a key of the obereg claim; None: without that key."""

    def make(worn: Worn) -> bytes:
        worn.desk.utc_s += 86400
        claims = worn.desk.claims(worn.first, COMING, 9)
        if value is None:
            del claims[OBEREG][key]
        else:
            claims[OBEREG][key] = value
        return worn.desk.seal(claims)

    return make


def sealed(**how):
    return lambda worn: worn.desk.seal(worn.desk.claims(worn.first, COMING, 9), **how)


def cut(start, end, more=b""):
    return lambda worn: worn.desk.ack(worn.first, COMING, 9)[start:end] + more


def flipped(at):
    def make(worn: Worn) -> bytes:
        token = bytearray(worn.desk.ack(worn.first, COMING, 9))
        token[at] ^= 1
        return bytes(token)

    return make


def without_time(worn: Worn) -> bytes:
    claims = worn.desk.claims(worn.first, COMING, 9)
    del claims[6]
    return worn.desk.seal(claims)


def of_another_tag(worn: Worn) -> bytes:
    other = FakeDesk(bytes(8), ROOT, 1)
    return other.seal(worn.desk.claims(worn.first, COMING, 9))


def of_the_heartbeats_cti(worn: Worn) -> bytes:
    worn.tag.heartbeat()
    return worn.desk.ack(worn.tag.link.state, COMING, 9)


def of_an_unsent_message(worn: Worn) -> bytes:
    claims = worn.desk.claims(worn.first, COMING, 9)
    claims[OBEREG][1] = (int.from_bytes(claims[OBEREG][1], "big") + 1).to_bytes(8, "big")
    return worn.desk.seal(claims)


def of_a_state_message_naming_the_alert(worn: Worn) -> bytes:
    claims = worn.desk.claims(worn.first, COMING, 9)[OBEREG]
    return worn.desk.seal(state_ack(claims[1], claims[2], NONCE, BUILT_S))


def a_command(worn: Worn) -> bytes:
    claims = worn.desk.claims(worn.first, COMING, 9)
    claims[OBEREG] = {0: 33, 1: claims[OBEREG][1], 4: NONCE, 5: 1, 8: 1000}
    return worn.desk.seal(claims)


WRONG = {
    "nothing": lambda worn: b"",
    "one byte": lambda worn: b"\xd8",
    "noise": lambda worn: bytes(range(150)),
    "nested deeper than the stack": lambda worn: b"\x81" * 1000,
    "a byte short": cut(0, -1),
    "a byte more": cut(0, None, b"\x00"),
    "a wrong MAC": flipped(-1),
    "a changed claim": flipped(40),
    "the up key": lambda worn: sealed(key=worn.desk.up)(worn),
    "our own alert, reflected": lambda worn: worn.first,
    "another tag's key and kid": of_another_tag,
    "another tag's kid": sealed(kid=bytes(8) + b"\x01"),
    "another generation's kid": sealed(kid=TAG_ID + b"\x02"),
    "another digest": changed(2, bytes(8)),
    "a short digest": changed(2, bytes(7)),
    "no digest": changed(2, None),
    "another cti": changed(1, bytes(8)),
    "a message not sent yet": of_an_unsent_message,
    "a heartbeat": of_the_heartbeats_cti,
    "no of": changed(1, None),
    "no level": changed(3, None),
    "level 0": changed(3, 0),
    "level 6": changed(3, 6),
    "level -1": changed(3, -1),
    "level true": changed(3, True),
    "level 3.0": changed(3, 3.0),
    "level as text": changed(3, "3"),
    "no rev": changed(9, None),
    "rev -1": changed(9, -1),
    "rev over 32 bits": changed(9, 1 << 32),
    "no nonce": changed(4, None),
    "a long nonce": changed(4, bytes(9)),
    "no time": without_time,
    "an upward kind": changed(0, 1),
    "no kind": changed(0, None),
    "kind 35": changed(0, 35),
    "the ack of a state message": changed(0, 34),
    "a state ack naming the alert": of_a_state_message_naming_the_alert,
    "a command": a_command,
}


@pytest.mark.parametrize("settled", [False, True], ids=["waiting", "settled"])
@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_ack_is_counted_and_changes_nothing(worn, make, settled):
    if settled:
        worn.settle(RECEIVED, 1)
    token = make(worn)
    before = (worn.tag.incident, worn.tag.link.state, worn.tag.nonce, worn.tag.utc.utc_s(), worn.pending())
    worn.felt()
    worn.tag.on_down(token)
    assert worn.felt() == []
    assert (
        worn.tag.incident,
        worn.tag.link.state,
        worn.tag.nonce,
        worn.tag.utc.utc_s(),
        worn.pending(),
    ) == before
    assert len(worn.log.counters) == 1
    assert next(iter(worn.log.counters)).startswith("down.")


def test_every_single_changed_bit_makes_an_ack_wrong(worn):
    token = worn.desk.ack(worn.first, COMING, 1)
    for at in range(len(token)):
        for bit in range(8):
            worn.tag.on_down(token[:at] + bytes((token[at] ^ 1 << bit,)) + token[at + 1 :])
    assert worn.felt() == []
    assert worn.log.counters == {"down.refused": 8 * len(token)}
    worn.tag.on_down(token)
    assert worn.felt() == ["coming"]


def test_commands_are_refused(worn):
    worn.tag.on_down(a_command(worn))
    assert worn.log.counters == {"down.command": 1}


# ------------------------------------------------------------------------------------------------------ levels, felt

# what the desk says one after the other, each with a higher rev; what is felt for it
STORIES = [
    ([RECEIVED], ["received"]),
    ([SEEN], ["received"]),
    ([COMING], ["coming"]),
    ([CLOSED], ["closed"]),
    ([DECLINED], ["received"]),
    ([RECEIVED, SEEN, COMING, CLOSED], ["received", "coming", "closed"]),
    ([RECEIVED, COMING, DECLINED], ["received", "coming", "still_calling"]),
    ([RECEIVED, COMING, DECLINED, COMING], ["received", "coming", "still_calling", "coming"]),
    ([COMING, COMING], ["coming", "coming"]),
    ([COMING, RECEIVED], ["coming", "still_calling"]),
    ([COMING, SEEN], ["coming", "still_calling"]),
    ([RECEIVED, DECLINED, DECLINED], ["received"]),
]


@pytest.mark.parametrize(("levels", "signals"), STORIES, ids=str)
def test_what_is_felt_for_the_levels(worn, levels, signals):
    token = worn.pending()[0].token
    for rev, level in enumerate(levels, 1):
        worn.hear(token, level, rev)
    assert worn.felt() == signals


@pytest.mark.parametrize(("levels", "signals"), STORIES, ids=str)
def test_a_restart_between_any_two_acks_is_not_felt(worn, levels, signals):
    token = worn.pending()[0].token
    felt = []
    for rev, level in enumerate(levels, 1):
        worn.hear(token, level, rev)
        felt += worn.felt()
        worn.cut()
        worn.tag.start("power on")
        felt += worn.felt()
    assert felt == signals


def test_the_same_ack_again_is_felt_no_more(worn):
    token = worn.desk.ack(worn.pending()[0].token, COMING, 2)
    for _ in range(5):
        worn.tag.on_down(token)
    assert worn.felt() == ["coming"]


@pytest.mark.parametrize("before", [RECEIVED, SEEN, COMING])
@pytest.mark.parametrize("again", [RECEIVED, SEEN, COMING, CLOSED, DECLINED])
def test_a_rev_given_to_another_level_is_not_believed_and_gone_above(worn, before, again):
    """The desk was restored from a backup: neither level can be told from the true one by its rev."""
    token = worn.pending()[0].token
    worn.hear(token, before, 2)
    worn.felt()
    was = worn.tag.incident
    for _ in range(3):
        worn.hear(token, again, 2)
    same = again == before or (before, again) == (RECEIVED, DECLINED)
    assert worn.tag.incident == was._replace(rev=2 if same else 3)
    assert worn.felt() == []
    worn.cut()
    worn.press()
    assert worn.said()[-1].rev == worn.tag.incident.rev == (2 if same else 3)


def test_the_level_of_a_restored_desk_is_felt_with_its_answer_to_the_next_message(worn):
    token = worn.pending()[0].token
    worn.hear(token, COMING, 2)
    worn.hear(token, SEEN, 2)
    assert worn.felt() == ["coming"]
    worn.hear(token, SEEN, 4)
    assert worn.felt() == ["still_calling"]
    assert (worn.tag.incident.state, worn.tag.incident.rev) == ("seen", 4)


def test_coming_played_back_after_declined_is_not_felt_and_counted(worn):
    token = worn.pending()[0].token
    coming = worn.desk.ack(token, COMING, 3)
    worn.tag.on_down(coming)
    worn.hear(token, DECLINED, 4)
    assert worn.felt() == ["coming", "still_calling"]
    worn.tag.on_down(coming)
    assert worn.felt() == []
    assert worn.tag.incident.state == "received"
    assert worn.tag.incident.rev == 4
    assert worn.log.counters == {"down.old": 1}


def test_coming_played_back_after_a_restart_is_not_felt(worn):
    token = worn.pending()[0].token
    coming = worn.desk.ack(token, COMING, 3)
    worn.tag.on_down(coming)
    worn.hear(token, DECLINED, 4)
    worn.cut()
    worn.tag.on_down(coming)
    assert worn.felt() == []


def test_coming_played_back_in_the_next_incident_is_not_felt(worn):
    token = worn.pending()[0].token
    coming = worn.desk.ack(token, COMING, 3)
    worn.hear(token, CLOSED, 4)
    worn.press()
    worn.felt()
    worn.tag.on_down(coming)
    assert worn.felt() == []
    assert worn.log.counters == {"down.not_ours": 1}


def test_the_level_in_an_updates_ack_is_the_incidents(worn):
    """A lost "coming" heals with the next uplink."""
    worn.settle(RECEIVED, 1)
    worn.wait(20)
    worn.felt()
    worn.settle(COMING, 2)
    assert worn.felt() == ["coming"]
    assert worn.pending() == []


def test_a_level_names_the_first_alert_long_after_it_was_settled(worn):
    token = worn.pending()[0].token
    worn.settle(RECEIVED, 1)
    worn.cut()
    worn.hear(token, COMING, 2)
    assert worn.felt() == ["coming"]


def test_another_press_is_felt_as_received_once_it_is_settled(worn):
    worn.hear(worn.pending()[0].token, COMING, 3)
    worn.press()
    worn.felt()
    token = worn.pending()[0].token
    worn.hear(token, COMING, 3)
    assert worn.felt() == ["received"]
    worn.hear(token, COMING, 3)
    assert worn.felt() == []


def test_the_ack_of_a_position_update_is_not_felt(worn):
    worn.settle(RECEIVED, 1)
    worn.wait(20)
    worn.felt()
    worn.settle(RECEIVED, 1)
    assert worn.felt() == []


# ------------------------------------------------------------------------------------------------------------ settling


def test_a_right_ack_settles_its_message_and_no_other(worn):
    worn.press()
    first, second = worn.pending()
    worn.hear(second.token, RECEIVED, 1)
    assert worn.pending() == [first]
    assert worn.messages.names() == [first.cti.hex()]


def test_an_old_rev_still_settles(worn):
    worn.hear(worn.pending()[0].token, COMING, 5)
    worn.press()
    worn.hear(worn.pending()[0].token, RECEIVED, 1)
    assert worn.pending() == []
    assert (worn.tag.incident.state, worn.tag.incident.rev) == ("coming", 5)


def test_a_message_of_a_closed_incident_goes_on_and_its_ack_touches_no_other_incident(worn):
    worn.press()
    first, second = worn.pending()
    worn.hear(first.token, CLOSED, 9)
    assert worn.pending() == [second]
    worn.press()
    worn.felt()
    incident = worn.tag.incident
    worn.hear(second.token, COMING, 12)
    assert worn.felt() == []
    assert worn.tag.incident == incident


def test_the_highest_rev_is_said_upward_and_survives(worn):
    worn.hear(worn.pending()[0].token, SEEN, 70000)
    worn.cut()
    worn.press()
    assert worn.said()[-1].rev == 70000


def test_the_desks_last_nonce_is_echoed(worn):
    worn.hear(worn.pending()[0].token, RECEIVED, 1)
    worn.press()
    worn.tag.heartbeat()
    assert worn.said()[-1].nonce == worn.state().nonce == worn.desk.nonce


@pytest.mark.parametrize("cut", [False, True])
def test_a_replayed_ack_does_not_set_the_nonce_back(worn, cut):
    """Neither the ack that settled the alert nor the one that brought a level, said again, is the desk's last word."""
    token = worn.pending()[0].token
    old = [worn.desk.ack(token, RECEIVED, 1), worn.desk.ack(token, COMING, 2)]
    for each in old:
        worn.tag.on_down(each)
    worn.press()
    worn.hear(worn.pending()[0].token, COMING, 2)
    if cut:
        worn.cut()
    last = worn.tag.nonce
    assert last == (None if cut else worn.desk.nonce)
    for each in old:
        worn.tag.on_down(each)
    assert worn.tag.nonce == last


def test_a_made_up_epoch_is_said_again_with_the_first_nonce(worn):
    """The desk has kept and answered the first state message, but its mark moves only for an echo."""
    worn.tag.start("power on")
    worn.hear(worn.tag.link.state, 0, 0)
    assert worn.tag.link.state is None
    worn.nvs.records.clear()
    worn.journal.remove("epoch")
    worn.cut()
    worn.tag.start("power on")
    assert (worn.state().flags & 8, worn.state().nonce) == (8, None)
    worn.hear(worn.tag.link.state, 0, 0)
    assert (worn.state().flags & 8, worn.state().nonce) == (8, worn.desk.nonce)
    worn.hear(worn.tag.link.state, 0, 0)
    assert worn.tag.link.state is None


# -------------------------------------------------------------------------------------------------------------- closed


def test_closed_ends_the_incident_and_all_rests(worn):
    worn.calls.clear()
    worn.hear(worn.pending()[0].token, CLOSED, 2)
    assert worn.tag.incident is None
    assert ("gnss", False) in worn.calls
    assert ("urgent", False) in worn.calls
    assert worn.journal.get("incident") is None
    worn.felt()
    worn.wait(120, live=True)
    assert worn.pending() == []
    assert worn.felt() == []


def test_after_closed_a_restart_opens_nothing(worn):
    worn.hear(worn.pending()[0].token, CLOSED, 2)
    worn.cut()
    worn.tag.start("power on")
    assert worn.tag.incident is None
    assert ("urgent", True) not in worn.calls


def test_after_closed_a_press_begins_a_new_incident(worn):
    first = worn.pending()[0].token
    worn.hear(first, CLOSED, 2)
    worn.press()
    [again] = worn.said()
    assert (again.kind, again.incident, again.rev, again.presses) == (1, None, 0, 1)
    assert again.cti != worn.desk.hear(first).cti


# --------------------------------------------------------------------------------------------------- state and clock


def test_a_state_message_is_settled_by_its_own_ack_alone(worn):
    worn.tag.heartbeat()
    old = worn.tag.link.state
    worn.tag.heartbeat("newer")
    new = worn.tag.link.state
    worn.hear(old, 0, 0)
    assert worn.tag.link.state == new
    worn.hear(new, 0, 0)
    assert worn.tag.link.state is None
    worn.hear(new, 0, 0)
    assert worn.log.counters == {"down.not_ours": 2}
    assert worn.felt() == []


def test_an_alert_is_settled_by_no_state_ack(worn):
    of = worn.desk.hear(worn.pending()[0].token).cti
    worn.tag.on_down(worn.desk.seal(state_ack(of, digest(worn.pending()[0].token), NONCE, BUILT_S)))
    assert len(worn.pending()) == 1


def test_the_desks_time_sets_the_clock(worn):
    worn.hear(worn.pending()[0].token, RECEIVED, 1)
    assert worn.tag.utc.utc_s() == worn.desk.utc_s
    worn.press()
    assert worn.said()[-1].iat == worn.desk.utc_s


def test_the_clock_never_goes_back_by_an_old_ack(worn):
    token = worn.pending()[0].token
    old = worn.desk.ack(token, RECEIVED, 1)
    worn.desk.utc_s += 86400
    worn.hear(token, RECEIVED, 1)
    later_s = worn.tag.utc.utc_s()
    worn.tag.on_down(old)
    worn.tag.on_down(worn.desk.seal(ack(worn.desk.hear(token).cti, digest(token), RECEIVED, 1, NONCE, 0)))
    assert worn.tag.utc.utc_s() == later_s == worn.desk.utc_s


def test_flash_that_refuses_does_not_change_what_is_felt(worn):
    token = worn.pending()[0].token
    worn.journal.puts_left = 0
    for rev, level in enumerate((RECEIVED, COMING, DECLINED, COMING, CLOSED), 1):
        worn.hear(token, level, rev)
    assert worn.felt() == ["received", "coming", "still_calling", "coming", "closed"]
    assert worn.log.counters == {"incident.not_on_flash": 4}
