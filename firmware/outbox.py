"""
What is not yet settled, on flash.

    outbox.add(entry)        # on flash when it returns
    outbox.pending()         # what to send, alerts first
    outbox.find(cti)
    outbox.settle(entry)     # a right ack has come: forget it

The exact sealed bytes are kept, so that a restart says the same bytes again. State messages are not kept here: the
link holds the newest one.
"""

from binascii import hexlify, unhexlify

import cbor
from micropython import const

# Beyond this many, old position updates are thinned: the newer ones say more. Alerts never are.
_MAX_ENTRIES = const(24)


class OutboxError(Exception):
    """The flash would not take the message; it is kept in RAM and still goes out. The text says why."""


class Entry:
    """
    One sealed message. `kind` 1 alert, 2 cancel, 3 update; `incident` is the cti of its incident's first alert (its
    own, for that alert); `pressed` whether a press made it. The rest is the link's: over which session it was last
    said, when it is due again.
    """

    def __init__(self, cti, kind, incident, pressed, token, digest):
        self.cti = cti
        self.kind = kind
        self.incident = incident
        self.pressed = pressed
        self.token = token
        self.digest = digest
        self.backoff = self.due_ms = self.session = None

    def urgent(self):
        """Whether it goes before position updates and is never thinned."""
        return self.pressed or self.kind != 3


def _name(entry):
    return hexlify(entry.cti).decode()


class Outbox:
    """`journal` keeps the records; `digest(token)` names exact bytes; `log` counts what is dropped."""

    def __init__(self, journal, digest, log):
        self.journal = journal
        self.log = log
        self._entries = []
        for name in journal.names():
            try:
                kind, incident, pressed, token = cbor.decode(journal.get(name) or b"")
                if not isinstance(token, bytes):
                    raise OutboxError
                self._entries.append(Entry(unhexlify(name), kind, incident, pressed, token, digest(token)))
            except Exception:  # noqa: BLE001 - what is here must not keep the rest from being said
                # Cut while it was written, or rotten: there are no whole bytes to say.
                log.count("outbox.damaged")
                journal.remove(name)

    def add(self, entry):
        """Keep the entry; on flash when it returns. OutboxError if flash refuses: then it is in RAM only."""
        self._entries.append(entry)
        if len(self._entries) > _MAX_ENTRIES:
            self._thin()
        try:
            self.journal.put(
                _name(entry), cbor.encode([entry.kind, entry.incident, entry.pressed, entry.token])
            )
        except Exception as error:  # noqa: BLE001 - whatever the flash says, the alert goes out
            self.log.count("outbox.not_on_flash")
            raise OutboxError("not on flash: %s" % error)

    def pending(self):
        """Return the unsettled entries, urgent ones first, each kind oldest first."""
        urgent, others = [], []
        for entry in self._entries:
            (urgent if entry.urgent() else others).append(entry)
        return urgent + others

    def find(self, cti):
        """Return the unsettled entry of that identity, or None."""
        for entry in self._entries:
            if entry.cti == cti:
                return entry
        return None

    def holds_press(self, incident):
        """Return whether a press of that incident (the cti of its first alert) is unsettled."""
        return any([entry.pressed and entry.incident == incident for entry in self._entries])

    def settle(self, entry):
        """Forget an entry: the desk has signed for it."""
        self._entries.remove(entry)
        self.journal.remove(_name(entry))

    def _thin(self):
        for entry in self._entries[:-1]:
            if not entry.urgent():
                self.log.count("outbox.thinned")
                self.settle(entry)
                return
