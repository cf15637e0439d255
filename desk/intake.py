"""
One payload in, one answer out: the duties of docs/protocol.md §6, in their order.

Verify, store, commit, and only then answer. It does no MQTT; serve.py does. Calls block for as long as a
commit takes, so they belong into a worker thread.
"""

import secrets
import time
from dataclasses import dataclass, field

from desk import token
from desk.claims import ALERT, INCIDENT_KINDS, Claims, TokenError
from desk.events import Event, stamp
from desk.incidents import (
    DROP,
    LATE,
    NEW,
    REPEAT,
    REUSE,
    RING_DECLINED,
    Incident,
    first_of,
    judge,
    receive,
)
from desk.store import Store, nonces_of, registration_of, unix_ms
from desk.tags import Registration

# Why a payload is refused, beside the reasons of token.py.
UNKNOWN = "unknown"
REVOKED = "revoked"


@dataclass
class Answer:
    """
    What to publish on `topic` (nothing when `token` is None), and what happened.

    `events` are stamped and to be written now, `sent` is what to stamp and write once the token is published.
    `incident` and `rev` are set for a level said unasked.
    """

    topic: str
    token: bytes | None = None
    events: list[Event] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)
    incident: int = 0
    rev: int = 0


class Intake:
    """Takes what comes on `obereg/+/up/#` into a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def handle(self, topic: str, payload: bytes) -> Answer:
        """
        Take one payload. Raises StoreError when it was not committed: then nothing must be said to the tag.

        A malformed, forged, unknown or revoked one raises nothing: its answer is a `refused` event.
        """
        tag = topic.split("/")[1]
        answer = Answer(f"obereg/{tag}/down")
        try:
            registration = self._registration(tag)
            claims = token.verify(payload, registration.up, registration.kid)
        except TokenError as error:
            answer.events = [stamp("refused", tag=tag, reason=error.reason, text=str(error))]
            return answer
        with self.store.transaction():
            happened = self._decide(answer, registration, claims, payload)
        answer.events = [stamp(**event) for event in happened]
        return answer

    def changes(self) -> list[Answer]:
        """The levels to say unasked; each names its incident's first alert. Raises StoreError."""
        if not self.store.unsaid():
            return []
        with self.store.transaction():
            return [self._level(incident) for incident in self.store.unsaid()]

    def said(self, answer: Answer) -> None:
        """An answer of `changes` was published. Raises StoreError."""
        with self.store.transaction():
            self.store.said(answer.incident, answer.rev)

    def silences(self, since_ms: int) -> list[Event]:
        """The tags that have fallen silent, as events; before `since_ms` nobody listened. Raises StoreError."""
        with self.store.transaction():
            rows = self.store.fall_silent(since_ms)
        return [
            stamp("silent", tag=row["tag"], name=row["name"], heard_unix_ms=row["heard_ms"]) for row in rows
        ]

    def _registration(self, tag: str) -> Registration:
        row = self.store.tag(tag)
        if row is None:
            raise TokenError(UNKNOWN, "no such tag is registered; `tags import` takes its registration")
        if row["revoked_ms"] is not None:
            raise TokenError(REVOKED, "the tag is revoked")
        return registration_of(row)

    def _decide(
        self, answer: Answer, registration: Registration, claims: Claims, payload: bytes
    ) -> list[Event]:
        """§6 steps 2 and 3, inside a transaction; returns the events to stamp when it is committed."""
        tag, digest = registration.tag, token.digest(payload)
        said = {
            "tag": tag,
            "kind": claims.kind,
            "epoch": claims.epoch,
            "seq": claims.seq,
            "digest": digest.hex(),
        }
        row = self.store.tag(tag)
        seen, number = self.store.seen(tag, claims, digest)
        mark = (row["mark_epoch"], row["mark_seq"]) if row else (-1, -1)
        verdict = judge(claims, seen, mark, nonces_of(row))
        if verdict == DROP:
            return [{"what": "refused", **said, "reason": LATE, "text": "older than what the tag said since"}]
        if verdict == REPEAT:
            incident = self.store.incident(number) if number else None
            if claims.kind in INCIDENT_KINDS:
                self._ack(answer, registration, claims, digest, incident, {**said, "repeat": True})
            return []
        incident, ring = None, None
        if claims.kind in INCIDENT_KINDS or verdict == REUSE:
            incident = self._incident_of(tag, claims, verdict)
            incident, ring = receive(incident, claims, digest, verdict, tag, unix_ms())
            self.store.put_incident(incident)
        self.store.put_message(tag, claims, digest, payload, verdict, incident.id if incident else None)
        if verdict == NEW:
            self.store.move_mark(registration, claims)
        self._ack(answer, registration, claims, digest, incident, said)
        stored = {"what": "stored", **said, **_where(incident), "token": payload.hex()}
        happened = [stored if verdict == NEW else {**stored, "reason": verdict}]
        if verdict == NEW and row is not None and row["silent_ms"]:
            happened.append({"what": "heard_again", "tag": tag, "silent_ms": unix_ms() - row["heard_ms"]})
        if incident and ring:
            happened.append(
                {"what": "rang", "tag": tag, **_where(incident), "reason": ring, "test": incident.test}
            )
        return happened

    def _incident_of(self, tag: str, claims: Claims, verdict: str) -> Incident | None:
        if verdict != REUSE:
            return self.store.incident_named(tag, first_of(claims))
        # A clone says something every ten seconds: its presses get an incident each, all the rest share one.
        return None if claims.kind == ALERT else self.store.open_reuse(tag)

    def _ack(
        self,
        answer: Answer,
        registration: Registration,
        claims: Claims,
        digest: bytes,
        incident: Incident | None,
        said: Event,
    ) -> None:
        nonce = self._nonce(registration.tag)
        if incident and claims.kind in INCIDENT_KINDS:
            body = token.ack(claims.cti, digest, incident.level, incident.rev, nonce, int(time.time()))
        else:
            body = token.state_ack(claims.cti, digest, nonce, int(time.time()))
        answer.token = token.seal(body, registration.down, registration.kid)
        answer.sent = [{"what": "acked", **said, **_where(incident)}]

    def _level(self, incident: Incident) -> Answer:
        row = self.store.tag(incident.tag)
        if row is None or incident.digest is None:
            raise LookupError("`unsaid` gives only incidents of known tags, with a digest")
        registration = registration_of(row)
        nonce = self._nonce(incident.tag)
        body = token.ack(
            incident.first, incident.digest, incident.level, incident.rev, nonce, int(time.time())
        )
        event = {"tag": incident.tag, **_where(incident)}
        sent = [{"what": "level", **event}]
        if incident.level == token.DECLINED:
            sent.append({"what": "rang", **event, "reason": RING_DECLINED, "test": incident.test})
        return Answer(
            topic=f"obereg/{incident.tag}/down",
            token=token.seal(body, registration.down, registration.kid),
            sent=sent,
            incident=incident.id,
            rev=incident.rev,
        )

    def _nonce(self, tag: str) -> bytes:
        nonce = secrets.token_bytes(8)
        self.store.say_nonce(tag, nonce)
        return nonce


def _where(incident: Incident | None) -> Event:
    return {"incident": incident.id, "level": incident.level, "rev": incident.rev} if incident else {}
