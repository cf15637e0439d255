"""
The life of an incident, as a table, and the record of it that stays on flash.

The table is the whole behaviour: what is not in it is refused with IncidentError. A level comes from a right ack of
the desk and from nothing else, so "coming" is reached only when a person has said so.

    step("calling", "received")      # ("received", "received"): the next state, the signal felt or ""

States: idle (nothing is wrong), calling (a press is out, nobody has answered), received (the desk has it on disk),
seen (a person's device has shown it), coming (a person is on the way).
"""

from collections import namedtuple

import cbor

# state, event, next state, signal. `open` stands for any state but idle, `=` for the same state, `-` for no signal.
# A later "coming" is felt again: another person has taken it. Whatever else follows "coming" means that whoever was
# coming is not, and nothing that was claimed may go on being felt.
TABLE = """
idle press calling sent_off
open press = sent_off
open cancel = cancel
open coming coming coming
open closed idle closed
calling received received received
calling seen seen received
calling declined received received
received received received -
received seen seen -
received declined received -
seen received received -
seen seen seen -
seen declined received -
coming received received still_calling
coming seen seen still_calling
coming declined received still_calling
"""

# The event of an ack, by its level (docs/protocol.md section 5)
EVENTS = (None, "received", "seen", "coming", "closed", "declined")


class IncidentError(Exception):
    """An event that the table does not have, or a record that is not one."""


def step(state, event):
    """Return (next state, signal or "") for `event` in `state`; IncidentError outside the table."""
    for of in (state, "open"):
        # Not split into rows: that would take the heap at the moment of a press.
        at = TABLE.find("\n%s %s " % (of, event))
        if at >= 0 and (of == state or state != "idle"):
            _, _, following, signal = TABLE[at + 1 : TABLE.find("\n", at + 1)].split()
            return state if following == "=" else following, "" if signal == "-" else signal
    raise IncidentError("%s in %s" % (event, state))


# cti and digest name the first alert; rev is the highest applied; presses: how often the button was pressed in it.
Incident = namedtuple("Incident", ("state", "cti", "digest", "rev", "presses"))


def heard(incident, level, rev):
    """
    Return the Incident after a right ack; the event to step it by, "" for none; what to count if the ack is dropped.

    A level counts when its rev is above the highest applied. The same rev with another level comes from a desk that was
    restored from a backup and has given it again: which of the two is newer cannot be told. The tag says one above from
    now on, and the desk goes on above that (docs/protocol.md section 5).
    """
    event = EVENTS[level]
    if rev > incident.rev:
        return _at(incident, rev), event, ""
    if rev < incident.rev:
        return incident, "", "down.old"
    if step(incident.state, event)[0] == incident.state:
        return incident, "", ""
    return _at(incident, rev + 1), "", "down.rev_again"


def _at(incident, rev):
    return Incident(incident.state, incident.cti, incident.digest, rev, incident.presses)


def pack(incident):
    """Return the bytes to keep on flash."""
    return cbor.encode(list(incident))


def unpack(data):
    """Return the Incident in `data`, or raise IncidentError."""
    try:
        incident = Incident(*cbor.decode(data))
        # Every open state has a row of its own for it; idle has none, and is no record.
        step(incident.state, "received")
        # What a desk would not read must not be said again: text has no sum with bytes, and True is no number.
        if (
            len(incident.cti + b"") == len(incident.digest + b"") == 8
            and type(incident.rev) is type(incident.presses) is int
            and incident.rev >> 32 == incident.presses >> 32 == 0
        ):
            return incident
    except (cbor.CBORError, IncidentError, TypeError):
        pass
    raise IncidentError("the record on flash is damaged")


def restored(journal, entries, refuse):
    """
    Return the Incident that was open before this start, or None.

    `journal` holds its record, and the cti of the last one that was closed while its alert waited; `entries`: what
    waits in the outbox. An alert there without a record was cut between the two, or the record rotted, which is told
    to `refuse(counter, why)`.
    """
    record = journal.get("incident")
    if record:
        try:
            return unpack(record)
        except IncidentError as error:
            refuse("incident.damaged", error)
    # The newest: an older one may wait for its ack although its incident is closed.
    for entry in reversed(entries):
        if entry.kind == 1:  # an alert (docs/protocol.md section 4)
            if entry.cti == journal.get("closed"):
                return None
            return Incident("calling", entry.cti, entry.digest, 0, 1)
    return None
