"""
Who this tag is and what it has counted: id, root and keys; epoch and seq. Two stores, the larger counts.

    me = load(nvs, journal)                     # Identity, or IdentityError: never provisioned
    counters = Counters(nvs, journal, rtc, random_bits)
    counters.next_cti()                         # 8 bytes that name one message and no other, ever

`nvs` and `rtc` are the board's: nvs.read(name) -> bytes or None, nvs.write(name, data); rtc.read() -> bytes,
rtc.write(data). `journal` keeps records on LittleFS. Each store is written and read for itself: damage to one of
them costs nothing, damage to both makes an epoch up (flag 8), because a lost counter must not silence a child.
"""

import binascii
from collections import namedtuple

from hkdf import hkdf_sha256

_IDENTITY = "identity"
_EPOCH = "epoch"
_RTC_MAGIC = b"OB1"
_MAX_EPOCH = 0x7FFFFFFF

# tag: the id as 16 hex digits; kid: id and generation, 9 bytes; password: the broker key as 64 hex digits
Identity = namedtuple("Identity", ("tag", "kid", "up", "down", "password"))


class IdentityError(Exception):
    """No store holds an identity: the tag was never provisioned, or both were lost."""


def pack(tag_id, root, generation):
    """Return an identity as the stores keep it: 8 bytes id, 32 bytes root, 1 byte generation, CRC-32."""
    body = tag_id + root + bytes((generation,))
    return body + binascii.crc32(body).to_bytes(4, "big")


def _unpack(data):
    if data is None or len(data) != 45 or binascii.crc32(data[:-4]).to_bytes(4, "big") != data[-4:]:
        return None
    return data


def derive(tag_id, root, generation):
    """Return the Identity of these secrets (docs/protocol.md section 2)."""
    keys = [
        hkdf_sha256(root, tag_id, info) for info in (b"obereg/1 up", b"obereg/1 down", b"obereg/1 broker")
    ]
    tag = str(binascii.hexlify(tag_id), "ascii")
    return Identity(
        tag, tag_id + bytes((generation,)), keys[0], keys[1], str(binascii.hexlify(keys[2]), "ascii")
    )


def load(nvs, journal):
    """Return the Identity that either store holds, mending the other; IdentityError if neither does."""
    in_nvs = _unpack(nvs.read(_IDENTITY))
    in_journal = _unpack(journal.get(_IDENTITY))
    data = in_nvs or in_journal
    if data is None:
        raise IdentityError("no identity in NVS nor in /data: this tag must be provisioned")
    if in_nvs is None:
        nvs.write(_IDENTITY, data)
    if in_journal is None:
        journal.put(_IDENTITY, data)
    return derive(data[:8], data[8:40], data[40])


class Counters:
    """
    Epoch and seq. Constructing it opens an epoch (written to both stores) unless RTC memory holds a valid record.

    `regenerated` says that both stores were lost and the epoch is made up. `clock_trusted` is kept in the same record
    for the clock: the RTC runs through what RTC memory survives.
    """

    def __init__(self, nvs, journal, rtc, random_bits):
        self._nvs = nvs
        self._journal = journal
        self._rtc = rtc
        self.regenerated = False
        self.clock_trusted = False
        kept = max(self._from(nvs.read(_EPOCH)), self._from(journal.get(_EPOCH)))
        if not self._resume(kept):
            self.epoch = kept + 1
            self.seq = 0
            if kept < 0 or kept >= _MAX_EPOCH or not self._persist():
                self.regenerated = True
                self.epoch = random_bits(31) or 1
                self._persist()
        self.save()

    def next_cti(self):
        """Return the identity of the next message. RTC memory has it before the caller does."""
        self.seq += 1
        self.save()
        return self.epoch.to_bytes(4, "big") + self.seq.to_bytes(4, "big")

    def save(self):
        body = _RTC_MAGIC + self.epoch.to_bytes(4, "big") + self.seq.to_bytes(4, "big")
        body += bytes(((1 if self.clock_trusted else 0) | (2 if self.regenerated else 0),))
        self._rtc.write(body + binascii.crc32(body).to_bytes(4, "big"))

    @staticmethod
    def _from(data):
        """An epoch as a store keeps it: u32 and CRC-32. -1 for none."""
        if data is None or len(data) != 8 or binascii.crc32(data[:4]).to_bytes(4, "big") != data[4:]:
            return -1
        return int.from_bytes(data[:4], "big")

    def _resume(self, kept):
        record = self._rtc.read()[:16]
        if len(record) != 16 or record[:3] != _RTC_MAGIC:
            return False
        if binascii.crc32(record[:12]).to_bytes(4, "big") != record[12:]:
            return False
        epoch = int.from_bytes(record[3:7], "big")
        # A store that is ahead has seen a start that RTC memory has not.
        if epoch < kept:
            return False
        self.epoch = epoch
        self.seq = int.from_bytes(record[7:11], "big")
        self.clock_trusted = bool(record[11] & 1)
        self.regenerated = bool(record[11] & 2)
        if epoch > kept:
            self._persist()
        return True

    def _persist(self):
        """Write the epoch to both stores; return whether at least one took it."""
        raw = self.epoch.to_bytes(4, "big")
        raw += binascii.crc32(raw).to_bytes(4, "big")
        taken = 0
        for write in (self._nvs.write, self._journal.put):
            try:
                write(_EPOCH, raw)
                taken += 1
            except Exception:  # noqa: BLE001 - OSError or JournalError: the other store has it, or nobody has
                pass
        return taken > 0
