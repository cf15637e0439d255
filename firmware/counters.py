"""
What this tag has counted: epoch and seq, in two stores and RTC memory. The larger counts.

    counters = Counters(nvs, journal, rtc, random_bits)
    counters.next_cti()                         # 8 bytes that name one message and no other, ever

`nvs` and `journal` (records on LittleFS) are the two stores; `rtc` has read() and write(data) of RTC memory. Each
store is written and read for itself: damage to one of them costs nothing, damage to both makes an epoch up (flag 8),
because a lost counter must not silence a child.
"""

from journal import pack as sealed
from journal import unpack
from micropython import const

_EPOCH = const("epoch")
# What the record in RTC memory holds: cti and flags. Behind it is app.py's.
_RTC_BYTES = const(9)
# How long it is, with its magic and CRC-32.
RTC_RECORD = 17


def whole(data, size):
    """Return the `size` bytes in a record of journal.py, or None if it is not whole."""
    body = unpack(data or b"")
    return body if body and len(body) == size else None


def pack_epoch(epoch):
    """Return an epoch as the stores keep it."""
    return sealed(epoch.to_bytes(4, "big"))


class Counters:
    """
    Epoch and seq. Constructing it opens an epoch (written to both stores) unless RTC memory holds a valid record.

    `regenerated` says that both stores were lost once and the epoch was made up: such epochs, and those that go on from
    one, begin at 2**31. `clock_trusted` (Clock.trust) is kept in the same record for the clock: the RTC runs through
    what RTC memory survives.
    """

    def __init__(self, nvs, journal, rtc, random_bits):
        self._stores = (nvs, journal)
        self.rtc = rtc
        self.clock_trusted = 0
        kept = []
        for store in self._stores:
            body = whole(store.get(_EPOCH), 4)
            kept.append(int.from_bytes(body, "big") if body else -1)
        if not self._resume(kept):
            self.epoch = max(kept) + 1
            self.seq = 0
            if not 0 < self.epoch < 1 << 32 or not self._persist():
                self.epoch = 1 << 31 | random_bits(31)
                self._persist()
        self.regenerated = self.epoch >> 31
        self.save()

    def next_cti(self):
        """Return the identity of the next message. RTC memory has it before the caller does."""
        self.seq += 1
        self.save()
        return self._cti()

    def save(self):
        """Write epoch, seq and flags to RTC memory."""
        self.rtc.write(sealed(self._cti() + bytes((self.clock_trusted,))) + self.rtc.read()[RTC_RECORD:])

    def trust(self, trust):
        """Let RTC memory know what the RTC's time is worth; return whether it was worth nothing."""
        known = self.clock_trusted
        if known != trust:
            self.clock_trusted = trust
            self.save()
        return trust > 0 == known

    def keep(self, utc_s):
        """Keep a time that the desk has signed: the next start's clock is not below it."""
        try:
            self._stores[0].put("time", sealed(utc_s.to_bytes(5, "big")))
        except Exception:  # noqa: BLE001 - it will be said again
            pass

    def _cti(self):
        return self.epoch.to_bytes(4, "big") + self.seq.to_bytes(4, "big")

    def _resume(self, kept):
        """Go on where RTC memory says, unless a store has seen a start that it has not."""
        body = whole(self.rtc.read()[:RTC_RECORD], _RTC_BYTES)
        if body is None:
            return False
        epoch = int.from_bytes(body[:4], "big")
        if epoch < max(kept):
            return False
        self.epoch = epoch
        self.seq = int.from_bytes(body[4:8], "big")
        self.clock_trusted = body[8] & 5
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
