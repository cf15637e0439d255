"""
Who this tag is and what it has counted: id, root and keys; epoch and seq. Two stores, the larger counts.

    me = load(nvs, journal)                     # Identity, or IdentityError: never provisioned
    counters = Counters(nvs, journal, rtc, random_bits)
    counters.next_cti()                         # 8 bytes that name one message and no other, ever

`nvs` and `journal` (records on LittleFS) are the two stores; `rtc` has read() and write(data) of RTC memory. Each
store is written and read for itself: damage to one of them costs nothing, damage to both makes an epoch up (flag 8),
because a lost counter must not silence a child.
"""

from binascii import crc32, hexlify
from collections import namedtuple

from hkdf import hkdf_sha256

_IDENTITY = "identity"
_EPOCH = "epoch"
_RTC_MAGIC = b"OB1"
_RTC_BYTES = 16

# tag: the id as 16 hex digits; kid: id and generation, 9 bytes; password: the broker key as 64 hex digits
Identity = namedtuple("Identity", ("tag", "kid", "up", "down", "password"))


class IdentityError(Exception):
    """No store holds an identity: the tag was never provisioned, or both were lost."""


def _sealed(body):
    return body + crc32(body).to_bytes(4, "big")


def _whole(data, size):
    """`data` without its CRC-32, if it has `size` bytes and the CRC is right; else None."""
    if not data or len(data) != size or _sealed(data[:-4]) != data:
        return None
    return data[:-4]


def pack(tag_id, root, generation):
    """Return an identity as the stores keep it: 8 bytes id, 32 bytes root, 1 byte generation, CRC-32."""
    return _sealed(tag_id + root + bytes((generation,)))


def pack_epoch(epoch):
    """Return an epoch as the stores keep it."""
    return _sealed(epoch.to_bytes(4, "big"))


def derive(tag_id, root, generation):
    """Return the Identity of these secrets (docs/protocol.md section 2)."""
    up, down, broker = [hkdf_sha256(root, tag_id, b"obereg/1 " + use) for use in (b"up", b"down", b"broker")]
    return Identity(_hex(tag_id), tag_id + bytes((generation,)), up, down, _hex(broker))


def _hex(data):
    return str(hexlify(data), "ascii")


def load(nvs, journal):
    """Return the Identity that either store holds, mending the other; IdentityError if neither does."""
    for store, other in ((nvs, journal), (journal, nvs)):
        body = _whole(store.get(_IDENTITY), 45)
        if body:
            if _whole(other.get(_IDENTITY), 45) is None:
                try:
                    other.put(_IDENTITY, _sealed(body))
                except Exception:  # noqa: BLE001 - it can be mended at the next start
                    pass
            return derive(body[:8], body[8:40], body[40])
    raise IdentityError("no identity: this tag must be provisioned")


class Counters:
    """
    Epoch and seq. Constructing it opens an epoch (written to both stores) unless RTC memory holds a valid record.

    `regenerated` says that both stores were lost and the epoch is made up. `clock_trusted` is kept in the same record
    for the clock: the RTC runs through what RTC memory survives.
    """

    def __init__(self, nvs, journal, rtc, random_bits):
        self._stores = (nvs, journal)
        self.rtc = rtc
        self.regenerated = self.clock_trusted = False
        kept = []
        for store in self._stores:
            body = _whole(store.get(_EPOCH), 8)
            kept.append(int.from_bytes(body, "big") if body else -1)
        if not self._resume(kept):
            self.epoch = max(kept) + 1
            self.seq = 0
            if not 0 < self.epoch < 1 << 31 or not self._persist():
                self.regenerated = True
                self.epoch = random_bits(31) or 1
                self._persist()
        self.save()

    def next_cti(self):
        """Return the identity of the next message. RTC memory has it before the caller does."""
        self.seq += 1
        self.save()
        return self._cti()

    def save(self):
        """Write epoch, seq and flags to RTC memory."""
        flags = (1 if self.clock_trusted else 0) | (2 if self.regenerated else 0)
        self.rtc.write(_sealed(_RTC_MAGIC + self._cti() + bytes((flags,))))

    def _cti(self):
        return self.epoch.to_bytes(4, "big") + self.seq.to_bytes(4, "big")

    def _resume(self, kept):
        """Go on where RTC memory says, unless a store has seen a start that it has not."""
        body = _whole(self.rtc.read()[:_RTC_BYTES], _RTC_BYTES)
        if body is None or body[:3] != _RTC_MAGIC:
            return False
        epoch = int.from_bytes(body[3:7], "big")
        if epoch < max(kept):
            return False
        self.epoch = epoch
        self.seq = int.from_bytes(body[7:11], "big")
        self.clock_trusted = bool(body[11] & 1)
        self.regenerated = bool(body[11] & 2)
        if epoch > min(kept):
            # One store was lost or is behind: mended now, because the other may be the next.
            self._persist()
        return True

    def _persist(self):
        """Write the epoch to both stores; return whether at least one took it."""
        taken = False
        for store in self._stores:
            try:
                store.put(_EPOCH, pack_epoch(self.epoch))
                taken = True
            except Exception:  # noqa: BLE001 - OSError or JournalError: the other store has it, or nobody has
                pass
        return taken
