"""
firmware/tag.py: when the incident's record is written, and that a power cut around it loses nothing. DESIGN §5, §6.

The alert alone must be on flash before it is sent; its record may follow, for the alert stands for it.
"""

import pytest
from journal import Journal

from tests.host.tag_setup import Worn

ALERT, UPDATE = 1, 3


@pytest.fixture
def worn(monkeypatch, tmp_path) -> Worn:
    return Worn(monkeypatch, tmp_path)


def writes(worn: Worn) -> list[str]:
    """What flash took since the last look."""
    names = [call[1] for call in worn.calls if call[0] == "flash"]
    worn.calls.clear()
    return names


def record(worn: Worn) -> bytes | None:
    """The incident's record as another start would read it."""
    return Journal(worn.journal.folder).get("incident")


def test_between_press_and_link_flash_takes_the_alert_alone(worn):
    worn.press()
    assert writes(worn) == [worn.pending()[0].cti.hex()]
    assert record(worn) is None


def test_the_record_follows_with_the_next_tick_and_once(worn):
    worn.press()
    writes(worn)
    worn.wait(0.2)
    assert writes(worn) == ["incident"]
    worn.wait(10)
    assert writes(worn) == []


def test_an_ack_that_is_quicker_than_the_tick_writes_the_record_at_once(worn):
    """Its message is forgotten by the ack, and then only the record knows of the incident."""
    worn.press()
    writes(worn)
    worn.settle(level=2, rev=3)
    assert writes(worn) == ["incident"]
    worn.wait(1)
    assert writes(worn) == []
    worn.cut()
    assert (worn.tag.incident.state, worn.tag.incident.rev) == ("seen", 3)


def test_the_record_is_written_before_the_message_is_forgotten(worn):
    worn.press()
    [entry] = worn.pending()
    real = worn.tag.outbox.settle
    seen = []

    def settle(entry) -> None:
        seen.append(record(worn))
        real(entry)

    worn.tag.outbox.settle = settle
    worn.hear(entry.token, 1, 1)
    assert seen[0] is not None


@pytest.mark.parametrize("start", ["cut", "restart"])
def test_a_cut_before_that_tick_goes_on_from_the_alert(worn, start):
    worn.press()
    [entry] = worn.pending()
    getattr(worn, start)()
    assert record(worn) is None
    worn.tag.start("power on")
    assert worn.tag.incident == ("calling", entry.cti, entry.digest, 0, 1)
    assert [again.token for again in worn.pending()] == [entry.token]
    worn.felt()
    worn.settle(level=3, rev=1)
    assert worn.felt() == ["coming"]


def test_another_press_is_counted_on_flash_before_it_is_said(worn):
    worn.press()
    worn.wait(1)
    writes(worn)
    worn.press()
    assert writes(worn) == ["incident", worn.pending()[1].cti.hex()]


@pytest.mark.parametrize("at", [0, 1, 2], ids=["before the count", "before the message", "after both"])
def test_wherever_the_power_goes_in_another_press_the_next_number_is_higher_than_any_said(worn, at):
    """A desk rings for a higher number only."""
    worn.press()
    worn.wait(1)

    class PowerCut(BaseException):
        pass

    left = at

    def fused(real):
        def put(name, data) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise PowerCut
            real(name, data)

        return put

    for store in (worn.journal, worn.messages):
        store.put = fused(store.put)
    try:
        worn.press()
    except PowerCut:
        pass
    for store in (worn.journal, worn.messages):
        del store.put
    worn.cut()
    before = [claims.presses for claims in worn.said()]
    assert before == ([1, 2] if at == 2 else [1])
    worn.press()
    assert worn.said()[-1].presses > max(before)


def test_a_second_press_before_the_first_tick_loses_neither(worn):
    worn.press()
    worn.press()
    worn.cut()
    assert worn.tag.incident.presses == 2
    assert [claims.kind for claims in worn.said()] == [ALERT, UPDATE]


def test_a_record_that_flash_refused_is_written_with_the_next_change(worn):
    worn.journal.puts_left = 0
    worn.press()
    worn.wait(1)
    assert worn.log.counters == {"incident.not_on_flash": 1}
    worn.journal.puts_left = None
    worn.settle(level=1, rev=1)
    assert record(worn) is not None


def test_a_closed_incident_leaves_no_record_however_quick_it_was(worn):
    worn.press()
    worn.settle(level=4, rev=1)
    worn.wait(1)
    assert record(worn) is None
    worn.cut()
    assert worn.tag.incident is None


def test_the_next_incidents_record_follows_its_own_press(worn):
    worn.press()
    worn.settle(level=4, rev=1)
    worn.press()
    assert record(worn) is None
    worn.wait(0.2)
    assert record(worn) is not None
    worn.cut()
    assert worn.tag.incident.cti == worn.said()[0].cti
