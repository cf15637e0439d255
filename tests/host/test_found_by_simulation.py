"""What faults/simulate.py found, each as a test of its own."""

import pytest
from journal import Journal

from tests.host.fakes import Now, ticking
from tests.host.link_setup import Setup
from tests.host.tag_setup import Worn

RECEIVED, CLOSED = 1, 4


@pytest.fixture
def worn(monkeypatch, tmp_path) -> Worn:
    return Worn(monkeypatch, tmp_path)


def test_a_closed_incident_is_not_opened_again_by_its_alert_that_still_waits(worn):
    """The alert's own acks were lost; the closing came with the answer to another press."""
    worn.press()
    worn.press()
    alert, again = worn.pending()
    worn.hear(again.token, CLOSED, 2)
    assert worn.tag.incident is None
    assert [entry.cti for entry in worn.pending()] == [alert.cti]
    worn.cut()
    assert worn.tag.incident is None
    assert [entry.cti for entry in worn.pending()] == [alert.cti]


def test_the_next_alert_after_that_opens_an_incident_although_the_power_goes_at_once(worn):
    worn.press()
    worn.press()
    worn.hear(worn.pending()[1].token, CLOSED, 2)
    worn.press()
    alert = worn.pending()[-1]
    worn.cut()
    assert (worn.tag.incident.state, worn.tag.incident.cti) == ("calling", alert.cti)


def test_a_cut_between_the_closing_and_the_settling_of_its_alert_opens_nothing(worn, monkeypatch):
    worn.press()
    alert = worn.pending()[0]
    worn.wait(0.4)
    real_remove = Journal.remove

    def remove(journal: Journal, name: str) -> None:
        real_remove(journal, name)
        if name == "incident":
            raise KeyboardInterrupt  # the power goes

    monkeypatch.setattr(Journal, "remove", remove)
    with pytest.raises(KeyboardInterrupt):
        worn.hear(alert.token, CLOSED, 2)
    monkeypatch.undo()
    ticking(monkeypatch, worn.now)
    worn.restart()
    assert worn.tag.incident is None
    assert [entry.cti for entry in worn.pending()] == [alert.cti]


@pytest.mark.parametrize(("pressed", "opens"), [(True, "many"), (False, "six an hour")])
def test_a_press_that_waits_is_not_held_back_by_the_budget_of_a_calm_hour(
    monkeypatch, tmp_path, pressed, opens
):
    """Its incident was closed by the answer to another message; the radio may rest, the press may not."""
    setup = Setup(ticking(monkeypatch, Now()), tmp_path)
    setup.add(kind=1 if pressed else 3, pressed=pressed)
    setup.bearer.open_error = OSError(111)
    setup.run(3500, urgent=False)
    times = len(setup.bearer.times("open"))
    assert (times > 50) == (opens == "many")  # once a minute
    assert pressed or times == 6
