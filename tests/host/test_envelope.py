"""COSE_Mac0 both ways against `cwt`: the same bytes, and not one bit of them free."""

import hashlib
import hmac

import cbor2
import cwt
import envelope
import pytest
from alert import Location, up_claims
from cbor import Float64
from cwt import COSE, COSEKey
from cwt.exceptions import CWTError
from envelope import EnvelopeError, digest, seal
from hypothesis import given
from hypothesis import strategies as st

KEY = bytes(range(32))
KID = bytes.fromhex("0123456789abcdef01")
PROTECTED = bytes.fromhex("a2010504490123456789abcdef01")
CTI = bytes.fromhex("0000000200000007")
NONCE = bytes.fromhex("a1b2c3d4e5f60718")
NOW_S = 1790000000
PLACE = Location(504501234, 305234567, 12, 3)
CLAIMS = {6: NOW_S, 7: CTI, -65537: {0: 1, 2: 3912}}
# Made with `cwt` from these claims; the key is bytes(range(32)).
TOKEN = bytes.fromhex(
    "d83dd1844ea2010504490123456789abcdef01a0581da3061a6ab13b80074800000002000000073a00010000a2000102190f48"
    "58207469321439dcf3109d0f2a1e6194a0630f12db4708a1a34c5402356c860ed82d"
)


def cose_key(key: bytes = KEY, kid: bytes = KID) -> cwt.COSEKey:
    return COSEKey.from_symmetric_key(key, alg="HMAC 256/256", kid=kid)


def sealed_by_cwt(payload: bytes) -> bytes:
    return b"\xd8\x3d" + COSE.new().encode_and_mac(payload, cose_key(), protected={1: 5, 4: KID})


def message(
    payload: bytes,
    protected: bytes = PROTECTED,
    head: bytes = b"\xd8\x3d\xd1\x84",
    unprotected: bytes = b"\xa0",
) -> bytes:
    """A message with a right MAC, whatever else is wrong with it."""
    structure = b"\x84\x64MAC0" + cbor2.dumps(protected) + b"\x40" + cbor2.dumps(payload)
    mac = hmac.digest(KEY, structure, hashlib.sha256)
    return head + cbor2.dumps(protected) + unprotected + cbor2.dumps(payload) + b"\x58\x20" + mac


def test_exact_bytes_both_ways() -> None:
    assert seal(CLAIMS, KEY, KID) == TOKEN == sealed_by_cwt(cbor2.dumps(CLAIMS))
    assert envelope.open(TOKEN, KEY, KID) == CLAIMS
    assert message(cbor2.dumps(CLAIMS)) == TOKEN


def test_cwt_accepts_what_the_tag_seals() -> None:
    claims = up_claims(1, CTI, NOW_S, PLACE, battery_mv=3912, nonce=NONCE)
    place = {1: 50.4501234, 2: 30.5234567, 4: 12, 9: 3}
    told = {6: NOW_S, 7: CTI, 264: place, -65537: {0: 1, 2: 3912, 5: NONCE}}
    assert cwt.decode(seal(claims, KEY, KID), cose_key()) == told


def test_the_tag_opens_what_cwt_seals() -> None:
    said = {0: 32, 1: CTI, 2: b"digest..", 3: 3, 4: NONCE, 9: 2}
    assert envelope.open(sealed_by_cwt(cbor2.dumps({6: NOW_S, -65537: said})), KEY, KID) == {
        6: NOW_S,
        -65537: said,
    }


def test_every_flipped_bit_is_refused_here_and_by_cwt() -> None:
    assert cwt.decode(TOKEN, cose_key()) == envelope.open(TOKEN, KEY, KID) == CLAIMS
    for bit in range(len(TOKEN) * 8):
        bad = bytearray(TOKEN)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EnvelopeError):
            envelope.open(bytes(bad), KEY, KID)
        # Which error cwt and cbor2 raise depends on where the bit is.
        with pytest.raises((CWTError, ValueError, TypeError)):
            cwt.decode(bytes(bad), cose_key())


def test_every_prefix_and_every_byte_more_is_refused() -> None:
    for end in range(len(TOKEN)):
        with pytest.raises(EnvelopeError, match="cut short"):
            envelope.open(TOKEN[:end], KEY, KID)
    with pytest.raises(EnvelopeError, match="left over"):
        envelope.open(TOKEN + b"\0", KEY, KID)


def test_another_key_or_kid_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="wrong MAC"):
        envelope.open(TOKEN, bytes(32), KID)
    with pytest.raises(EnvelopeError, match="key id"):
        envelope.open(TOKEN, KEY, KID[:-1] + b"\2")


GOOD = cbor2.dumps(CLAIMS)
MAC0 = TOKEN[2:]
MALFORMED = [
    pytest.param(b"", "cut short", id="nothing"),
    pytest.param(b"\xa0", "no tag 61", id="a map"),
    pytest.param(MAC0, "no tag 61", id="no CWT tag"),
    pytest.param(TOKEN[:2] + TOKEN[3:], "no tag 17", id="no COSE_Mac0 tag"),
    pytest.param(b"\xd8\x3d\xd0" + TOKEN[3:], "no tag 17", id="COSE_Encrypt0"),
    pytest.param(b"\xd8\x3c" + TOKEN[2:], "no tag 61", id="tag 60"),
    pytest.param(b"\xd8\x3d" + TOKEN, "no tag 17", id="tag 61 twice"),
    pytest.param(b"\xd9\x00\x3d" + TOKEN[2:], "shortest", id="tag 61 in three bytes"),
    pytest.param(message(GOOD, head=b"\xd8\x3d\xd1\x83")[:-34], "not four parts", id="three parts"),
    pytest.param(message(GOOD, head=b"\xd8\x3d\xd1\x85") + b"\0", "not four parts", id="five parts"),
    pytest.param(message(GOOD, head=b"\xd8\x3d\xd1\x9f") + b"\xff", "indefinite", id="parts without a count"),
    pytest.param(b"\xd8\x3d\xd1\xa2\0\0\1\0", "not four parts", id="a map of parts"),
    pytest.param(b"\xd8\x3d\xd1\xa4\0\0\1\0\2\0\3\0", "not four parts", id="a map of four"),
    pytest.param(b"\xd8\x3d\xd1\x44abcd", "not four parts", id="four bytes as parts"),
    pytest.param(b"\xd8\x3d\xd1\x00", "not four parts", id="a number"),
    pytest.param(message(GOOD, unprotected=b"\xa1\x04\x40"), "other types", id="something unprotected"),
    pytest.param(message(GOOD, unprotected=b"\x80"), "other types", id="unprotected is a list"),
    pytest.param(message(GOOD, unprotected=b"\xf6"), "other types", id="unprotected is null"),
    pytest.param(b"\xd8\x3d\xd1\x84\x40\xa0\xf6\x40", "other types", id="detached claims"),
    pytest.param(b"\xd8\x3d\xd1\x84\x40\xa0\x40\x00", "other types", id="the MAC is a number"),
    pytest.param(b"\xd8\x3d\xd1\x84\x40\xa0\x40\x40", "algorithm or key id", id="all empty"),
    pytest.param(b"\xd8\x3d\xd1\x84\x00\xa0\x40\x40", "algorithm or key id", id="protected is a number"),
    pytest.param(TOKEN[:-34] + b"\x40", "wrong MAC", id="an empty MAC"),
    pytest.param(TOKEN[:-34] + b"\x50" + TOKEN[-32:-16], "wrong MAC", id="half of the right MAC"),
    pytest.param(TOKEN[:-32] + bytes(32), "wrong MAC", id="a MAC of zeros"),
    pytest.param(message(GOOD, cbor2.dumps({1: 4, 4: KID})), "algorithm", id="HMAC 256/64"),
    pytest.param(message(GOOD, cbor2.dumps({1: 5})), "key id", id="no kid"),
    pytest.param(message(GOOD, cbor2.dumps({1: 5, 4: KID[:8]})), "key id", id="kid without its generation"),
    pytest.param(message(GOOD, cbor2.dumps({4: KID, 1: 5})), "algorithm", id="headers the wrong way round"),
    pytest.param(message(GOOD, cbor2.dumps({1: 5, 4: KID, 5: 0})), "algorithm", id="another header"),
    pytest.param(message(GOOD, b""), "algorithm", id="no header"),
    pytest.param(message(b""), "cut short", id="empty claims"),
    pytest.param(message(b"\x80"), "not a map", id="claims are a list"),
    pytest.param(message(b"\xd1\xa0"), "not a map", id="claims are tagged"),
    pytest.param(message(b"\xa2\x06\x00\x06\x00"), "twice", id="a claim twice"),
    pytest.param(message(b"\xa1\x18\x06\x00"), "shortest", id="a claim's number in two bytes"),
    pytest.param(message(b"\xbf\xff"), "indefinite", id="claims without a count"),
    pytest.param(message(b"\xa0\x00"), "left over", id="a byte after the claims"),
]


@pytest.mark.parametrize(("token", "reason"), MALFORMED)
def test_malformed_messages_are_refused_with_their_reason(token: bytes, reason: str) -> None:
    with pytest.raises(EnvelopeError, match=reason):
        envelope.open(token, KEY, KID)


def test_claims_are_not_decoded_before_the_mac_is_right() -> None:
    """Rotten claims under a wrong MAC are refused for the MAC."""
    token = message(b"\xff\xff\xff")
    with pytest.raises(EnvelopeError, match="simple value"):
        envelope.open(token, KEY, KID)
    with pytest.raises(EnvelopeError, match="wrong MAC"):
        envelope.open(token, bytes(32), KID)


@given(st.binary(max_size=200))
def test_noise_is_an_envelope_error(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        envelope.open(data, KEY, KID)


@given(st.integers(0, len(TOKEN) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_a_damaged_message_is_an_envelope_error(at: int, put: bytes, cut: int) -> None:
    bad = TOKEN[:at] + put + TOKEN[at + cut :]
    if bad != TOKEN:
        with pytest.raises(EnvelopeError):
            envelope.open(bad, KEY, KID)


@given(st.binary(max_size=120))
def test_any_payload_under_a_right_mac_is_a_map_or_an_envelope_error(payload: bytes) -> None:
    try:
        claims = envelope.open(message(payload), KEY, KID)
    except EnvelopeError:
        return
    assert isinstance(claims, dict)
    assert seal(claims, KEY, KID) == message(payload)


CLAIM = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.binary(max_size=40),
    st.text(max_size=20),
    st.lists(st.integers(0, 99)),
)


@given(st.dictionaries(st.integers(-70000, 70000), CLAIM, max_size=6))
def test_the_same_claims_sealed_by_both_are_the_same_bytes(claims: dict) -> None:
    payload = cbor2.dumps({key: claims[key] for key in sorted(claims, key=cbor2.dumps)})
    token = seal(claims, KEY, KID)
    assert token == sealed_by_cwt(payload)
    assert envelope.open(token, KEY, KID) == claims


def test_the_digest_is_of_the_exact_bytes() -> None:
    assert digest(TOKEN) == hashlib.sha256(TOKEN).digest()[:8]
    assert digest(TOKEN + b"\0") != digest(TOKEN)


UPDATE = {"incident": CTI, "nonce": NONCE, "presses": 2, "rev": 1}
SIZES = [
    pytest.param(up_claims(1, CTI, NOW_S, battery_mv=3912), 85, id="alert without a fix"),
    pytest.param(up_claims(1, CTI, NOW_S, PLACE, battery_mv=3912), 113, id="alert"),
    pytest.param(up_claims(1, CTI, NOW_S, PLACE, battery_mv=3912, nonce=NONCE), 123, id="alert with nonce"),
    pytest.param(up_claims(3, CTI, NOW_S, Location(1, 1, 30, 3), **UPDATE), 134, id="update with all"),
    pytest.param(up_claims(3, CTI, NOW_S, Location(1, 1, 8, 0), incident=CTI, nonce=NONCE), 127, id="update"),
    pytest.param(up_claims(4, CTI, NOW_S, battery_mv=3912, nonce=NONCE), 95, id="heartbeat"),
    pytest.param(up_claims(7, CTI, NOW_S, nonce=NONCE), 91, id="will"),
]


@pytest.mark.parametrize(("claims", "size"), SIZES)
def test_a_message_is_as_small_as_promised(claims: dict, size: int) -> None:
    """135 bytes at most with a fix and without a cell; the exact numbers, so that a byte more is seen."""
    assert len(seal(claims, KEY, KID)) == size <= 135


def test_positions_are_always_eight_bytes() -> None:
    place = up_claims(1, CTI, NOW_S, Location(0, 15_000_000, 1, 0))[264]
    assert place[1] == Float64(bytes(8))
    assert cbor2.loads(seal({264: place}, KEY, KID)).value.value[2].hex() == (
        "a1190108a301fb000000000000000002fb3ff80000000000000401"
    )
