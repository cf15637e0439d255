"""
What the tag does: a press becomes an alert, a fix an update, a right ack something the child feels.

    press → alert → outbox (flash) → link → ... → signed ack → outbox.settle → vibration

It joins the parts and owns no hardware: buttons, fixes and downlinks come in by calls, signals and messages go out
through what it was given. Every decision about an incident is in incident.py's table.
"""

import alert
import button
import clock
import envelope
import incident as life
import signals
from incident import Incident
from outbox import Entry, OutboxError

# A fix that good is worth an update at once.
GOOD_M = 50
# A receiver speaks every second; what it said longer ago is history, not where the child is.
LIVE_FIX_MS = 5000
# Ticks tell ages of up to 6 days; long before that the last fix is of no use.
MAX_FIX_AGE_MS = 86400000
# When updates follow the press: at the first good fix or at 20 s, then every 10 s, after 10 min every 60 s.
FIRST_UPDATE_MS = 20000
UPDATE_MS = 10000
SLOW_UPDATE_MS = 60000
QUICK_FOR_MS = 600000
# Not delivered after this long: a slow quiet tick says "still trying".
STILL_TRYING_MS = 15000
STILL_TRYING_EVERY_MS = 8000
# A touch hurries the link along; without a press it may rest again.
TOUCH_HURRY_MS = 10000

_RECORD = "incident"


class Tag:
    """
    `me` Identity, `counters` Counters, `utc` Clock, `fixes()` the receiver's Fix or None, `battery_mv()`,
    `feel(signal)`, `gnss_power(on)`, `journal` for the incident's record, `discreet` from the configuration.
    `link` is set once it exists: link and tag know each other.
    """

    def __init__(
        self, me, counters, utc, fixes, battery_mv, feel, gnss_power, outbox, journal, log, discreet
    ):
        self._me = me
        self._counters = counters
        self._clock = utc
        self._fixes = fixes
        self._battery_mv = battery_mv
        self._feel = feel
        self._gnss_power = gnss_power
        self._outbox = outbox
        self._journal = journal
        self._log = log
        self._discreet = discreet
        self.link = None
        self._fix = None  # the last good one, whatever became of it since
        self._nonce = None
        self._state = None  # (cti, digest) of the state message that waits for its ack
        self._incident = self._restore()
        self._cancel_allowed = False
        self._touched_ms = None
        self._opened_ms = clock.ticks_ms()
        self._update_ms = None  # when the next update is due; None: no incident
        self._first_update = True
        self._called_ms = None  # when the press was that is not delivered yet
        self._tick_ms = None

    def incident(self):
        """Return the open Incident, or None."""
        return self._incident

    def start(self, reason):
        """After a start: say that we are here, and go on with what was open."""
        self.heartbeat("start: %s" % reason)
        if self._incident:
            self._log.warning("tag", "an incident was open: going on")
            now_ms = clock.ticks_ms()
            self._begin(now_ms)
            if self._incident.state == life.CALLING:
                self._call(now_ms)

    def heartbeat(self, text=""):
        """Say a state message. It never holds a place."""
        cti = self._counters.next_cti()
        token = self._seal(alert.KIND_HEARTBEAT, cti, battery_mv=self._battery_mv(), text=text)
        self._state = (cti, envelope.digest(token))
        self.link.say_state(token)

    def will(self):
        """Return the sealed message that the broker says when the session is lost."""
        return self._seal(alert.KIND_LINK_LOST, self._counters.next_cti())

    def on_button(self, event, at_ms):
        """Take one event of the button."""
        if event == button.TOUCH:
            self._log.mark("touch", at_ms)
            self._touched_ms = at_ms
            # A child that holds on in fear must not cancel with the grip that called.
            self._cancel_allowed = self._incident is not None
            self._gnss_power(True)
            self.link.urgent(True)
            self._feel(signals.TOUCH)
        elif event == button.PRESSED:
            self._press(at_ms)
        elif event == button.LONG:
            if self._incident and self._cancel_allowed:
                self._cancel()
        elif event == button.STUCK:
            self._log.warning("tag", "the button is stuck")
            self.heartbeat("button stuck for 30 s")

    def on_down(self, token):
        """Take one payload from our own topic: act on it if everything about it is right, else count it."""
        try:
            said = alert.parse_down(envelope.open(token, self._me.down, self._me.kid))
        except (envelope.EnvelopeError, alert.AlertError) as error:
            self._log.count("down.refused")
            self._log.warning("tag", "downlink refused: %s" % error)
            return
        if isinstance(said, alert.Command):
            self._log.count("down.command_refused")
            self._log.warning("tag", "this version knows no command")
            return
        entry = self._outbox.find(said.of)
        if said.level is None:
            right = self._state == (said.of, said.digest)
        elif entry:
            right = entry.digest == said.digest
        else:
            opened = self._incident
            right = opened is not None and (opened.cti, opened.digest) == (said.of, said.digest)
        if not right:
            # A repeat of what was settled long ago, or not meant for us: nothing is felt.
            self._log.count("down.not_ours")
            return
        self._nonce = said.nonce
        if self._clock.learn(said.iat_s) and not self._counters.clock_trusted:
            self._counters.clock_trusted = True
            self._counters.save()
        if said.level is None:
            self._state = None
            self.link.state_settled()
        else:
            self._on_ack(said, entry)

    def on_time(self, utc_s):
        """The receiver says what time it is."""
        if self._clock.utc_s() is None and self._clock.learn(utc_s):
            self._counters.clock_trusted = True
            self._counters.save()

    def tick(self, now_ms):
        """Do what time brings: updates, the "still trying" tick, rest after a touch that was no press."""
        fix = self._live_fix(now_ms)
        if self._incident is None:
            if self._touched_ms is not None and clock.since(now_ms, self._touched_ms) > TOUCH_HURRY_MS:
                self._rest()
            return
        if self._called_ms is not None and clock.since(now_ms, self._tick_ms) >= 0:
            self._tick_ms = clock.later(now_ms, STILL_TRYING_EVERY_MS)
            self._feel(signals.STILL_TRYING)
        good = self._first_update and fix is not None and fix.accuracy_m <= GOOD_M
        if good and clock.since(fix.at_ms, self._opened_ms) > 0 or clock.since(now_ms, self._update_ms) >= 0:
            self._update(now_ms, fix)

    def _press(self, at_ms):
        self._log.mark("latched")
        opened = self._incident
        flags = alert.FLAG_EPOCH_REGENERATED if self._counters.regenerated else 0
        if opened is None:
            entry = self._say(alert.KIND_ALERT, None, 1, flags, True)
            opened = Incident(life.IDLE, entry.cti, entry.digest, 0, 0, flags, False)
            self._begin(at_ms)
        else:
            self._say(alert.KIND_UPDATE, opened, opened.presses + 1, opened.flags, True)
        self._log.mark("on flash")
        self._call(at_ms)
        self.link.urgent(True)
        self._step(Incident(*opened[:4], opened.presses + 1, *opened[5:]), "press")

    def _cancel(self):
        opened = self._incident
        self._say(alert.KIND_CANCEL, opened, opened.presses, opened.flags, False)
        self._log.mark("cancel said")
        self.link.kick()
        self._step(Incident(*opened[:6], True), "cancel")

    def _update(self, now_ms, fix):
        quick = clock.since(now_ms, self._opened_ms) < QUICK_FOR_MS
        # Without a fix there is little to say, but each uplink is answered with the incident's present level: a
        # "coming" that was lost on its way must not wait for a sky.
        pause_ms = UPDATE_MS if quick and fix is not None else SLOW_UPDATE_MS
        self._update_ms = clock.later(now_ms, pause_ms)
        if fix is not None:
            self._first_update = False
        opened = self._incident
        self._say(alert.KIND_UPDATE, opened, opened.presses, opened.flags, False)
        self._log.mark("position update" if fix is not None else "update without a position")
        self.link.kick()

    def _on_ack(self, ack, entry):
        opened = self._incident
        ours = opened is not None and opened.cti == (entry.incident if entry else ack.of)
        state = opened.state if ours else None
        felt = None
        if ours and ack.rev > opened.rev:
            felt = self._step(Incident(*opened[:3], ack.rev, *opened[4:]), life.LEVEL_EVENTS[ack.level])
        if entry is None:
            return
        self._outbox.settle(entry)
        if not entry.pressed:
            return
        self._called_ms = None
        if ours and felt is None and state != life.IDLE and self._incident is not None:
            # Another press within the incident has arrived: the child learns it as it learnt of the first.
            self._felt(signals.RECEIVED)

    def _step(self, opened, event):
        """Move the incident through the table; return the signal felt, if any."""
        state, signal = life.step(opened.state, event)
        if signal:
            self._felt(signal)
        self._log.info("tag", "%s -> %s" % (opened.state, state))
        if state == life.IDLE:
            self._incident = None
            self._journal.remove(_RECORD)
            self._log.mark("closed")
            self._called_ms = None
            self._rest()
        else:
            self._incident = Incident(state, *opened[1:])
            try:
                self._journal.put(_RECORD, life.pack(self._incident))
            except Exception as error:  # noqa: BLE001 - flash refuses: the incident goes on in RAM
                self._log.count("incident.not_on_flash")
                self._log.error("tag", str(error))
        return signal

    def _felt(self, signal):
        self._log.mark("felt %s" % signal)
        self._feel(signal)

    def _call(self, at_ms):
        """A press is not delivered yet."""
        self._called_ms = at_ms
        self._tick_ms = clock.later(at_ms, STILL_TRYING_MS)

    def _begin(self, at_ms):
        """An incident is open from now on: fixes, updates, a link in a hurry."""
        self._opened_ms = at_ms
        self._update_ms = clock.later(at_ms, FIRST_UPDATE_MS)
        self._first_update = True
        self._gnss_power(True)
        self.link.urgent(True)

    def _rest(self):
        self._touched_ms = None
        self._update_ms = None
        self._gnss_power(False)
        self.link.urgent(False)

    def _say(self, kind, opened, presses, flags, pressed):
        """Seal a message of the incident and put it into the outbox; return its entry."""
        cti = self._counters.next_cti()
        token = self._seal(
            kind,
            cti,
            location=self._location(),
            incident=opened.cti if opened else None,
            battery_mv=self._battery_mv() if kind == alert.KIND_ALERT else None,
            flags=flags,
            presses=presses,
        )
        entry = Entry(cti, kind, opened.cti if opened else cti, pressed, token, envelope.digest(token))
        try:
            self._outbox.add(entry)
        except OutboxError as error:
            self._log.error("tag", str(error))
        return entry

    def _seal(self, kind, cti, flags=0, **said):
        if self._discreet:
            flags |= alert.FLAG_DISCREET
        said["rev"] = self._incident.rev if self._incident else 0
        claims = alert.up_claims(kind, cti, iat_s=self._clock.utc_s(), flags=flags, nonce=self._nonce, **said)
        return envelope.seal(claims, self._me.up, self._me.kid)

    def _location(self):
        now_ms = clock.ticks_ms()
        self._live_fix(now_ms)
        fix = self._fix
        if fix is None:
            return None
        age_s = max(0, clock.since(now_ms, fix.at_ms)) // 1000
        return alert.Location(fix.lat_e7, fix.lon_e7, fix.accuracy_m, age_s)

    def _live_fix(self, now_ms):
        """Return the receiver's fix if it is of now, and remember it; forget what is too old to say."""
        fix = self._fixes()
        if fix is not None and clock.since(now_ms, fix.at_ms) <= LIVE_FIX_MS:
            self._fix = fix
            return fix
        if self._fix is not None and clock.since(now_ms, self._fix.at_ms) > MAX_FIX_AGE_MS:
            self._fix = None
        return None

    def _restore(self):
        """The incident that was open before this start: its record, or an alert in the outbox without one."""
        data = self._journal.get(_RECORD)
        if data is not None:
            try:
                return life.unpack(data)
            except life.IncidentError as error:
                self._log.count("incident.damaged")
                self._log.error("tag", str(error))
        for entry in self._outbox.pending():
            if entry.kind == alert.KIND_ALERT:
                # Cut between the alert and its record, or the record rotted.
                return Incident(life.CALLING, entry.cti, entry.digest, 0, 1, 0, False)
        return None
