"""
Who this tag is: id, root and keys, in two stores; and with them a spare of the last good settings.

    me = load(nvs, journal)                     # Identity, or IdentityError: never provisioned
    keep(nvs, journal, settings)                # these are good: config.json, NUL, the CA
    settings = spare(nvs, journal)              # b"" if there is none

`nvs` and `journal` (records on LittleFS) are the two stores. Each is read for itself: damage to one of them costs
nothing and is mended. One record holds all that a call for help needs: whoever still has the key knows the way, too.
"""

from binascii import hexlify
from collections import namedtuple

from hkdf import hkdf_sha256
from journal import pack as sealed
from journal import unpack
from micropython import const

_IDENTITY = const("identity")
# id, root, generation
_KEY_BYTES = const(41)
# With the key it must fit into what board.NVS reads.
_SPARE_BYTES = const(1900)

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


def _whole(store):
    """Return the key and the spare behind it that a store holds, or None."""
    body = unpack(store.get(_IDENTITY) or b"")
    # Settings are a JSON object: anything else is no record of ours.
    return body if body and (len(body) == _KEY_BYTES or body[_KEY_BYTES:][:1] == b"{") else None


def load(nvs, journal):
    """Return the Identity that either store holds, mending the other; IdentityError if neither does."""
    for store, other in ((nvs, journal), (journal, nvs)):
        body = _whole(store)
        if body:
            if _whole(other) is None:
                _put(other, body)
            return derive(body[:8], body[8:40], body[40])
    raise IdentityError("no identity: this tag must be provisioned")


def spare(nvs, journal):
    """Return the settings that are kept with the key, b"" if there are none."""
    return (_whole(nvs) or b"")[_KEY_BYTES:] or (_whole(journal) or b"")[_KEY_BYTES:]


def keep(nvs, journal, settings):
    """Keep these settings (bytes) with the key. More than 1,900 bytes are not kept."""
    for store in (nvs, journal):
        body = _whole(store)
        if body and body[_KEY_BYTES:] != settings and len(settings) <= _SPARE_BYTES:
            _put(store, body[:_KEY_BYTES] + settings)


def _put(store, body):
    try:
        store.put(_IDENTITY, sealed(body))
    except Exception:  # noqa: BLE001 - it can be mended at the next start
        pass
