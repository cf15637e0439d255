"""
Who this tag is: id, root and keys, in two stores.

    me = load(nvs, journal)                     # Identity, or IdentityError: never provisioned

`nvs` and `journal` (records on LittleFS) are the two stores. Each is read for itself: damage to one of them costs
nothing and is mended.
"""

from binascii import hexlify
from collections import namedtuple

from counters import whole
from hkdf import hkdf_sha256
from journal import pack as sealed
from micropython import const

_IDENTITY = const("identity")

# tag: the id as 16 hex digits; kid: id and generation, 9 bytes; password: the broker key as 64 hex digits
Identity = namedtuple("Identity", ("tag", "kid", "up", "down", "password"))


class IdentityError(Exception):
    """No store holds an identity: the tag was never provisioned, or both were lost."""


def pack(tag_id, root, generation):
    """Return an identity as the stores keep it: a record of 8 bytes id, 32 bytes root, 1 byte generation."""
    return sealed(tag_id + root + bytes((generation,)))


def derive(tag_id, root, generation):
    """Return the Identity of these secrets (docs/protocol.md section 2)."""
    up, down, broker = [hkdf_sha256(root, tag_id, b"obereg/1 " + use) for use in (b"up", b"down", b"broker")]
    return Identity(
        hexlify(tag_id).decode(), tag_id + bytes((generation,)), up, down, hexlify(broker).decode()
    )


def load(nvs, journal):
    """Return the Identity that either store holds, mending the other; IdentityError if neither does."""
    for store, other in ((nvs, journal), (journal, nvs)):
        body = whole(store.get(_IDENTITY), 41)
        if body:
            if whole(other.get(_IDENTITY), 41) is None:
                try:
                    other.put(_IDENTITY, sealed(body))
                except Exception:  # noqa: BLE001 - it can be mended at the next start
                    pass
            return derive(body[:8], body[8:40], body[40])
    raise IdentityError("no identity: this tag must be provisioned")
