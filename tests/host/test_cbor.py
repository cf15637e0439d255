"""Deterministic CBOR: the same bytes as cbor2, binary64 by integers alone, and nothing else let in."""

import math
import struct
import tracemalloc
from fractions import Fraction
from typing import Any

import cbor
import cbor2
import pytest
from cbor import CBORError, Float64, Tag, decode, encode, float64
from hypothesis import given
from hypothesis import strategies as st


def in_order(value: Any) -> Any:
    """`value` as cbor2 knows it, its maps in the order of RFC 8949 section 4.2.1."""
    if isinstance(value, Tag):
        return cbor2.CBORTag(value.number, in_order(value.value))
    if isinstance(value, Float64):
        return struct.unpack(">d", value.raw)[0]
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


# RFC 8949 appendix A, as far as this subset goes; and what the protocol adds.
VECTORS = [
    pytest.param(0, "00", id="0"),
    pytest.param(23, "17", id="23"),
    pytest.param(24, "1818", id="24"),
    pytest.param(255, "18ff", id="255"),
    pytest.param(256, "190100", id="256"),
    pytest.param(65535, "19ffff", id="65535"),
    pytest.param(65536, "1a00010000", id="65536"),
    pytest.param(4294967295, "1affffffff", id="2**32-1"),
    pytest.param(1000000000000, "1b000000e8d4a51000", id="10**12"),
    pytest.param(18446744073709551615, "1bffffffffffffffff", id="2**64-1"),
    pytest.param(-1, "20", id="-1"),
    pytest.param(-24, "37", id="-24"),
    pytest.param(-25, "3818", id="-25"),
    pytest.param(-65537, "3a00010000", id="-65537"),
    pytest.param(-18446744073709551616, "3bffffffffffffffff", id="-2**64"),
    pytest.param(False, "f4", id="false"),
    pytest.param(True, "f5", id="true"),
    pytest.param(None, "f6", id="null"),
    pytest.param(Float64(b"\x3f\xf1\x99\x99\x99\x99\x99\x9a"), "fb3ff199999999999a", id="1.1"),
    pytest.param(Float64(bytes(8)), "fb0000000000000000", id="0.0, never shortened"),
    pytest.param(b"", "40", id="no bytes"),
    pytest.param(b"\1\2\3\4", "4401020304", id="bytes"),
    pytest.param(b"x" * 24, "5818" + "78" * 24, id="24 bytes"),
    pytest.param("", "60", id="no text"),
    pytest.param("水", "63e6b0b4", id="text"),
    pytest.param([], "80", id="no items"),
    pytest.param([1, [2, 3], [4, 5]], "8301820203820405", id="lists"),
    pytest.param({}, "a0", id="no pairs"),
    pytest.param({"a": 1, "b": [2, 3]}, "a26161016162820203", id="map"),
    pytest.param({264: 1, 7: 2, -65537: 3, 6: 4}, "a406040702190108013a0001000003", id="keys by their bytes"),
    pytest.param({"aa": 1, "b": 2, b"": 3, 100: 4, -1: 5}, "a51864042005400361620262616101", id="mixed keys"),
    pytest.param(Tag(61, Tag(17, [])), "d83dd180", id="tags"),
]


@pytest.mark.parametrize(("value", "data"), VECTORS)
def test_exact_bytes_both_ways(value: object, data: str) -> None:
    assert encode(value).hex() == data
    decoded = decode(bytes.fromhex(data))
    assert decoded == value
    assert type(decoded) is type(value)
    assert cbor2.dumps(in_order(value)).hex() == data


@pytest.mark.parametrize(("value", "data"), VECTORS)
def test_every_prefix_is_refused(value: object, data: str) -> None:
    whole = bytes.fromhex(data)
    for end in range(len(whole)):
        with pytest.raises(CBORError, match="cut short"):
            decode(whole[:end])


@pytest.mark.parametrize(("value", "data"), VECTORS)
def test_one_byte_more_is_refused(value: object, data: str) -> None:
    with pytest.raises(CBORError, match="1 bytes left over"):
        decode(bytes.fromhex(data) + b"\0")


MALFORMED = [
    pytest.param("", "cut short", id="nothing"),
    pytest.param("1817", "shortest", id="23 in two bytes"),
    pytest.param("1900ff", "shortest", id="255 in three bytes"),
    pytest.param("1a0000ffff", "shortest", id="65535 in five bytes"),
    pytest.param("1b00000000ffffffff", "shortest", id="2**32-1 in nine bytes"),
    pytest.param("3817", "shortest", id="-24 in two bytes"),
    pytest.param("5801ff", "shortest", id="a byte string's length"),
    pytest.param("780161", "shortest", id="a text's length"),
    pytest.param("980100", "shortest", id="a list's count"),
    pytest.param("b8010000", "shortest", id="a map's count"),
    pytest.param("d81100", "shortest", id="a tag's number"),
    pytest.param("1c", "reserved", id="reserved 28"),
    pytest.param("1d", "reserved", id="reserved 29"),
    pytest.param("1e", "reserved", id="reserved 30"),
    pytest.param("1f", "indefinite", id="indefinite integer"),
    pytest.param("5f4100ff", "indefinite", id="indefinite bytes"),
    pytest.param("7f6161ff", "indefinite", id="indefinite text"),
    pytest.param("9f00ff", "indefinite", id="indefinite list"),
    pytest.param("bf0000ff", "indefinite", id="indefinite map"),
    pytest.param("ff", "simple", id="break alone"),
    pytest.param("f7", "simple", id="undefined"),
    pytest.param("e0", "simple", id="simple 0"),
    pytest.param("f3", "simple", id="simple 19"),
    pytest.param("f820", "simple", id="simple in two bytes"),
    pytest.param("f97e00", "simple", id="half float"),
    pytest.param("fa3f800000", "simple", id="single float"),
    pytest.param("fc", "simple", id="reserved simple"),
    pytest.param("a200000000", "out of order or twice", id="key twice"),
    pytest.param("a201000000", "out of order or twice", id="keys the wrong way round"),
    pytest.param("a220000000", "out of order or twice", id="-1 before 0"),
    pytest.param("a262616100616200", "out of order or twice", id="the longer key first"),
    pytest.param("a1f400", "key", id="false as a key"),
    pytest.param("a1f500", "key", id="true as a key"),
    pytest.param("a1f600", "key", id="null as a key"),
    pytest.param("a18000", "key", id="a list as a key"),
    pytest.param("a1a000", "key", id="a map as a key"),
    pytest.param("a1c10000", "key", id="a tag as a key"),
    pytest.param("a1fb000000000000000000", "key", id="a float as a key"),
    pytest.param("61ff", "UTF-8", id="ff in a text"),
    pytest.param("61c3", "UTF-8", id="half a character"),
    pytest.param("5affffffff00", "cut short", id="4 GB of bytes"),
    pytest.param("5bffffffffffffffff00", "cut short", id="2**64-1 bytes"),
    pytest.param("7b7fffffffffffffff61", "cut short", id="2**63-1 bytes of text"),
    pytest.param("9affffffff00", "cut short", id="4 G of items"),
    pytest.param("9bffffffffffffffff00", "cut short", id="2**64-1 items"),
    pytest.param("bbffffffffffffffff0000", "cut short", id="2**64-1 pairs"),
    pytest.param("81" * 9 + "00", "too deep", id="nine lists"),
    pytest.param("a100" * 9 + "00", "too deep", id="nine maps"),
    pytest.param("c1" * 9 + "00", "too deep", id="nine tags"),
    pytest.param("81" * 5000 + "00", "too deep", id="more lists than a stack holds"),
]


@pytest.mark.parametrize(("data", "reason"), MALFORMED)
def test_malformed_input_is_refused_with_its_reason(data: str, reason: str) -> None:
    with pytest.raises(CBORError, match=reason):
        decode(bytes.fromhex(data))


def test_eight_levels_are_read() -> None:
    assert decode(b"\x81" * 8 + b"\0") == [[[[[[[[0]]]]]]]]


@pytest.mark.parametrize(
    "value",
    [1 << 64, -1 - (1 << 64), 1.5, (1, 2), {1}, object(), [1.0], {1: 1.0}, {1.0: 1}, bytearray(1)],
    ids=lambda value: repr(value).split(" at ")[0],
)
def test_what_has_no_form_here_is_refused(value: object) -> None:
    with pytest.raises(CBORError):
        encode(value)


SCALARS = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(1 << 64), (1 << 64) - 1),
    st.binary(max_size=300),
    st.text(max_size=80),
    st.binary(min_size=8, max_size=8).map(Float64),
)
KEYS = st.one_of(st.integers(-(1 << 64), (1 << 64) - 1), st.binary(max_size=30), st.text(max_size=30))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=30),
        st.dictionaries(KEYS, inner, max_size=30),
        st.builds(Tag, st.integers(0, (1 << 64) - 1), inner),
    ),
    max_leaves=12,
)


def holds_nan(value: Any) -> bool:
    """Whether there is a NaN in it, whose payload cbor2 does not keep."""
    if isinstance(value, Float64):
        return math.isnan(struct.unpack(">d", value.raw)[0])
    if isinstance(value, dict):
        return any(holds_nan(item) for item in value.values())
    if isinstance(value, Tag):
        return holds_nan(value.value)
    return isinstance(value, list) and any(holds_nan(item) for item in value)


def depth(value: Any) -> int:
    if isinstance(value, Tag):
        return 1 + depth(value.value)
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth, items)) if items else 0


@given(VALUES.filter(lambda value: depth(value) <= 8))
def test_every_value_comes_back_and_has_the_bytes_of_cbor2(value: object) -> None:
    data = encode(value)
    assert decode(data) == value
    if not holds_nan(value):
        assert data == cbor2.dumps(in_order(value))


@given(st.binary(max_size=200))
def test_what_is_accepted_is_the_one_encoding_of_its_value_and_all_else_a_cbor_error(data: bytes) -> None:
    try:
        value = decode(data)
    except CBORError:
        return
    assert encode(value) == data


@given(VALUES, st.data())
def test_a_damaged_message_is_refused_or_another_value(value: object, draw: st.DataObject) -> None:
    data = bytearray(encode(value))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    try:
        other = decode(bytes(data))
    except CBORError:
        return
    assert encode(other) == data


@pytest.mark.parametrize(
    "noise", [b"\x9a\xff\xff\xff\xff", b"\x5a\xff\xff\xff\xff", b"\xba\x7f\xff\xff\xff", b"\x81"]
)
def test_a_length_that_lies_takes_no_memory(noise: bytes) -> None:
    data = noise + b"\0" * 500
    tracemalloc.start()
    for _ in range(200):
        with pytest.raises(CBORError):
            decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16384


E7 = 10**7


def nearest(numerator: int, denominator: int) -> bytes:
    return struct.pack(">d", numerator / denominator)  # CPython divides integers correctly rounded


@given(st.integers(-180 * E7, 180 * E7))
def test_a_position_is_the_nearest_double(e7: int) -> None:
    assert float64(e7, E7).raw == nearest(e7, E7)


def test_thousands_of_positions_are_the_nearest_doubles() -> None:
    for e7 in range(-180 * E7, 180 * E7 + 1, 359_987):  # 10,001 of them, all last digits
        assert float64(e7, E7).raw == nearest(e7, E7)


@pytest.mark.parametrize("e7", [0, 1, -1, 5, E7, -E7, 2**24 + 1, 90 * E7, -90 * E7, 180 * E7, -180 * E7])
def test_edges_of_the_earth_are_the_nearest_doubles(e7: int) -> None:
    for near in (e7 - 1, e7, e7 + 1):
        assert float64(near, E7).raw == nearest(near, E7)


@pytest.mark.parametrize(
    ("numerator", "denominator"),
    [
        pytest.param(2**53 + 1, 1, id="half way, down to even"),
        pytest.param(2**53 + 3, 1, id="half way, up to even"),
        pytest.param(2**54 - 1, 1, id="half way, up into the next power of two"),
        pytest.param(2**55 - 1, 1, id="up into the next power of two, its exponent even"),
        pytest.param(2**54 - 1, 2**54, id="half way, up to 1"),
        pytest.param(2**53, 1, id="2**53"),
        pytest.param(2**55 + 3, 1, id="just above the half"),
        pytest.param(2**54 + 1, 1, id="below the half"),
        pytest.param(1, 3, id="1/3"),
        pytest.param(2**70, 1, id="2**70"),
        pytest.param(1, 2**70, id="2**-70"),
    ],
)
def test_halves_go_to_even(numerator: int, denominator: int) -> None:
    assert float64(numerator, denominator).raw == nearest(numerator, denominator)
    assert float64(-numerator, denominator).raw == nearest(-numerator, denominator)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**22))
def test_any_quotient_is_the_nearest_double(numerator: int, denominator: int) -> None:
    raw = float64(numerator, denominator).raw
    assert raw == nearest(numerator, denominator)
    # By exact arithmetic too: no neighbour is nearer.
    value = struct.unpack(">d", raw)[0]
    error = abs(Fraction(value) - Fraction(numerator, denominator))
    for neighbour in (math.nextafter(value, -math.inf), math.nextafter(value, math.inf)):
        assert error <= abs(Fraction(neighbour) - Fraction(numerator, denominator))


def test_a_python_float_never_comes_out() -> None:
    assert isinstance(decode(encode(float64(1, E7))), cbor.Float64)
