"""The life of an incident: what its table says and nothing else, and the record of it on flash."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st
from incident import EVENTS, TABLE, Incident, IncidentError, pack, step, unpack

ROOT = Path(__file__).parents[2]
STATES = ("idle", "calling", "received", "seen", "coming")
ALL_EVENTS = ("press", "cancel", "received", "seen", "coming", "closed", "declined")

# Written from docs/protocol.md section 5, not from the table: (state, event) to (state, what is felt).
LIFE = {
    ("idle", "press"): ("calling", "sent_off"),
    ("calling", "press"): ("calling", "sent_off"),
    ("calling", "cancel"): ("calling", "cancel"),
    ("calling", "received"): ("received", "received"),
    ("calling", "seen"): ("seen", "received"),
    ("calling", "coming"): ("coming", "coming"),
    ("calling", "closed"): ("idle", "closed"),
    ("calling", "declined"): ("received", "received"),
    ("received", "press"): ("received", "sent_off"),
    ("received", "cancel"): ("received", "cancel"),
    ("received", "received"): ("received", ""),
    ("received", "seen"): ("seen", ""),
    ("received", "coming"): ("coming", "coming"),
    ("received", "closed"): ("idle", "closed"),
    ("received", "declined"): ("received", ""),
    ("seen", "press"): ("seen", "sent_off"),
    ("seen", "cancel"): ("seen", "cancel"),
    ("seen", "received"): ("received", ""),
    ("seen", "seen"): ("seen", ""),
    ("seen", "coming"): ("coming", "coming"),
    ("seen", "closed"): ("idle", "closed"),
    ("seen", "declined"): ("received", ""),
    ("coming", "press"): ("coming", "sent_off"),
    ("coming", "cancel"): ("coming", "cancel"),
    ("coming", "received"): ("received", "still_calling"),
    ("coming", "seen"): ("seen", "still_calling"),
    ("coming", "coming"): ("coming", "coming"),
    ("coming", "closed"): ("idle", "closed"),
    ("coming", "declined"): ("received", "still_calling"),
}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, ALL_EVENTS)))
def test_every_pair_goes_where_the_protocol_says_and_all_others_are_refused(state: str, event: str) -> None:
    if (state, event) in LIFE:
        assert step(state, event) == LIFE[state, event]
    else:
        with pytest.raises(IncidentError, match=f"{event} in {state}"):
            step(state, event)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", ["", "open", "idle", "=", "-", "sent_off", "Press", None, 1])
def test_an_event_that_is_none_is_refused(state: str, event: object) -> None:
    with pytest.raises(IncidentError):
        step(state, event)


def test_no_row_of_the_table_is_hidden_by_another() -> None:
    pairs = []
    for row in TABLE.strip().splitlines():
        of, event, _, _ = row.split()
        pairs += [(state, event) for state in STATES if of == state or (of == "open" and state != "idle")]
    assert sorted(pairs) == sorted(LIFE)


def test_each_state_is_reachable_from_idle_and_idle_from_each() -> None:
    for start in STATES:
        reached = {start}
        while grown := {LIFE[pair][0] for pair in LIFE if pair[0] in reached} - reached:
            reached |= grown
        assert reached == set(STATES)


def test_every_level_of_an_ack_has_its_event() -> None:
    assert EVENTS == (None, "received", "seen", "coming", "closed", "declined")


def test_coming_is_entered_and_felt_by_the_event_coming_alone() -> None:
    for (state, event), (following, signal) in LIFE.items():
        assert (signal == "coming") == (event == "coming")
        assert step(state, event) == (following, signal)
        if following == "coming" and state != "coming":
            assert event == "coming"


@given(
    st.lists(st.sampled_from([event for event in ALL_EVENTS if event != "coming"])),
    st.sampled_from(STATES[:4]),
)
def test_without_a_coming_nothing_ever_feels_like_one(events: list[str], state: str) -> None:
    for event in events:
        try:
            state, signal = step(state, event)
        except IncidentError:
            continue
        assert signal != "coming"
        assert state != "coming"


@given(st.lists(st.sampled_from(ALL_EVENTS)))
def test_what_was_claimed_is_taken_back(events: list[str]) -> None:
    """Once "coming" was felt, leaving that state is felt too."""
    state = "idle"
    for event in events:
        try:
            following, signal = step(state, event)
        except IncidentError:
            continue
        if state == "coming" and following != "coming":
            assert signal in ("still_calling", "closed")
        state = following


CTI = bytes.fromhex("0000000200000007")
OPEN = Incident("received", CTI, b"digest..", 3, 2)


def test_the_record_has_exactly_these_bytes() -> None:
    assert (
        pack(OPEN).hex() == "8568" + b"received".hex() + "48" + CTI.hex() + "48" + b"digest..".hex() + "0302"
    )
    assert unpack(pack(OPEN)) == OPEN


@given(
    st.sampled_from(STATES[1:]),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=8, max_size=8),
    st.integers(0, 0xFFFFFFFF),
    st.integers(1, 10000),
)
def test_every_open_incident_survives_flash(
    state: str, cti: bytes, digest: bytes, rev: int, presses: int
) -> None:
    kept = Incident(state, cti, digest, rev, presses)
    assert unpack(pack(kept)) == kept


def test_every_prefix_of_a_record_is_refused() -> None:
    data = pack(OPEN)
    for end in range(len(data)):
        with pytest.raises(IncidentError, match="damaged"):
            unpack(data[:end])


DAMAGED = [
    pytest.param(list(OPEN[:4]), id="four parts"),
    pytest.param([*OPEN, 0], id="six parts"),
    pytest.param(5, id="a number"),
    pytest.param(None, id="null"),
    pytest.param("abcde", id="a text of five"),
    pytest.param(b"abcde", id="five bytes"),
    pytest.param({1: 1, 2: 2, 3: 3, 4: 4, "received": 5}, id="a map of five"),
    pytest.param(["lost", *OPEN[1:]], id="a state that is none"),
    pytest.param(["open", *OPEN[1:]], id="the table's open"),
    pytest.param(["idle", *OPEN[1:]], id="nothing is wrong"),
    pytest.param([b"received", *OPEN[1:]], id="a state of bytes"),
    pytest.param([None, *OPEN[1:]], id="no state"),
    pytest.param(["received", CTI[:7], *OPEN[2:]], id="cti of 7 bytes"),
    pytest.param(["received", 8, *OPEN[2:]], id="cti is a number"),
    pytest.param(["received", CTI, b"", 3, 2], id="no digest"),
    pytest.param(["received", CTI, None, 3, 2], id="digest is null"),
    pytest.param(["received", CTI, b"digest..", "3", 2], id="rev is text"),
    pytest.param(["received", CTI, b"digest..", None, 2], id="no rev"),
    pytest.param(["received", CTI, b"digest..", 3, [2]], id="presses is a list"),
    pytest.param(["received", CTI, b"digest..", "3", "2"], id="both are text"),
    pytest.param(["received", CTI, b"digest..", -9, 1], id="below nothing"),
]


@pytest.mark.parametrize("record", DAMAGED)
def test_a_record_that_is_none_is_refused(record: object) -> None:
    with pytest.raises(IncidentError, match="damaged"):
        unpack(cbor.encode(record))


PART = st.one_of(
    st.none(), st.integers(-9, 9), st.binary(max_size=9), st.sampled_from(STATES), st.text(max_size=9)
)


@given(st.one_of(st.binary(max_size=60), st.lists(PART, max_size=6).map(cbor.encode)))
def test_any_bytes_are_an_incident_that_can_go_on_or_an_incident_error(data: bytes) -> None:
    try:
        kept = unpack(data)
    except IncidentError:
        return
    assert step(kept.state, "closed") == ("idle", "closed")
    pack(kept)


def test_the_page_is_drawn_from_the_table() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tools.draw_incident"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert result.stderr == ""
    assert (ROOT / "docs/incident.md").read_text() == result.stdout


def test_the_picture_holds_every_arrow_of_the_life_and_no_other() -> None:
    drawn = set()
    for line in (ROOT / "docs/incident.md").read_text().splitlines():
        ends, _, labels = line.strip().partition(": ")
        if " --> " in ends and labels:
            state, following = ends.split(" --> ")
            for label in labels.split("<br>"):
                event, _, signal = label.partition(" / ")
                drawn.add((state, event, following, signal))
    assert drawn == {(*pair, *result) for pair, result in LIFE.items()}
