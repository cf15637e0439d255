"""
The invariants. The judge sees what reaches flash, the air, the child's skin and the desk's disk, and believes nothing
else.

I1 no "coming" is felt without a person's act stored at the desk, nor any other answer that does not stand there
I2 every completed gesture whose record reached flash ends stored at the desk
I3 one incident per press rule: a press opens one when none is open, and none when one is
I4 every alert is finally acked, and the tag ends knowing the incident's level
I5 no (epoch, seq) is used for two different messages
I6 no command or ack is acted on twice or forged
"""

from typing import Any

import cbor2
import journal
from tag import Tag

from desk import token as envelope
from faults.world.flash import PowerCut

_ALERT = 1
_ANSWERS = ("received", "coming", "closed", "still_calling")
# The tag's state by the desk's level
_STATES = {1: "received", 2: "seen", 3: "coming", 5: "received"}


class Judge:
    """`violations` holds texts. `line`: counters may start over only when an older flash image is put back."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.violations: list[str] = []
        self._line = 0
        self._names: dict[tuple[int, bytes], bytes] = {}  # (line, cti): digest
        self._known: dict[bytes, bytes] = {}  # token: cti
        self._owed: dict[bytes, bytes] = {}  # digest: token, of every press on flash
        self._acks: dict[bytes, dict] = {}  # what the desk sealed: token: its obereg claim
        self._applied: dict[bytes, int] = {}  # highest rev applied, by the incident's cti
        self._alerts: set[bytes] = set()
        self._closed: set[bytes] = set()
        self._presses: dict[bytes, int] = {}  # the most that flash has held, by the incident's cti
        self._rings: dict[tuple[bytes, str], int] = {}
        self._stored: set[bytes] = set()  # digests that a desk had on its disk, whatever became of the disk
        self._felt: list[str] | None = None  # while an ack is being taken
        self._nonces: set[bytes] = set()  # taken from acks in this life of the tag
        self.gestures = 0
        self.revs_given_twice = 0

    def blame(self, invariant: str, text: str, *values: Any) -> None:
        said = f"{invariant}: " + text % values
        self._world.log("VIOLATION", "%s", said)
        self.violations.append(said)

    def crashed(self, error: BaseException | None) -> None:
        self.blame("crash", "%r", error)

    # ------------------------------------------------------------------------------------------- counters (I5), flash

    def cti_of(self, payload: bytes) -> bytes | None:
        """The identity in a message upward; None where there is none."""
        if payload not in self._known:
            try:
                self._known[payload] = cbor2.loads(cbor2.loads(payload).value.value[2])[7]
            except Exception:  # noqa: BLE001 - noise of the attacker
                return None
        return self._known[payload]

    def said(self, payload: bytes) -> None:
        """The tag has said this, or has it on flash."""
        cti, digest = self.cti_of(payload), envelope.digest(payload)
        if cti is None:
            self.blame("I5", "a message without an identity: %s", payload.hex())
        elif self._names.setdefault((self._line, cti), digest) != digest:
            self.blame("I5", "%s names two messages", cti.hex())

    def will(self, payload: bytes) -> bytes:
        self.said(payload)
        return payload

    def on_flash(self, path: str, content: bytes | None) -> None:
        if content is not None and path.startswith("/data/outbox/"):
            kind, incident, pressed, payload = cbor2.loads(journal.unpack(content) or b"")
            self.said(payload)
            if pressed:
                self._owed[envelope.digest(payload)] = payload
                self._count(incident, self._presses.get(incident, 0) + 1)
            if kind == _ALERT:
                self._alerts.add(incident)
        elif content is not None and path == "/data/incident":
            _, incident, _, _, presses = cbor2.loads(journal.unpack(content) or b"")
            self._count(incident, presses)

    @property
    def rolled(self) -> bool:
        """Whether counters started over: then an alert may be the very bytes of an old one, and nobody can tell."""
        return self._line > 0

    def _count(self, incident: bytes, presses: int) -> None:
        self._presses[incident] = max(presses, self._presses.get(incident, 0))

    def rolled_back(self) -> None:
        """An older flash image is put back: what only the newer one held is gone, by nobody's fault but the world's."""
        self.remember(self._world.office)
        self._owed = {digest: token for digest, token in self._owed.items() if digest in self._stored}
        self._applied = {}
        self._closed = set()
        self._line += 1

    # ----------------------------------------------------------------------------------------------- the button (I3)

    def started(self, tag: Tag) -> None:
        self._nonces = set()
        kept = self._world.body.disk.files.get("/data/incident")
        if kept and tag.incident is None:
            self.blame("I3", "the open incident is forgotten by a restart")
        if tag.incident and tag.incident.cti in self._closed:
            self.blame("I3", "a restart opens an incident that was closed")

    def button(self, tag: Tag, on_button: Any, event: str, at_ms: int) -> None:
        if not self._world.body.power.on:
            raise PowerCut
        before, opened = tag.outbox.pending(), tag.incident
        on_button(event, at_ms)
        new = [entry for entry in tag.outbox.pending() if entry not in before and entry.pressed]
        if event != "pressed":
            if new:
                self.blame("I3", "%s made a press", event)
            return
        self.gestures += 1
        if len(new) != 1:
            self.blame("I3", "a press made %d messages", len(new))
            return
        (entry,) = new
        if entry.digest not in self._owed:
            self.blame("I2", "a press is not on flash when it is told")
        if (entry.kind == _ALERT) != (opened is None):
            self.blame("I3", "a press said kind %d, incident before: %r", entry.kind, opened)
        self._world.log("child", "pressed: kind %d, %s", entry.kind, entry.cti.hex())

    # ------------------------------------------------------------------------------------------ what is felt (I1, I6)

    def felt(self, signal: str) -> None:
        if self._felt is not None:
            self._felt.append(signal)
        elif signal in _ANSWERS:
            self.blame("I1", "%s is felt, and no ack was taken", signal)
        if signal not in ("touch", "fault"):
            self._world.log("felt", "%s", signal)

    def down(self, tag: Tag, payload: bytes) -> None:
        """One payload reaches the tag; what it does there must be right."""
        if not self._world.body.power.on:
            raise PowerCut
        before = self._state(tag)
        felt: list[str] = []
        self._felt = felt
        whole = False
        try:
            tag.on_down(payload)
            whole = True
        finally:
            self._felt = None
            if felt or self._state(tag) != before:
                self._acted(tag, payload, before, felt)
            if whole and before[0] and tag.incident is None:
                self._closed.add(before[0].cti)
            if whole and tag.incident:
                self._applies(tag.incident, payload, before[0])
            if tag.nonce != before[2]:
                if tag.nonce in self._nonces:
                    self.blame("I6", "the nonce is set back to %s", tag.nonce.hex())
                self._nonces.add(tag.nonce)

    def _applies(self, opened: Any, payload: bytes, before: Any) -> None:
        """An ack was taken to its end: what it says must be what stands now, and on flash."""
        said = self._acks.get(payload, {})
        level = _STATES.get(said.get(3, 0))
        if before and opened.rev > before.rev and opened.state != level:
            # A desk that lost its disk gave a rev again: the tag goes above it, and waits for what is said there. So do
            # two incidents of one name, once counters have started over.
            again = self._world.office.restores or self.rolled
            if before != opened._replace(rev=said.get(9, 0)) or not again:
                self.blame("I1", "level %d came, and the tag says %s", said.get(3, 0), opened.state)
            self.revs_given_twice += 1
        self._applied[opened.cti] = max(opened.rev, self._applied.get(opened.cti, 0))

    def _state(self, tag: Tag) -> tuple[Any, ...]:
        entries = [entry.digest for entry in tag.outbox.pending()]
        return tag.incident, entries, tag.nonce, tag.utc.utc_s(), tag.link.state, tag._state_id

    def _acted(self, tag: Tag, payload: bytes, before: tuple[Any, ...], felt: list[str]) -> None:
        ack = self._acks.get(payload)
        if ack is None:
            self.blame("I6", "acted on what the desk never sealed as an ack: %s", payload.hex())
            return
        opened, entries = before[:2]
        gone = set(entries) - {entry.digest for entry in tag.outbox.pending()}
        for digest in gone - {ack[2]}:
            self.blame("I6", "an ack of %s settled %s", ack[2].hex(), digest.hex())
        for digest in gone:
            if not self.is_stored(digest):
                self.blame("I2", "settled, and the desk does not have it: %s", digest.hex())
        answers = [signal for signal in felt if signal in _ANSWERS]
        state = tag.incident.state if tag.incident else "idle"
        if not answers and (opened is None or opened.state == state):
            return
        self._world.log("tag", "ack: level %d, rev %d: %s %s", ack.get(3, 0), ack.get(9, 0), state, answers)
        if not self.is_stored(ack[2]):
            self.blame("I1", "%s is felt, and the desk does not have the message", answers)
        again = opened and ack.get(9, 0) <= self._applied.get(opened.cti, 0)
        # Another press within the incident has arrived: said by an ack of the same rev.
        if again and (state != opened.state or answers != ["received"] or not gone):
            self.blame("I6", "rev %d is applied again: %s, %s", ack.get(9, 0), state, answers)
        if "coming" in answers and ack.get(3) != envelope.COMING:
            self.blame("I1", "coming is felt for level %d", ack.get(3, 0))

    # ------------------------------------------------------------------------------------------------------- the desk

    def answered(self, answer: Any) -> None:
        """The desk seals an answer. "Coming" must stand on the latest act in its store."""
        said = cbor2.loads(cbor2.loads(answer.token).value.value[2])[-65537]
        self._acks[answer.token] = said
        if said.get(3) == envelope.COMING:
            incident = answer.sent[0]["incident"]
            acts = self._world.office.committed(
                "SELECT act FROM acts WHERE incident = ? ORDER BY rowid DESC LIMIT 1", incident
            )
            if acts != [("take",)]:
                self.blame("I1", "the desk says coming without an act: %r", acts)

    def answered_cti(self, payload: bytes) -> bytes:
        return self._acks.get(payload, {}).get(1, b"")

    def desk_says(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._world.log("desk", "%s %s", event["what"], event.get("reason", event.get("kind")))
            if event["what"] == "rang":
                (row,) = self._world.office.store.rows(
                    "SELECT first FROM incidents WHERE id = ?", event["incident"]
                )
                name = (row["first"], event["reason"])
                self._rings[name] = self._rings.get(name, 0) + 1

    def is_stored(self, digest: bytes) -> bool:
        if digest not in self._stored:
            self.remember(self._world.office)
        return digest in self._stored

    def remember(self, office: Any) -> None:
        """Take down what stands on the desk's disk."""
        rows = office.committed("SELECT digest FROM messages UNION SELECT digest FROM reuses")
        self._stored.update(row[0] for row in rows)

    # -------------------------------------------------------------------------------------------------------- the end

    def unsettled(self) -> str:
        """What is not yet as it must be once all is well again; "" if nothing."""
        tag, office = self._world.body.tag, self._world.office
        if tag is None:
            return "the tag is off"
        waiting = [entry for entry in tag.outbox.pending() if entry.urgent()]
        if waiting:
            return f"{len(waiting)} alerts or cancels are not acked"
        opened = tag.incident
        if opened is None or self.rolled:
            return ""
        incident = office.store.incident_named(tag.me.tag, opened.cti)
        if incident is None:
            return "the desk does not know the open incident"
        if (_STATES.get(incident.level), incident.rev) != (opened.state, opened.rev):
            return f"the tag is {opened.state} rev {opened.rev}, the desk {incident.level} rev {incident.rev}"
        return ""

    def unheard(self) -> str:
        """Why the tag's last state message does not count at the desk; "" if it does."""
        tag = self._world.body.tag
        if self.rolled:
            return ""  # counters that started over are below the mark until they have passed it again
        if tag is None:
            return "the tag is off"
        if tag.link.state:
            return "a state message is not answered"
        return self.behind()

    def behind(self) -> str:
        """Why the desk does not count what the tag says; "" if it does."""
        tag = self._world.body.tag
        ((epoch,),) = self._world.office.committed("SELECT mark_epoch FROM tags WHERE tag = ?", tag.me.tag)
        return (
            ""
            if epoch == tag._counters.epoch
            else f"the tag is in epoch {tag._counters.epoch}, its mark in {epoch}"
        )

    def verdict(self) -> None:
        """I2 and I3, when all is over."""
        office = self._world.office
        self.remember(office)
        for digest, payload in self._owed.items():
            if digest not in self._stored:
                self.blame("I2", "a press is not at the desk: %s", (self.cti_of(payload) or b"").hex())
        again = office.restores + 1
        named: set[bytes] = set()
        for first, flags in office.committed("SELECT first, flags FROM incidents WHERE tag = ?", self._tag()):
            if "counter reuse" in flags and self.rolled:
                continue
            if first in named:
                self.blame("I3", "two incidents are named %s", first.hex())
            named.add(first)
            if first not in self._alerts:
                self.blame("I3", "an incident that no press opened: %s (%s)", first.hex(), flags)
        for (first, reason), times in self._rings.items():
            presses = 1 if reason == "alert" else self._presses.get(first, 0)
            if times > presses * again and not self.rolled:
                self.blame("I3", "%s rang %d times (%s) for %d presses", first.hex(), times, reason, presses)

    def _tag(self) -> str:
        return self._world.body.tag.me.tag
