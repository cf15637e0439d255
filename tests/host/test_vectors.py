"""
The protocol's vectors, made by other people's code, against the firmware, `cwt` and the page of the protocol.

Any of the three that moves alone turns this red.
"""

import json
import re
from pathlib import Path
from typing import Any

import alert
import cbor2
import cwt
import envelope
import identity
import pytest
from alert import Ack
from cryptography.hazmat.primitives import hashes, hmac
from cwt import COSEKey

from tests.host.replay import up_claims
from tools import make_vectors

ROOT = Path(__file__).parents[2]
VECTORS: dict[str, Any] = json.loads(make_vectors.PATH.read_text())
KID = bytes.fromhex(VECTORS["kid"])
KEYS = {use: bytes.fromhex(key) for use, key in VECTORS["keys"].items()}
UP = [pytest.param(message, id=message["name"]) for message in VECTORS["up"]]
DOWN = [pytest.param(message, id=message["name"]) for message in VECTORS["down"]]


def test_the_file_is_what_its_tool_makes() -> None:
    assert make_vectors.PATH.read_text() == make_vectors.text(make_vectors.make())


def test_the_tool_knows_nothing_of_the_firmware_nor_of_the_desk() -> None:
    source = Path(make_vectors.__file__).read_text()
    assert set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE)) == {
        *("hashlib", "json", "struct", "sys", "textwrap", "pathlib", "typing"),
        *("cbor2", "cryptography", "cwt"),
    }


def test_no_number_in_the_file_is_a_float() -> None:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is a float")

    json.loads(make_vectors.PATH.read_text(), parse_float=refuse)


def test_there_are_vectors_for_every_kind_and_every_level() -> None:
    assert {message["kind"] for message in VECTORS["up"]} == {1, 2, 3, 4, 5, 6, 7}
    assert {message["kind"] for message in VECTORS["down"]} == {32, 33, 34}
    assert {message.get("level") for message in VECTORS["down"]} == {1, 2, 3, 4, 5, None}
    said = set().union(*VECTORS["up"])
    assert said >= {"iat_s", "location", "incident", "battery_mv", "flags", "cell"}
    assert said >= {"nonce", "presses", "text", "rev"}
    names = [message["name"] for message in VECTORS["up"] + VECTORS["down"]]
    assert len(names) == len(set(names))
    ids = [message["cti"] for message in VECTORS["up"]]
    assert len(ids) == len(set(ids))


def test_the_keys_are_derived_from_the_root() -> None:
    me = identity.derive(bytes.fromhex(VECTORS["id"]), bytes.fromhex(VECTORS["root"]), VECTORS["generation"])
    assert me == (VECTORS["id"], KID, KEYS["up"], KEYS["down"], VECTORS["keys"]["broker"])
    assert len({*KEYS.values()}) == 3


@pytest.mark.parametrize("message", UP)
def test_the_firmware_says_exactly_these_bytes(message: dict) -> None:
    token = envelope.seal(up_claims(message), KEYS["up"], KID)
    assert token.hex() == message["token"]
    assert message["claims"] in message["token"]
    assert envelope.digest(token).hex() == message["digest"]


@pytest.mark.parametrize("message", DOWN)
def test_the_firmware_understands_what_the_desk_says(message: dict) -> None:
    ack = alert.parse_down(envelope.open(bytes.fromhex(message["token"]), KEYS["down"], KID))
    of, digest, nonce = (bytes.fromhex(message[name]) for name in ("of", "of_digest", "nonce"))
    if message["kind"] == 33:
        assert ack.level is None
    else:
        assert ack == Ack(message["iat_s"], of, digest, message.get("level", 0), message.get("rev", 0), nonce)


@pytest.mark.parametrize(
    ("message", "use"), [(m.values[0], "up") for m in UP] + [(m.values[0], "down") for m in DOWN]
)
def test_cwt_and_hmac_say_so_too(message: dict, use: str) -> None:
    token = bytes.fromhex(message["token"])
    claims = cwt.decode(token, COSEKey.from_symmetric_key(KEYS[use], alg="HMAC 256/256", kid=KID))
    assert claims == cbor2.loads(bytes.fromhex(message["claims"]))
    mac = hmac.HMAC(KEYS[use], hashes.SHA256())
    mac.update(bytes.fromhex(message["mac_structure"]))
    mac.verify(token[-32:])


@pytest.mark.parametrize("message", UP)
def test_the_positions_are_the_nearest_doubles(message: dict) -> None:
    """Read back by cbor2, the double is what CPython's own parser makes of the decimal fraction."""
    place = cbor2.loads(bytes.fromhex(message["claims"])).get(264)
    assert (place is None) == ("location" not in message)
    if place:
        for key, name in ((1, "lat_e7"), (2, "lon_e7")):
            e7 = message["location"][name]
            assert place[key] == float(f"{'-' if e7 < 0 else ''}{abs(e7) // 10**7}.{abs(e7) % 10**7:07}")


@pytest.mark.parametrize(
    ("message", "other"), [(m.values[0], "down") for m in UP] + [(m.values[0], "up") for m in DOWN]
)
def test_nothing_said_one_way_can_be_played_back_the_other(message: dict, other: str) -> None:
    with pytest.raises(envelope.EnvelopeError, match="wrong MAC"):
        envelope.open(bytes.fromhex(message["token"]), KEYS[other], KID)


def section_9() -> str:
    page = (ROOT / "docs/protocol.md").read_text()
    return page[page.index("## 9. Test vectors") :]


def test_the_page_shows_these_keys_and_examples() -> None:
    assert section_9() == make_vectors.markdown(VECTORS)


def test_the_examples_of_the_page_are_whole() -> None:
    """Put together again from their lines, as a reader of the page would."""
    examples = re.findall(r"```\n(.*?)```", make_vectors.markdown(VECTORS), re.DOTALL)
    for example, message in zip(examples, (VECTORS["up"][0], VECTORS["down"][2]), strict=True):
        *lines, size = example.splitlines()
        assert "".join(line[10:] for line in lines) == "".join(
            message[name] for name in ("claims", "mac_structure", "token", "digest")
        )
        assert [line[:10].strip() for line in lines if line[0] != " "] == [
            "claims",
            "mac over",
            "token",
            "digest",
        ]
        assert size == f"{len(message['token']) // 2} bytes"
