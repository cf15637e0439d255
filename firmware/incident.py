"""
The life of an incident, as a table, and the record of it that stays on flash.

The table is the whole behaviour: what is not in it is refused with IncidentError. A level comes from a right ack of
the desk and from nothing else, so "coming" is reached only when a person has said so.

    state, signal = step(CALLING, "received")      # ("received", "received")
"""

from collections import namedtuple

import cbor
import signals

# Nothing is wrong.
IDLE = "idle"
# A press is out; nobody has answered yet.
CALLING = "calling"
# The desk has it on disk.
RECEIVED = "received"
# A person's device has shown it.
SEEN = "seen"
# A person is on the way.
COMING = "coming"

# event of an ack, by its level (docs/protocol.md section 5)
LEVEL_EVENTS = ("", "received", "seen", "coming", "closed", "declined")

# state: {event: (next state, the signal felt or None)}
TRANSITIONS = {
    IDLE: {
        "press": (CALLING, signals.SENT_OFF),
    },
    CALLING: {
        "press": (CALLING, signals.SENT_OFF),
        "cancel": (CALLING, signals.CANCEL),
        "received": (RECEIVED, signals.RECEIVED),
        "seen": (SEEN, signals.RECEIVED),
        "coming": (COMING, signals.COMING),
        # Somebody came and went while we heard nothing: what is left is that the desk knows.
        "declined": (RECEIVED, signals.RECEIVED),
        "closed": (IDLE, signals.CLOSED),
    },
    RECEIVED: {
        "press": (RECEIVED, signals.SENT_OFF),
        "cancel": (RECEIVED, signals.CANCEL),
        "received": (RECEIVED, None),
        "seen": (SEEN, None),
        "coming": (COMING, signals.COMING),
        "declined": (RECEIVED, None),
        "closed": (IDLE, signals.CLOSED),
    },
    SEEN: {
        "press": (SEEN, signals.SENT_OFF),
        "cancel": (SEEN, signals.CANCEL),
        "received": (RECEIVED, None),
        "seen": (SEEN, None),
        "coming": (COMING, signals.COMING),
        "declined": (RECEIVED, None),
        "closed": (IDLE, signals.CLOSED),
    },
    COMING: {
        "press": (COMING, signals.SENT_OFF),
        "cancel": (COMING, signals.CANCEL),
        # Whoever was coming is not: nothing that was claimed may go on being felt.
        "received": (RECEIVED, signals.STILL_CALLING),
        "seen": (SEEN, signals.STILL_CALLING),
        "declined": (RECEIVED, signals.STILL_CALLING),
        # A later rev: another person has taken it. That is worth feeling again.
        "coming": (COMING, signals.COMING),
        "closed": (IDLE, signals.CLOSED),
    },
}


class IncidentError(Exception):
    """An event that the table does not have, or a record that is not one."""


def step(state, event):
    """Return (next state, signal or None) for `event` in `state`; IncidentError outside the table."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IncidentError("%s in %s" % (event, state))


# cti and digest name the first alert; rev is the highest applied; opened_utc_s may be None; flags are the alert's
# own (test, epoch regenerated), said again in every message of the incident.
Incident = namedtuple("Incident", ("state", "cti", "digest", "rev", "presses", "flags", "cancelled"))


def pack(incident):
    """Return the bytes to keep on flash."""
    return cbor.encode(list(incident))


def unpack(data):
    """Return the Incident in `data`, or raise IncidentError."""
    try:
        fields = cbor.decode(data)
    except cbor.CBORError as error:
        raise IncidentError("incident record: %s" % error)
    kinds = (str, bytes, bytes, int, int, int, bool)
    if not isinstance(fields, list) or len(fields) != len(kinds):
        raise IncidentError("incident record of another shape")
    for field, kind in zip(fields, kinds):
        if not isinstance(field, kind):
            raise IncidentError("incident record with a field of another type")
    if fields[0] not in TRANSITIONS or len(fields[1]) != 8 or len(fields[2]) != 8:
        raise IncidentError("incident record with an unknown value")
    return Incident(*fields)
