"""HMAC and HKDF against the RFCs' own vectors and `cryptography`."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hkdf import equal, hkdf_sha256, hmac_sha256
from hypothesis import given
from hypothesis import strategies as st

# RFC 4231, sections 4.2 to 4.8 without the truncated one
HMAC_VECTORS = [
    ("0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe".hex(),
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    ("aa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        "aa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]

# RFC 5869, appendix A: root, salt, info, length, result
HKDF_VECTORS = [
    pytest.param(
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        id="A.1",
    ),
    pytest.param(
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        82,
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        id="A.2",
    ),
    pytest.param(
        "0b" * 22,
        "",
        "",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        id="A.3",
    ),
]


@pytest.mark.parametrize(("key", "message", "mac"), HMAC_VECTORS)
def test_hmac_gives_the_bytes_of_rfc_4231(key: str, message: bytes, mac: str) -> None:
    assert hmac_sha256(bytes.fromhex(key), message).hex() == mac


@pytest.mark.parametrize(("root", "salt", "info", "length", "result"), HKDF_VECTORS)
def test_hkdf_gives_the_bytes_of_rfc_5869(root: str, salt: str, info: str, length: int, result: str) -> None:
    root_b, salt_b, info_b = (bytes.fromhex(part) for part in (root, salt, info))
    assert hkdf_sha256(root_b, salt_b, info_b, length).hex() == result


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_hmac_is_that_of_cpython(key: bytes, message: bytes) -> None:
    assert hmac_sha256(key, message) == hmac.digest(key, message, hashlib.sha256)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128])
def test_hmac_keys_around_the_block_size(size: int) -> None:
    assert hmac_sha256(b"k" * size, b"m") == hmac.digest(b"k" * size, b"m", hashlib.sha256)


@given(
    st.binary(min_size=1, max_size=80), st.binary(max_size=80), st.binary(max_size=80), st.integers(1, 200)
)
def test_hkdf_is_that_of_cryptography(root: bytes, salt: bytes, info: bytes, length: int) -> None:
    expected = HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(root)
    assert hkdf_sha256(root, salt, info, length) == expected


def test_equal_sees_every_bit_and_every_length() -> None:
    mac = bytes(range(32))
    assert equal(mac, bytes(mac))
    assert equal(b"", b"")
    assert not equal(mac, mac[:-1])
    assert not equal(mac, mac + b"\0")
    for bit in range(256):
        other = bytearray(mac)
        other[bit // 8] ^= 1 << bit % 8
        assert not equal(mac, bytes(other))
    # Differences do not cancel each other out.
    assert not equal(b"\0\0", b"\1\1")


class Counted(bytes):
    """Bytes that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, at):
        Counted.looks += 1
        return super().__getitem__(at)


def test_equal_looks_at_every_byte_wherever_the_first_difference_is() -> None:
    for at in (0, 15, 31):
        Counted.looks = 0
        other = bytearray(32)
        other[at] = 1
        assert not equal(Counted(bytes(32)), bytes(other))
        assert Counted.looks == 32
