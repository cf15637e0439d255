"""desk.token and desk.claims: what is accepted, byte by byte, and what is refused and why."""

import hashlib
import hmac
import json
import random
from pathlib import Path

import cbor2
import cwt
import pytest

from desk import tags, token
from desk.claims import Claims, Place, TokenError
from desk.tags import parse_registration
from tests.host.test_desk_support import KYIV, KeyTag, cti

UP_KEY = bytes(range(32))
KID = bytes.fromhex("0123456789abcdef01")

# Written by hand from docs/protocol.md §3, §4 and RFC 8949; no encoder was asked.
HAND_CLAIMS = bytes.fromhex(
    "a4"  # four claims
    "06 1a 6920b000"  # iat 1763749888
    "07 48 00000002 00000007"  # cti: epoch 2, seq 7
    "19 0108 a4"  # location
    "01 fb 40493999999999 9a"  # 50.45
    "02 fb c03e86666666 6666"  # -30.525
    "04 0c 09 03"  # 12 m, 3 s
    "3a 00010000 a4"  # -65537
    "00 01 02 19 0f3c 04 85 18 ff 01 19 1234 1a 00abcdef 38 60 06 03".replace("\n", "")
)
HAND_HEAD = bytes.fromhex("d83d d1 84 4e a2 01 05 04 49 0123456789abcdef01 a0")


def _mac(protected: bytes, payload: bytes, key: bytes = UP_KEY) -> bytes:
    structure = b"\x84\x64MAC0" + cbor2.dumps(protected) + b"\x40" + cbor2.dumps(payload)
    return hmac.digest(key, structure, hashlib.sha256)


def _by_hand(payload: bytes = HAND_CLAIMS) -> bytes:
    return HAND_HEAD + cbor2.dumps(payload) + b"\x58\x20" + _mac(HAND_HEAD[5:19], payload)


def _reason(data: bytes, key: bytes = UP_KEY, kid: bytes | None = KID) -> str:
    with pytest.raises(TokenError) as caught:
        token.verify(data, key, kid)
    return caught.value.reason


def test_a_message_written_by_hand_is_read() -> None:
    assert token.verify(_by_hand(), UP_KEY, KID) == Claims(
        kind=1,
        cti=cti(2, 7),
        iat=1763749888,
        place=Place(504500000, -305250000, 12, 3),
        battery_mv=3900,
        cell=(255, 1, 0x1234, 0xABCDEF, -97),
        presses=3,
    )


def test_sealing_gives_the_bytes_written_by_hand() -> None:
    claims = cbor2.loads(HAND_CLAIMS)
    assert token.seal(claims, UP_KEY, KID) == _by_hand()


def test_any_cwt_library_reads_what_the_desk_seals() -> None:
    sealed = token.seal(token.ack(cti(1, 2), b"digest..", 3, 2, b"nonce...", 1763749888), UP_KEY, KID)
    key = cwt.COSEKey.from_symmetric_key(UP_KEY, alg="HMAC 256/256", kid=KID)
    body = {0: 32, 1: cti(1, 2), 2: b"digest..", 3: 3, 4: b"nonce...", 9: 2}
    assert cwt.decode(sealed, key) == {6: 1763749888, -65537: body}


def test_the_protocols_vectors_are_read_as_they_are_written() -> None:
    vectors = json.loads((Path(__file__).parent / "vectors" / "protocol.json").read_text())
    keys = {name: bytes.fromhex(key) for name, key in vectors["keys"].items()}
    kid = bytes.fromhex(vectors["kid"])
    registration = parse_registration(
        tags.registration(
            {"tag": vectors["id"], "root": vectors["root"], "generation": vectors["generation"]}
        )
    )
    assert {name: getattr(registration, name) for name in keys} == keys
    assert registration.kid == kid
    for message in vectors["up"]:
        sealed = bytes.fromhex(message["token"])
        claims = token.verify(sealed, keys["up"], kid)
        assert (claims.kind, claims.cti.hex()) == (message["kind"], message["cti"])
        assert token.digest(sealed).hex() == message["digest"]
        place = message.get("location")
        assert (claims.place and (claims.place.lat_e7, claims.place.lon_e7)) == (
            place and (place["lat_e7"], place["lon_e7"])
        )
    for message in vectors["down"]:
        sealed = bytes.fromhex(message["token"])
        assert token.seal(token.open_token(sealed, keys["down"], kid), keys["down"], kid) == sealed


def test_every_flipped_bit_is_refused() -> None:
    good = _by_hand()
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert _reason(bytes(bad)) in {"shape", "kid", "mac"}


def test_every_cut_is_refused() -> None:
    good = _by_hand()
    assert {_reason(good[:length]) for length in range(len(good))} == {"size", "shape"}


def _payload(top: dict, up: dict | None = None) -> bytes:
    return cbor2.dumps({7: cti(1, 1), **top, -65537: {0: 1, **(up or {})}})


_ENVELOPES = {
    "bytes left over": (_by_hand() + b"\x00", "shape"),
    "another tag than 61": (b"\xd8\x3e" + _by_hand()[2:], "shape"),
    "another tag than 17": (_by_hand()[:2] + b"\xd2" + _by_hand()[3:], "shape"),
    "no tag 61": (_by_hand()[2:], "shape"),
    "tag 61 in three bytes": (b"\xd9\x00\x3d" + _by_hand()[2:], "shape"),
    "five items": (_by_hand()[:3] + b"\x85" + _by_hand()[4:] + b"\x00", "shape"),
    "an array without end": (_by_hand()[:3] + b"\x9f" + _by_hand()[4:] + b"\xff", "shape"),
    "HMAC 256/64": (_by_hand().replace(b"\xa2\x01\x05", b"\xa2\x01\x04"), "shape"),
    "an unprotected header": (_by_hand().replace(b"\x01\xa0\x58", b"\x01\xa1\x04\x40\x58"), "shape"),
    "a kid of 8 bytes": (
        _by_hand().replace(b"\x4e\xa2\x01\x05\x04\x49\x01", b"\x4d\xa2\x01\x05\x04\x48"),
        "shape",
    ),
    "a claims length that is not shortest": (
        HAND_HEAD + b"\x59" + len(HAND_CLAIMS).to_bytes(2, "big") + HAND_CLAIMS + _by_hand()[-34:],
        "shape",
    ),
    "claims shorter than their length": (_by_hand().replace(b"\x58\x4a\xa4", b"\x58\x4b\xa4"), "shape"),
    "a mac of 16 bytes": (_by_hand()[:-34] + b"\x50" + bytes(16), "shape"),
    "nothing": (b"", "size"),
    "too much": (bytes(token.MAX_TOKEN_BYTES + 1), "size"),
}


@pytest.mark.parametrize(("data", "reason"), _ENVELOPES.values(), ids=_ENVELOPES)
def test_another_envelope_is_refused(data: bytes, reason: str) -> None:
    assert data != _by_hand()
    assert _reason(data) == reason


_CLAIMS = {
    "not CBOR": (b"\xff", "encoding"),
    "cut": (HAND_CLAIMS[:-1], "encoding"),
    "bytes left over": (HAND_CLAIMS + b"\x00", "encoding"),
    "an integer not in its shortest form": (HAND_CLAIMS.replace(b"\x04\x0c", b"\x04\x18\x0c"), "encoding"),
    "a map without end": (b"\xbf" + HAND_CLAIMS[1:] + b"\xff", "encoding"),
    "keys out of order": (cbor2.dumps({-65537: {0: 1}, 7: cti(1, 1)}), "encoding"),
    "inner keys out of order": (cbor2.dumps({7: cti(1, 1), -65537: {3: 1, 0: 1}}), "encoding"),
    "a key twice": (
        b"\xa3\x07\x48" + cti(1, 1) + b"\x07\x48" + cti(1, 1) + cbor2.dumps(-65537) + b"\xa1\x00\x01",
        "encoding",
    ),
    "a float in 32 bits": (
        b"\xa3\x07\x48" + cti(1, 1) + b"\x19\x01\x08\xa2\x01\xfa\x42\x49\xcc\xcd\x02\xfa\x41\xf4\x2f\xec"
        b"\x3a\x00\x01\x00\x00\xa1\x00\x01",
        "encoding",
    ),
    "not a map": (cbor2.dumps([1]), "claims"),
    "a date": (_payload({6: 1}).replace(b"\x06\x01", b"\x06\xc1\x01"), "encoding"),
    "no cti": (cbor2.dumps({-65537: {0: 1}}), "claims"),
    "no obereg map": (cbor2.dumps({7: cti(1, 1)}), "claims"),
    "no kind": (cbor2.dumps({7: cti(1, 1), -65537: {}}), "claims"),
    "kind 0": (_payload({}, {0: 0}), "claims"),
    "kind 8": (_payload({}, {0: 8}), "claims"),
    "kind true": (_payload({}, {0: True}), "claims"),
    "a downward kind": (_payload({}, {0: 32}), "claims"),
    "an unknown claim": (cbor2.dumps({4: 1, 7: cti(1, 1), -65537: {0: 1}}), "claims"),
    "an unknown key": (_payload({}, {9: 1}), "claims"),
    "a negative iat": (cbor2.dumps({6: -1, 7: cti(1, 1), -65537: {0: 1}}), "claims"),
    "a cti of 7 bytes": (cbor2.dumps({7: bytes(7), -65537: {0: 1}}), "claims"),
    "a cti as text": (cbor2.dumps({7: "12345678", -65537: {0: 1}}), "claims"),
    "flags as text": (_payload({}, {3: "1"}), "claims"),
    "a cell of four": (_payload({}, {4: [255, 1, 2, 3]}), "claims"),
    "a nonce of 9 bytes": (_payload({}, {5: bytes(9)}), "claims"),
    "a text of 65 bytes": (_payload({}, {7: "x" * 65}), "claims"),
    "latitude as an integer": (_payload({264: {1: 50, 2: 30.5}}), "claims"),
    "no longitude": (_payload({264: {1: 50.5}}), "claims"),
    "a place in a heartbeat": (_payload({264: {1: 50.5, 2: 30.5}}, {0: 4}), "claims"),
    "a cell in a heartbeat": (_payload({}, {0: 4, 4: [1, 2, 3, 4, 5]}), "claims"),
}


@pytest.mark.parametrize(("payload", "reason"), _CLAIMS.values(), ids=_CLAIMS)
def test_a_right_mac_does_not_excuse_wrong_claims(payload: bytes, reason: str) -> None:
    assert _reason(_by_hand(payload)) == reason


def test_a_place_outside_the_earth_is_dropped_and_the_alert_stands() -> None:
    claims = token.verify(_by_hand(_payload({264: {1: 91.0, 2: 30.5}})), UP_KEY, KID)
    assert (claims.kind, claims.place) == (1, None)


def test_a_key_of_the_other_direction_opens_nothing() -> None:
    tag = KeyTag()
    sealed = token.seal(
        token.state_ack(cti(1, 1), bytes(8), bytes(8), 1), tag.registration.down, tag.registration.kid
    )
    assert _reason(sealed, tag.registration.up, tag.registration.kid) == "mac"


def test_another_tags_kid_is_refused_before_the_mac() -> None:
    assert _reason(_by_hand(), kid=KeyTag().registration.kid) == "kid"
    assert token.verify(_by_hand(), UP_KEY, None).kind == 1


def test_the_largest_unsigned_integers_are_taken() -> None:
    claims = token.verify(_by_hand(_payload({}, {2: 2**64 - 1, 6: 2**64 - 1, 8: 2**64 - 1})), UP_KEY, KID)
    assert claims.battery_mv == claims.presses == claims.rev == 2**63 - 1


def test_noise_gives_token_errors_only() -> None:
    """20,000 random, cut and changed inputs, half of them with a right mac over what was changed."""
    rng = random.Random(20261121)
    tag = KeyTag()
    good = [_by_hand(), _by_hand(_payload({264: KYIV}, {7: "x", 8: 1})), tag.say(4, 1)]
    refused = 0
    for number in range(20_000):
        data = bytearray(rng.choice(good)) if number % 4 else bytearray(rng.randbytes(rng.randrange(200)))
        if number % 2:  # change the claims, and seal them again: what a tag with a bug would send
            payload = bytearray(HAND_CLAIMS)
            for _ in range(rng.randrange(1, 4)):
                payload[rng.randrange(len(payload))] = rng.randrange(256)
            data = bytearray(
                _by_hand(bytes(payload[: rng.randrange(1, len(payload) + 1)] if number % 3 else payload))
            )
        else:
            for _ in range(rng.randrange(1, 4)):
                if data:
                    data[rng.randrange(len(data))] = rng.randrange(256)
            data = data[: rng.randrange(len(data) + 1)] if number % 3 else data
        try:
            assert isinstance(token.verify(bytes(data), UP_KEY, None), Claims)
        except TokenError:
            refused += 1
    assert 15_000 < refused < 20_000
