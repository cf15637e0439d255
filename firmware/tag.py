"""
What the tag does: a press becomes an alert, a fix an update, a right ack something the child feels.

    press → alert → outbox (flash) → link → ... → signed ack → outbox.settle → vibration

It joins the parts and owns no hardware: buttons, fixes and downlinks come in by calls, signals and messages go out
through what it was given. Every decision about an incident is in incident.py's table.
"""

import clock
import envelope
import incident as life
from alert import AlertError, parse_down, up_claims
from drill import Drill
from micropython import const
from outbox import Entry, OutboxError
from place import Place

# docs/protocol.md section 4: kinds and flags
_ALERT = const(1)
_CANCEL = const(2)
_UPDATE = const(3)
_HEARTBEAT = const(4)
_LINK_LOST = const(7)
_EPOCH_REGENERATED = const(8)

# A fix that good is worth an update at once.
_GOOD_M = const(50)
# When updates follow the press: at the first good fix or at 20 s, then every 10 s, after 10 min every 60 s.
_FIRST_UPDATE_MS = const(20000)
_UPDATE_EVERY_MS = const(10000)
_SLOW_UPDATE_MS = const(60000)
_QUICK_FOR_MS = const(600000)
# Not delivered after this long: a slow quiet tick says "still trying".
_STILL_TRYING_MS = const(15000)
_STILL_TRYING_EVERY_MS = const(8000)
# A touch hurries the link along; without a press it may rest again.
_TOUCH_HURRY_MS = const(10000)
# Three taps within this are a press.
_GESTURE_MS = const(2000)


class Tag:
    """
    `me` Identity, `counters` Counters, `utc` Clock, `journal` for the incident's record, `fix()` the receiver's Fix or
    None, `battery_mv()`, `feel(signal)`, `gnss_power(on)`, `cell()` the serving cell or None, `flags` said in every
    message (16: discreet). `link` is set once it exists: link and tag know each other.
    """

    def __init__(
        self, me, counters, utc, outbox, journal, log, fix, battery_mv, feel, gnss_power, cell, flags=0
    ):
        self.me = me
        self._counters = counters
        self.utc = utc
        self.outbox = outbox
        self._journal = journal
        self._log = log
        self._place = Place(fix)
        self._battery_mv = battery_mv
        self.feel = feel
        self._gnss_power = gnss_power
        self._cell = cell
        self._flags = flags | (_EPOCH_REGENERATED if counters.regenerated else 0)
        self.link = self.nonce = None  # the desk's last nonce
        # Of the state message that waits for its ack: (cti, digest), and what it says.
        self._state_id, self._state_text = None, ""
        self.incident = life.restored(journal, outbox.pending(), self._refuse)  # the open one, or None
        self._unkept = False  # whether it must yet be written
        self._began_ms = self._update_ms = 0  # when it began, for this start; when its next update is due
        self._quick = self._placed = False  # whether it is in its first 10 min; had a live fix in an update
        self._tick_ms = None  # when to say "still trying"; None: every press is delivered
        self._touched_ms = None  # of the last touch, for a while
        self._finger = self._may_cancel = False  # whether it is on the button now; its hold may cancel
        self.drill = Drill()

    def start(self, reason):
        """After a start: say that we are here, and go on with what was open."""
        self.heartbeat("start: " + reason)
        if self.incident:
            self._log.say("W", "tag: going on")
            now_ms = clock.ticks_ms()
            self._begin(now_ms)
            if self._undelivered():
                self._tick_ms = clock.later(now_ms, _STILL_TRYING_MS)

    def heartbeat(self, text=""):
        """Say a state message. It never holds a place."""
        cti = self._counters.next_cti()
        token = self._seal(_HEARTBEAT, cti, battery_mv=self._battery_mv(), text=text)
        self._state_id = (cti, envelope.digest(token))
        self._state_text = text
        self.link.state = token
        self.link.kick()

    def will(self):
        """Return the sealed message that the broker says when the session is lost."""
        return self._seal(_LINK_LOST, self._counters.next_cti())

    def on_button(self, event, at_ms):
        """Take one event of lib/button.py."""
        if event == "touch":
            self._log.mark("touch", at_ms)
            self._touched_ms = at_ms
            self._finger = True
            # A child that holds on in fear must not cancel with the grip that called.
            self._may_cancel = self.incident is not None
            self._gnss_power(True)
            self.link.urgent(True)
            self.feel("touch")
        elif event == "pressed":
            self._press(at_ms)
        elif event == "long" and self._may_cancel and self.incident:
            self._say(_CANCEL)
            self._step(self.incident, "cancel")
        elif event in ("released", "stuck"):
            self._finger = False
            if event == "stuck":
                self.heartbeat("button stuck")

    def on_down(self, token):
        """Take one payload from our own topic: act on it if everything about it is right, else count it."""
        try:
            ack = parse_down(envelope.open(token, self.me.down, self.me.kid))
        except (envelope.EnvelopeError, AlertError) as error:
            self._refuse("down.refused", error)
            return
        if ack.level is None:
            self._refuse("down.command", "unknown")
            return
        entry = self.outbox.find(ack.of)
        opened = self.incident
        if ack.level == 0:
            right = self._state_id == (ack.of, ack.digest)
        elif entry:
            right = entry.digest == ack.digest
        else:
            right = opened is not None and opened[1:3] == (ack.of, ack.digest)
        if not right:
            self._refuse("down.not_ours", "not ours")
            return
        self.on_time(ack.iat_s, True)
        first = self.nonce is None  # the echo of a made-up epoch moves the desk's mark there
        if ack.level == 0 or entry or ack.rev > opened.rev:
            self.nonce = ack.nonce  # of any other: it may be an old one said again
        if ack.level == 0:
            self._state_id = self.link.state = None
            if first and self._flags & _EPOCH_REGENERATED:
                self.heartbeat(self._state_text)
            return
        ours = opened and opened.cti == (entry.incident if entry else ack.of)
        said, event, dropped = life.heard(opened, ack.level, ack.rev) if ours else (opened, "", "")
        signal = self._step(said, event) if event else ""
        if dropped:
            self._log.count(dropped)
        if not event and said != opened:
            self._keep(said)
        if entry:
            self.outbox.settle(entry)
            if self._state_id and self._state_id[0] < entry.cti:
                # Older than what the desk has by now: it drops that, and would never answer.
                self.heartbeat(self._state_text)
            if entry.pressed and ours and not signal and self.incident:
                # Another press within the incident has arrived: the child learns it as it learnt of the first.
                self._felt("received")
        if self.incident and not self._undelivered():
            self._tick_ms = None

    def on_trouble(self, why):
        """A session is open at last, after others could not be opened."""
        self.heartbeat("link: " + why)

    def update_soon(self):
        """With the next tick: there is something new to say."""
        self._update_ms = clock.ticks_ms()

    def settled(self):
        """Whether all that was said is answered and no press is on its way: the radio may be lent."""
        now_ms = clock.ticks_ms()
        # Outside an incident a touch hurries the link along: lent meanwhile, the radio would be away at the press.
        if self._finger or (
            self._touched_ms is not None
            and (self.incident is None or clock.since(now_ms, self._touched_ms) < _GESTURE_MS)
        ):
            return False
        return self.link.state is None and not self.outbox.pending()

    def on_time(self, utc_s, signed=False):
        """The desk (signed) or the receiver says what time it is; None: it cannot be what our clock says."""
        if not self.utc.learn(utc_s, signed):
            self._log.count("time.refused")
        if self._counters.trust(self.utc.trust):
            self._log.mark("time known")

    def tick(self, now_ms):
        """Do what time brings: updates, the "still trying" tick, rest after a touch that was no press."""
        fix = self._place.live(now_ms)
        if self._touched_ms is not None and clock.since(now_ms, self._touched_ms) > _TOUCH_HURRY_MS:
            self._touched_ms = None
            if self.incident is None:
                self._rest()
        if self.incident is None:
            return
        if self._unkept:
            self._keep(self.incident)
        if self._tick_ms is not None and clock.since(now_ms, self._tick_ms) >= 0:
            self._tick_ms = clock.later(now_ms, _STILL_TRYING_EVERY_MS)
            self.feel("still_trying")
        first = (
            fix
            and not self._placed
            and (fix.accuracy_m <= _GOOD_M or clock.since(now_ms, self._began_ms) > _FIRST_UPDATE_MS)
            and clock.since(fix.at_ms, self._began_ms) > 0
        )
        if clock.since(now_ms, self._began_ms) >= _QUICK_FOR_MS:
            self._quick = False  # for good: ticks tell only 6 days apart
        if first or clock.since(now_ms, self._update_ms) >= 0:
            # Without a fix, too: each uplink is answered with the present level; "coming" must not wait for a sky.
            self._update_ms = clock.later(
                now_ms, _UPDATE_EVERY_MS if fix and self._quick else _SLOW_UPDATE_MS
            )
            self._placed = self._placed or fix is not None
            self._say(_UPDATE)
            self._log.mark("position update" if fix else "update")

    def _press(self, at_ms):
        self._log.mark("latched")
        opened = self.incident
        self.drill.pressed(opened)
        if opened:
            # Counted before it is said: a cut between the two must not let the next press say the same number, for
            # then it would not ring.
            self._keep(life.Incident(*opened[:4], opened.presses + 1))
            self._say(_UPDATE, True)
            opened = self.incident
        else:
            entry = self._say(_ALERT, True)
            opened = life.Incident("idle", entry.cti, entry.digest, 0, 1)
            self._begin(at_ms)
        self._log.mark("on flash")
        self._tick_ms = clock.later(at_ms, _STILL_TRYING_MS)
        self._step(opened, "press")

    def _step(self, opened, event):
        """Move the incident through the table; return the signal felt, or ""."""
        state, signal = life.step(opened.state, event)
        if signal:
            self._felt(signal)
        if state == "idle":
            self.incident = self._tick_ms = None
            if self.outbox.find(opened.cti):
                # Its alert still waits: after a restart that must not open it again.
                self._put("closed", opened.cti)
            self._journal.remove("incident")
            self._rest()
        elif event == "press":
            # The alert is on flash, and stands for the incident should the power go now: the radio comes first.
            self.incident = life.Incident(state, *opened[1:])
            self._unkept = True
        else:
            self._keep(life.Incident(state, *opened[1:]))
        return signal

    def _keep(self, opened):
        """Set the open incident, on flash too."""
        self.incident = opened
        self._unkept = False
        self._put("incident", life.pack(opened))

    def _put(self, name, data):
        try:
            self._journal.put(name, data)
        except Exception as error:  # noqa: BLE001 - flash refuses: the incident goes on in RAM
            self._refuse("incident.not_on_flash", error)

    def _felt(self, signal):
        self._log.mark("felt " + signal)
        self.feel(signal)

    def _refuse(self, counter, why):
        self._log.count(counter)
        self._log.say("W", "tag: %s: %s" % (counter, why))

    def _begin(self, at_ms):
        """An incident is open from now on: fixes, updates, a link in a hurry."""
        self._began_ms = at_ms
        self._update_ms = clock.later(at_ms, _FIRST_UPDATE_MS)
        self._quick = True
        self._placed = self._may_cancel = False
        self._gnss_power(True)
        self.link.urgent(True)

    def _rest(self):
        self._touched_ms = None
        self._gnss_power(False)
        self.link.urgent(False)

    def _say(self, kind, pressed=False):
        """Seal a message of the incident, put it into the outbox, hurry the link; return its entry."""
        opened = self.incident
        cti = self._counters.next_cti()
        token = self._seal(
            kind,
            cti,
            location=self._place.location(clock.ticks_ms()),
            incident=opened and opened.cti,
            # Battery is said once an incident and in heartbeats: every byte of an update is sent for hours.
            battery_mv=None if opened else self._battery_mv(),
            presses=opened.presses if opened else 1,
            cell=self._cell(),
            flags=self.drill.flag,
        )
        entry = Entry(cti, kind, opened.cti if opened else cti, pressed, token, envelope.digest(token))
        try:
            self.outbox.add(entry)
        except OutboxError as error:
            self._refuse("alert.in_ram_only", error)
        self.link.kick()
        return entry

    def _seal(self, kind, cti, flags=0, **said):
        flags |= self._flags
        rev = self.incident.rev if self.incident else 0
        claims = up_claims(kind, cti, self.utc.utc_s(), flags=flags, nonce=self.nonce, rev=rev, **said)
        return envelope.seal(claims, self.me.up, self.me.kid)

    def _undelivered(self):
        """Whether a press of the open incident still waits for the desk."""
        return self.incident.state == "calling" or self.outbox.holds_press(self.incident.cti)
