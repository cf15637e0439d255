"""What is said: docs/protocol.md sections 4 and 5, claim by claim."""

import struct

import pytest
from alert import Ack, AlertError, Location, parse_down, up_claims
from cbor import Float64
from hypothesis import given
from hypothesis import strategies as st

CTI = bytes.fromhex("0000000200000007")
FIRST = bytes.fromhex("0000000200000001")
NONCE = b"nonce..."
DIGEST = b"digest.."
NOW_S = 1790000000
PLACE = Location(504501234, -305234567, 12, 3)
CELL = [255, 1, 4660, 11259375, -97]
OBEREG = -65537


def e7(degrees: int) -> Float64:
    return Float64(struct.pack(">d", degrees / 10**7))


def test_everything_known_is_said() -> None:
    claims = up_claims(3, CTI, NOW_S, PLACE, FIRST, 3912, 16, CELL, NONCE, 2, "why", 4)
    assert claims == {
        6: NOW_S,
        7: CTI,
        264: {1: e7(504501234), 2: e7(-305234567), 4: 12, 9: 3},
        OBEREG: {0: 3, 1: FIRST, 2: 3912, 3: 16, 4: CELL, 5: NONCE, 6: 2, 7: "why", 8: 4},
    }


def test_what_is_not_known_is_left_out() -> None:
    assert up_claims(1, CTI, NOW_S) == {6: NOW_S, 7: CTI, OBEREG: {0: 1}}


def test_without_a_trusted_clock_there_is_no_time_and_flag_4() -> None:
    assert up_claims(1, CTI) == {7: CTI, OBEREG: {0: 1, 3: 4}}
    assert up_claims(1, CTI, flags=8)[OBEREG][3] == 12


def test_zero_is_said_where_zero_is_no_default() -> None:
    claims = up_claims(1, CTI, 0, Location(0, 0, 0, 0), battery_mv=0, presses=0)
    assert claims == {6: 0, 7: CTI, 264: {1: e7(0), 2: e7(0), 4: 0}, OBEREG: {0: 1, 2: 0, 6: 0}}


@pytest.mark.parametrize(
    ("accuracy_m", "age_s", "flags"),
    [(150, 600, 0), (151, 600, 2), (150, 601, 2), (0, 0, 0), (100000, 0, 2), (1, 86400, 2)],
)
def test_a_place_that_is_wide_or_old_is_flagged(accuracy_m: int, age_s: int, flags: int) -> None:
    said = up_claims(1, CTI, NOW_S, Location(1, 1, accuracy_m, age_s))[OBEREG]
    assert said.get(3, 0) == flags


@pytest.mark.parametrize("kind", [4, 6, 7])
def test_a_kind_that_must_not_hold_a_place_holds_none(kind: int) -> None:
    up_claims(kind, CTI, NOW_S)
    with pytest.raises(AlertError, match=f"a place in kind {kind}"):
        up_claims(kind, CTI, NOW_S, location=PLACE)
    with pytest.raises(AlertError, match=f"a place in kind {kind}"):
        up_claims(kind, CTI, NOW_S, cell=CELL)


@pytest.mark.parametrize("kind", [1, 2, 3, 5])
def test_a_kind_that_may_hold_a_place_holds_it(kind: int) -> None:
    claims = up_claims(kind, CTI, NOW_S, location=PLACE, cell=CELL)
    assert claims[264][4] == 12
    assert claims[OBEREG][4] == CELL


@given(st.text(max_size=100))
def test_a_text_is_cut_at_64_bytes_and_between_characters(text: str) -> None:
    said = up_claims(4, CTI, NOW_S, text=text)[OBEREG]
    kept = text.encode()[:64].decode(errors="ignore")
    assert said.get(7, "") == kept
    assert (7 in said) == (kept != "")


@pytest.mark.parametrize("character", ["x", "ж", "水", "🛟"])
@pytest.mark.parametrize("before", range(60, 66))
def test_a_character_of_any_length_is_whole_or_gone(character: str, before: int) -> None:
    text = "a" * before + character + "b" * 9
    kept = up_claims(4, CTI, NOW_S, text=text)[OBEREG][7]
    assert kept == text.encode()[:64].decode(errors="ignore")
    assert len(kept.encode()) > 60


def ack(**changes: object) -> dict:
    """The claims of a right ack of level 3, with `k0`, `k1` ... changed; None takes the key out."""
    said: dict = {0: 32, 1: CTI, 2: DIGEST, 3: 3, 4: NONCE, 9: 7}
    claims: dict = {6: NOW_S, OBEREG: said}
    for name, value in changes.items():
        of = claims if name in ("k6", "k65537") else said
        key = OBEREG if name == "k65537" else int(name[1:])
        if value is None:
            del of[key]
        else:
            of[key] = value
    return claims


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_an_ack_is_read(level: int) -> None:
    assert parse_down(ack(k3=level)) == Ack(NOW_S, CTI, DIGEST, level, 7, NONCE)


def test_an_ack_of_a_state_message_has_level_0_and_rev_0() -> None:
    assert parse_down(ack(k0=34, k3=None, k9=None)) == Ack(NOW_S, CTI, DIGEST, 0, 0, NONCE)


def test_a_state_ack_never_has_a_level_whatever_it_says() -> None:
    assert parse_down(ack(k0=34))[3:5] == (0, 0)


def test_a_command_is_only_known_as_one() -> None:
    assert parse_down({OBEREG: {0: 33}}).level is None
    assert parse_down({6: NOW_S, OBEREG: {0: 33, 1: CTI, 4: NONCE, 5: 1, 8: 2}}).level is None


def test_what_a_later_version_adds_is_passed_over() -> None:
    claims = ack()
    claims[999] = claims[OBEREG][99] = [1, {2: 3}]
    assert parse_down(claims) == parse_down(ack())


@pytest.mark.parametrize(("key", "highest"), [("k9", 4294967295), ("k6", (1 << 40) - 1)])
def test_numbers_have_a_highest(key: str, highest: int) -> None:
    parse_down(ack(**{key: highest}))
    parse_down(ack(**{key: 0}))
    with pytest.raises(AlertError):
        parse_down(ack(**{key: highest + 1}))


MALFORMED = [
    pytest.param({}, "no obereg", id="nothing"),
    pytest.param(ack(k65537=None), "no obereg", id="no obereg claim"),
    pytest.param(ack(k65537=[0, 32]), "no obereg", id="obereg is a list"),
    pytest.param(ack(k0=None), "key 0", id="no kind"),
    pytest.param(ack(k0=-1), "key 0", id="kind -1"),
    pytest.param(ack(k0=256), "key 0", id="kind 256"),
    pytest.param(ack(k0=True), "key 0", id="kind true"),
    pytest.param(ack(k0="32"), "key 0", id="kind text"),
    pytest.param(ack(k0=1), "kind 1", id="an upward kind"),
    pytest.param(ack(k0=35), "kind 35", id="kind 35"),
    pytest.param(ack(k1=None), "key 1", id="no of"),
    pytest.param(ack(k1=CTI[:7]), "key 1", id="of, 7 bytes"),
    pytest.param(ack(k1=CTI + b"\0"), "key 1", id="of, 9 bytes"),
    pytest.param(ack(k1="12345678"), "key 1", id="of, text"),
    pytest.param(ack(k1=[0] * 8), "key 1", id="of, a list"),
    pytest.param(ack(k2=None), "key 2", id="no digest"),
    pytest.param(ack(k2=b""), "key 2", id="an empty digest"),
    pytest.param(ack(k3=None), "key 3", id="no level"),
    pytest.param(ack(k3=0), "level 0", id="level 0"),
    pytest.param(ack(k3=6), "key 3", id="level 6"),
    pytest.param(ack(k3=-3), "key 3", id="level -3"),
    pytest.param(ack(k3=True), "key 3", id="level true"),
    pytest.param(ack(k3=b"\3"), "key 3", id="level bytes"),
    pytest.param(ack(k3=Float64(bytes(8))), "key 3", id="level float"),
    pytest.param(ack(k4=None), "key 4", id="no nonce"),
    pytest.param(ack(k4=NONCE[:7]), "key 4", id="nonce, 7 bytes"),
    pytest.param(ack(k9=None), "key 9", id="no rev"),
    pytest.param(ack(k9=-1), "key 9", id="rev -1"),
    pytest.param(ack(k9="7"), "key 9", id="rev text"),
    pytest.param(ack(k6=None), "key 6", id="no time"),
    pytest.param(ack(k6=-1), "key 6", id="time -1"),
    pytest.param(ack(k6=True), "key 6", id="time true"),
    pytest.param(ack(k0=34, k1=None), "key 1", id="state ack without of"),
    pytest.param(ack(k0=34, k2=DIGEST + b"x"), "key 2", id="state ack, digest of 9 bytes"),
    pytest.param(ack(k0=34, k6=None), "key 6", id="state ack without a time"),
]


@pytest.mark.parametrize(("claims", "reason"), MALFORMED)
def test_malformed_claims_are_refused_with_their_reason(claims: dict, reason: str) -> None:
    with pytest.raises(AlertError, match=reason):
        parse_down(claims)


ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.binary(max_size=9), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.integers(0, 10), inner, max_size=5)
    ),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from([6, 7, OBEREG]), ANY),
    st.dictionaries(st.integers(0, 10), ANY),
    st.booleans(),
)
def test_any_claims_are_an_ack_or_an_alert_error(claims: dict, said: dict, whole: bool) -> None:
    if whole:
        claims = {**claims, OBEREG: {0: 32, **said}}
    try:
        told = parse_down(claims)
    except AlertError:
        return
    assert told.level is None or (
        0 <= told.level <= 5 and len(told.of) == len(told.digest) == len(told.nonce) == 8
    )
