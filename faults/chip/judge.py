"""
What must be true of a tag that has just started, whatever became of its power before.

It is judged by what was seen to pass (sealed bytes, records that flash said it has, acks that were delivered), never by
the firmware's own bookkeeping.
"""

import json

from files import SETTINGS, STATIC, Violation, read, static

_OBEREG = -65537
_LEVELS = {"calling": 0, "received": 1, "seen": 2, "coming": 3}


def check(w):
    """Judge a tag that has just started."""
    for path, size in STATIC.items():
        if read(path) != static(path, size):
            raise Violation("%s is damaged" % path)
    _settings(w)
    if w.app.tag.me != w.me:
        raise Violation("it is another tag")
    _stores(w)
    if w.claims[w.cti(w.app.link.state)][_OBEREG].get(3, 0) & 8:
        raise Violation("the epoch was made up")
    _outbox(w)
    _incident(w)


def _settings(w):
    """Old or new ones are in force; where a cut left one file of each, older ones, from the spare."""
    there = tuple([read(path) for path in SETTINGS])
    if not w.app.note and there not in w.settings_right:
        raise Violation("settings of two kinds are in force")
    wanted = (there,) if there in w.settings_right else w.settings_right
    if w.app.hold_ms not in [json.loads(pair[0])["hold_ms"] for pair in wanted]:
        raise Violation("other settings than those on flash are in force")


def _stores(w):
    from journal import Journal

    journal = Journal("/data")
    for name in ("identity", "epoch"):
        if w.records.get(name) != journal.get(name):
            raise Violation("%s is not the same in both stores" % name)


def _outbox(w):
    outbox = w.app.tag.outbox
    for cti, token in w.returned.items():
        entry = outbox.find(cti)
        if entry is None and cti not in w.answered:
            raise Violation("%s is lost" % cti.hex())
        if entry and entry.token != token:
            raise Violation("%s has other bytes" % cti.hex())
    for entry in outbox.pending():
        if w.tokens.get(entry.cti) != entry.token:
            raise Violation("%s was never said" % entry.cti.hex())


def _incident(w):
    import cbor

    opened = w.app.tag.incident
    said = [cti for cti in w.returned if w.claims[cti][_OBEREG].get(0) == 1]
    if opened is None:
        newest = max(said) if said else None
        closed = [row[1] for row in w.levels.get(newest, ())]
        if newest and 4 not in closed:
            raise Violation("the incident of %s is forgotten" % newest.hex())
        return
    levels = w.levels.get(opened.cti, [])
    if opened.cti not in w.tokens:
        raise Violation("an incident of no alert")
    state = _LEVELS[opened.state]
    if state > 1 and state not in [row[1] for row in levels]:
        raise Violation("%s from nowhere" % opened.state)
    done = [row for row in levels if len(row) == 3]
    if done and done[-1][1] != 4 and opened.rev < done[-1][0]:
        raise Violation("back to %s, which rev %d had ended" % (opened.state, done[-1][0]))
    if opened.rev > w.rev:
        raise Violation("rev %d was never said" % opened.rev)
    # A desk rings for a higher number only.
    presses = [
        w.claims[cti][_OBEREG].get(6, 1)
        for cti in w.returned
        if cti == opened.cti or w.claims[cti][_OBEREG].get(1) == opened.cti
    ]
    if opened.presses < max(presses + [1]):
        raise Violation("%d presses, %d were said" % (opened.presses, max(presses)))
    if list(opened) != (cbor.decode(w.kept) if w.kept else ["calling", opened.cti, opened.digest, 0, 1]):
        raise Violation("%r is not what the record says" % (opened,))


def check_alive(w):
    """After all: it still calls for help, and what it says is kept, sent and settled."""
    w.answer_state()
    w.answer(4)
    w.unasked(4)
    if w.app.tag.outbox.pending() or w.app.tag.incident:
        raise Violation("not settled by right acks")
    w.press()
    w.wait(5000)
    before = len(w.app.tag.outbox.pending())
    w.supply()
    w.power_on()
    if not before or len(w.app.tag.outbox.pending()) != before:
        raise Violation("a press after all that is not on flash")
    check(w)
