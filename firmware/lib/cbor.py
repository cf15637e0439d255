"""
Deterministic CBOR, strict both ways.

    encode({6: 1, 7: b"id"})   -> bytes
    decode(data)               -> the value, or CBORError

It writes and accepts only what RFC 8949 section 4.2.1 calls core deterministic encoding: shortest integers and
lengths, definite lengths, map keys sorted by their encoded bytes and never twice, nothing left over. Floats are the
one exception: always binary64, and never a Python float. On an ESP32 a float has 24 bits of mantissa, so a binary64
travels as `Float64(raw)`, its 8 bytes, made by integer arithmetic in `float64`.

It does not know bignums, indefinite lengths, half and single floats or simple values beyond false, true and null.
"""

from collections import namedtuple

from micropython import const

Tag = namedtuple("Tag", ("number", "value"))
Float64 = namedtuple("Float64", ("raw",))
# Simple values 20, 21 and 22 (RFC 8949 section 3.3)
_SIMPLE = const((False, True, None))

# Deeper than anything the protocol says, shallower than what overflows the ESP32's stack.
_MAX_DEPTH = const(8)


class CBORError(Exception):
    """The bytes are not deterministic CBOR, or the value has no CBOR form here."""


def float64(numerator, denominator):
    """
    Return the binary64 nearest to numerator / denominator (ties to even), as Float64.

    Integers only; 0 < denominator, and the quotient 0 or at least 2**-75: a position always is.
    """
    sign = 0
    if numerator < 0:
        sign = 1
        numerator = -numerator
    if numerator == 0:
        return Float64(b"\0\0\0\0\0\0\0\0")
    # Scale the quotient into [2**52, 2**53): 53 bits, the mantissa with its leading one. In halving steps, because
    # each step leaves two long integers behind on a small heap.
    exponent = 52
    for shift in (64, 32, 16, 8, 4, 2, 1):
        if numerator << shift < denominator << 53:
            numerator <<= shift
            exponent -= shift
    while numerator >= denominator << 53:
        denominator <<= 1
        exponent += 1
    quotient = numerator // denominator
    rest = 2 * (numerator - quotient * denominator)
    if rest > denominator or (rest == denominator and quotient & 1):
        # If that makes it 2**53, the carry below lands in the exponent, as it should.
        quotient += 1
    bits = (sign << 63) + ((exponent + 1022) << 52) + quotient
    return Float64(bits.to_bytes(8, "big"))


def _head(major, n):
    if n < 24:
        return bytes((major << 5 | n,))
    for info in range(4):
        if n < 1 << (8 << info):
            return bytes((major << 5 | 24 + info,)) + n.to_bytes(1 << info, "big")
    raise CBORError("over 64 bits")


def encode(value):
    """Return the deterministic encoding of `value`, or raise CBORError."""
    for i in range(3):
        if value is _SIMPLE[i]:
            return bytes((0xF4 + i,))
    if isinstance(value, Float64):
        return b"\xfb" + value.raw
    if isinstance(value, Tag):
        return _head(6, value.number) + encode(value.value)
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        value = value.encode()
        return _head(3, len(value)) + value
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join([encode(item) for item in value])
    if isinstance(value, dict):
        pairs = sorted([(encode(key), encode(value[key])) for key in value])
        return _head(5, len(pairs)) + b"".join([key + item for key, item in pairs])
    raise CBORError("no CBOR for this type")


def decode(data):
    """Return the one value that `data` (bytes) encodes. CBORError if anything about it is not deterministic."""
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise CBORError("%d bytes left over" % (len(data) - end))
    return value


def _take(data, start, size):
    end = start + size
    if end > len(data):
        raise CBORError("cut short")
    return data[start:end], end


def _item(data, at, depth):
    if depth > _MAX_DEPTH:
        raise CBORError("nested too deep")
    initial, at = _take(data, at, 1)
    major = initial[0] >> 5
    n = initial[0] & 31
    if major == 7:
        return _simple(data, at, n)
    if n > 27:
        raise CBORError("reserved or indefinite")
    if n >= 24:
        size = 1 << (n - 24)
        raw, at = _take(data, at, size)
        n = int.from_bytes(raw, "big")
        if n < (24 if size == 1 else 1 << 4 * size):
            raise CBORError("not the shortest form")
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if major == 2:
        return _take(data, at, n)
    if major == 3:
        raw, at = _take(data, at, n)
        try:
            return str(raw, "utf-8"), at
        except ValueError:  # UnicodeError is one
            raise CBORError("text is not UTF-8")
    if major == 6:
        value, at = _item(data, at, depth + 1)
        return Tag(n, value), at
    if major == 5:
        return _map(data, at, n, depth)
    items = []
    for _ in range(n):
        value, at = _item(data, at, depth + 1)
        items.append(value)
    return items, at


def _map(data, at, n, depth):
    result = {}
    last = b""
    for _ in range(n):
        start = at
        key, at = _item(data, at, depth + 1)
        if isinstance(key, bool) or not isinstance(key, (int, str, bytes)):
            raise CBORError("a key of this type")
        raw = data[start:at]
        if raw <= last:
            raise CBORError("keys out of order or twice")
        last = raw
        result[key], at = _item(data, at, depth + 1)
    return result, at


def _simple(data, at, n):
    if n == 27:
        raw, at = _take(data, at, 8)
        return Float64(raw), at
    if 20 <= n <= 22:
        return _SIMPLE[n - 20], at
    raise CBORError("a simple value or float of another size")
