"""
What is not yet settled, on flash.

    outbox.add(Entry)        # on flash when it returns
    outbox.pending()         # what to send, alerts first
    outbox.find(cti)
    outbox.settle(entry)     # a right ack has come: forget it

The exact sealed bytes are kept, so that a restart says the same bytes again. State messages are not kept here: the
newest one waits in RAM (`state`), and a newer one replaces it.
"""

import binascii

import cbor
from alert import KIND_ALERT, KIND_CANCEL

# Beyond this many, old position updates are thinned: the newer ones say more. Alerts never are.
MAX_ENTRIES = 24


class OutboxError(Exception):
    """The flash would not take the message; it is kept in RAM and still goes out. The text says why."""


class Entry:
    """
    One sealed message. `incident` is the cti of its incident's first alert (its own, for that alert); `pressed`
    whether a press made it. The rest belongs to the link: when it was last sent, how often, when it is due.
    """

    def __init__(self, cti, kind, incident, pressed, token, digest):
        self.cti = cti
        self.kind = kind
        self.incident = incident
        self.pressed = pressed
        self.token = token
        self.digest = digest
        self.backoff = None
        self.due_ms = None
        self.session = None

    def urgent(self):
        """Whether it goes before position updates and is never thinned."""
        return self.pressed or self.kind in (KIND_ALERT, KIND_CANCEL)


class Outbox:
    """`journal` keeps the records; `digest(token)` names exact bytes; `log` counts what is dropped."""

    def __init__(self, journal, digest, log):
        self._journal = journal
        self._log = log
        self._entries = []
        for name in journal.names():
            entry = self._read(name, digest)
            if entry is None:
                # Cut while it was written, or rotten: there are no whole bytes to say.
                log.count("outbox.damaged")
                journal.remove(name)
            else:
                self._entries.append(entry)

    def add(self, entry):
        """Keep the entry; on flash when it returns. OutboxError if flash refuses: then it is in RAM only."""
        self._entries.append(entry)
        self._thin()
        record = cbor.encode([entry.kind, entry.incident, entry.pressed, entry.token])
        try:
            self._journal.put(self._name(entry.cti), record)
        except Exception as error:  # noqa: BLE001 - whatever the flash says, the alert goes out
            self._log.count("outbox.not_on_flash")
            raise OutboxError("not on flash: %s" % error)

    def pending(self):
        """Return the unsettled entries, urgent ones first, each kind oldest first."""
        urgent = [entry for entry in self._entries if entry.urgent()]
        return urgent + [entry for entry in self._entries if not entry.urgent()]

    def find(self, cti):
        """Return the unsettled entry of that identity, or None."""
        for entry in self._entries:
            if entry.cti == cti:
                return entry
        return None

    def settle(self, entry):
        """Forget an entry: the desk has signed for it."""
        self._entries.remove(entry)
        self._journal.remove(self._name(entry.cti))

    def _thin(self):
        while len(self._entries) > MAX_ENTRIES:
            old = [entry for entry in self._entries[:-1] if not entry.urgent()]
            if not old:
                return
            self._log.count("outbox.thinned")
            self.settle(old[0])

    def _read(self, name, digest):
        data = self._journal.get(name)
        try:
            kind, incident, pressed, token = cbor.decode(data)
            entry = Entry(binascii.unhexlify(name), kind, incident, pressed, token, digest(token))
        except (cbor.CBORError, ValueError, TypeError):
            return None
        return entry if len(entry.cti) == 8 else None

    @staticmethod
    def _name(cti):
        return str(binascii.hexlify(cti), "ascii")
