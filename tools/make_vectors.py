"""
Write the protocol's test vectors, tests/host/vectors/protocol.json, and the text of docs/protocol.md section 9.

    python -m tools.make_vectors               # write the JSON
    python -m tools.make_vectors --markdown    # print section 9

Nothing of the firmware or the desk takes part: the keys come from `cryptography`, the tokens from `cwt`, the CBOR
from `cbor2`. The secrets are fixed and of no use to anybody. The JSON holds no floats: degrees are integers, 10**-7.
"""

import hashlib
import json
import struct
import sys
import textwrap
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cwt import COSE, COSEKey

PATH = Path(__file__).parent.parent / "tests/host/vectors/protocol.json"
TAG_ID = bytes.fromhex("0123456789abcdef")
ROOT = bytes(range(32))
GENERATION = 1
NOW_S = 1790000000  # 2026-09-21
NONCE = "a1b2c3d4e5f60718"


def place(lat_e7: int, lon_e7: int, accuracy_m: int, age_s: int) -> dict[str, int]:
    return {"lat_e7": lat_e7, "lon_e7": lon_e7, "accuracy_m": accuracy_m, "age_s": age_s}


def up(name: str, kind: int, seq: int, iat_s: int | None = NOW_S, **said: Any) -> dict[str, Any]:
    """A message of the tag's second start, in the words of firmware/alert.py; bytes are hex."""
    return {"name": name, "kind": kind, "cti": f"00000002{seq:08x}", "iat_s": iat_s, **said}


def down(name: str, kind: int, of: str, **said: Any) -> dict[str, Any]:
    """What the desk says of the message whose cti is `of`."""
    return {"name": name, "kind": kind, "iat_s": NOW_S + 2, "of": of, "nonce": NONCE, **said}


ALERT, CANCEL, UPDATE, HEARTBEAT, SELF_TEST, LAST_GASP, LINK_LOST = range(1, 8)
ACK, COMMAND, STATE_ACK = range(32, 35)
KYIV = place(504501234, 305234567, 12, 3)
FIRST = "0000000200000007"
BEAT = "000000020000000f"

UP = [
    up("alert with a fix", ALERT, 7, location=KYIV, battery_mv=3912),
    up("alert with a fix and the desk's nonce", ALERT, 8, location=KYIV, battery_mv=3912, nonce=NONCE),
    up("alert without a fix", ALERT, 0x17, battery_mv=3912),
    up("alert before anybody has said the time", ALERT, 0x18, iat_s=None),
    up(
        "alert with everything",
        ALERT,
        0xFFFFFFFF,
        iat_s=4294967296,
        location=place(-337654321, -706543210, 151, 601),
        battery_mv=65535,
        flags=25,
        cell=[255, 1, 4660, 11259375, -97],
        nonce=NONCE,
        presses=300,
        rev=4294967295,
    ),
    up(
        "update of a place",
        UPDATE,
        9,
        incident=FIRST,
        location=place(504501300, 305234500, 30, 3),
        nonce=NONCE,
        presses=2,
        rev=1,
    ),
    up(
        "another press, south-west of nowhere",
        UPDATE,
        10,
        incident=FIRST,
        location=place(-1, -1, 8, 0),
        presses=3,
    ),
    up(
        "self-test at the south pole, on the date line",
        SELF_TEST,
        11,
        location=place(-900000000, 1800000000, 0, 0),
    ),
    up(
        "update at the north pole",
        UPDATE,
        12,
        incident=FIRST,
        location=place(900000000, -1800000000, 150, 600),
    ),
    up("update at Greenwich, on the equator", UPDATE, 13, incident=FIRST, location=place(0, 0, 1000, 0)),
    up("cancel", CANCEL, 14, incident=FIRST, nonce=NONCE, rev=2),
    up("heartbeat", HEARTBEAT, 15, battery_mv=4105, nonce=NONCE, text="start: power on"),
    up(
        "heartbeat whose text is cut at 64 bytes",
        HEARTBEAT,
        16,
        battery_mv=4105,
        flags=16,
        text="x" + "Оберег " * 9,
    ),
    up("last gasp", LAST_GASP, 17, battery_mv=3300),
    up("will", LINK_LOST, 18, nonce=NONCE, flags=8),
]
DOWN = [
    down("received", ACK, FIRST, level=1, rev=1),
    down("seen", ACK, FIRST, level=2, rev=2),
    down("coming", ACK, FIRST, level=3, rev=3),
    down("declined", ACK, FIRST, level=5, rev=4),
    down("closed", ACK, FIRST, level=4, rev=4294967295),
    down("ack of a heartbeat", STATE_ACK, BEAT),
    down("command, which version 1 refuses", COMMAND, BEAT, command=1, arguments=[1, "x"], counter=24),
]


def in_order(value: Any) -> Any:
    """`value` with its map keys in the order of their encodings; cbor2 does the rest: shortest integers, binary64."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


def up_claims(message: dict[str, Any]) -> dict[int, Any]:
    """The claims of section 4."""
    at = message.get("location")
    iat_s = message["iat_s"]
    flags = message.get("flags", 0) | (0 if iat_s else 4)
    claims: dict[int, Any] = {7: bytes.fromhex(message["cti"])}
    if iat_s:
        claims[6] = iat_s
    if at:
        # True division of integers gives the nearest double.
        claims[264] = {1: at["lat_e7"] / 10**7, 2: at["lon_e7"] / 10**7, 4: at["accuracy_m"]}
        if at["age_s"]:
            claims[264][9] = at["age_s"]
        flags |= 2 if at["accuracy_m"] > 150 or at["age_s"] > 600 else 0
    said: dict[int, Any] = {0: message["kind"]}
    if flags:
        said[3] = flags
    for key, name in {1: "incident", 2: "battery_mv", 4: "cell", 5: "nonce", 6: "presses", 8: "rev"}.items():
        if name in message:
            said[key] = bytes.fromhex(message[name]) if key in (1, 5) else message[name]
    if "text" in message:
        said[7] = message["text"].encode()[:64].decode(errors="ignore")
    return {**claims, -65537: said}


def down_claims(message: dict[str, Any]) -> dict[int, Any]:
    """The claims of section 5."""
    said = {0: message["kind"], 1: bytes.fromhex(message["of"]), 4: bytes.fromhex(message["nonce"])}
    if message["kind"] != COMMAND:
        said[2] = bytes.fromhex(message["of_digest"])
    for key, name in {3: "level", 5: "command", 6: "arguments", 8: "counter", 9: "rev"}.items():
        if name in message:
            said[key] = message[name]
    return {6: message["iat_s"], -65537: said}


def derive(use: str) -> bytes:
    """A key of section 2."""
    return HKDF(algorithm=SHA256(), length=32, salt=TAG_ID, info=f"obereg/1 {use}".encode()).derive(ROOT)


def sealed(message: dict[str, Any], claims: dict[int, Any], key: bytes) -> dict[str, Any]:
    """`message` with its bytes, as hex, at each step of section 3."""
    kid = TAG_ID + bytes([GENERATION])
    protected = cbor2.dumps({1: 5, 4: kid})
    payload = cbor2.dumps(in_order(claims))
    cose_key = COSEKey.from_symmetric_key(key, alg="HMAC 256/256", kid=kid)
    mac0 = COSE.new().encode_and_mac(payload, cose_key, protected={1: 5, 4: kid})
    token = b"\xd8\x3d" + bytes(mac0)
    return {
        **message,
        "claims": payload.hex(),
        "mac_structure": cbor2.dumps(["MAC0", protected, b"", payload]).hex(),
        "token": token.hex(),
        "digest": hashlib.sha256(token).hexdigest()[:16],
    }


def make() -> dict[str, Any]:
    """Everything that the JSON holds."""
    keys = {use: derive(use) for use in ("up", "down", "broker")}
    ups = [sealed(message, up_claims(message), keys["up"]) for message in UP]
    digests = {message["cti"]: bytes.fromhex(message["digest"]) for message in ups}
    downs = [
        sealed(message, down_claims(message), keys["down"])
        for message in [{**message, "of_digest": digests[message["of"]].hex()} for message in DOWN]
    ]
    return {
        "id": TAG_ID.hex(),
        "root": ROOT.hex(),
        "generation": GENERATION,
        "kid": (TAG_ID + bytes([GENERATION])).hex(),
        "keys": {use: key.hex() for use, key in keys.items()},
        "up": ups,
        "down": downs,
    }


def markdown(vectors: dict[str, Any]) -> str:
    """Section 9 of docs/protocol.md."""
    rows = [("id", vectors["id"]), ("root", vectors["root"]), ("generation", str(vectors["generation"]))]
    rows += [(f"key `{use}`", key) for use, key in vectors["keys"].items()] + [("kid", vectors["kid"])]
    alert, coming = vectors["up"][0], vectors["down"][2]
    at = alert["location"]
    latitude, longitude = (struct.pack(">d", at[name] / 10**7).hex() for name in ("lat_e7", "lon_e7"))
    lines = [
        "## 9. Test vectors",
        "",
        *textwrap.wrap(
            "In `tests/host/vectors/protocol.json`, made by `tools/make_vectors.py` from other people's code "
            "(`cryptography`, `cwt`, `cbor2`) and checked by `tests/host/test_vectors.py` against `firmware/`, `cwt` "
            f"and this page: {len(vectors['up'])} messages up, {len(vectors['down'])} down. All values are hex unless "
            "they are plainly numbers. The secrets are for tests only.",
            width=116,
        ),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | `{value}` |" for name, value in rows),
        "",
        f"**Up: {alert['name']}.** iat {alert['iat_s']}, cti `{alert['cti']}`, latitude {at['lat_e7']} · 10⁻⁷° "
        f"(`{latitude}`),",
        f"longitude {at['lon_e7']} · 10⁻⁷° (`{longitude}`), accuracy {at['accuracy_m']} m, age {at['age_s']} s, "
        f"battery {alert['battery_mv']} mV.",
        *example(alert),
        f"**Down: {coming['name']}**, said of that alert. iat {coming['iat_s']}, level {coming['level']}, "
        f"nonce `{coming['nonce']}`, rev {coming['rev']}.",
        *example(coming),
    ]
    return "\n".join(lines).rstrip() + "\n"


def example(message: dict[str, Any]) -> list[str]:
    """One message's bytes, as lines."""
    lines = ["", "```"]
    for name in ("claims", "mac_structure", "token", "digest"):
        label = f"{name.replace('mac_structure', 'mac over')} "
        wrapped = textwrap.wrap(message[name], 96)
        lines += [f"{label if n == 0 else '':10}{part}" for n, part in enumerate(wrapped)]
    return [*lines, f"{len(message['token']) // 2} bytes", "```", ""]


def text(vectors: dict[str, Any]) -> str:
    """The JSON as it is kept."""
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> None:
    if arguments == ["--markdown"]:
        print(markdown(make()), end="")
    elif arguments:
        raise SystemExit("usage: python -m tools.make_vectors [--markdown]")
    else:
        PATH.parent.mkdir(parents=True, exist_ok=True)
        PATH.write_text(text(make()))
        print(f"wrote {PATH.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
