"""What the desk's tests share: a tag that is only its keys and counters, and a database with it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desk import tags, token
from desk.store import Store

KYIV = {1: 50.4501, 2: 30.5234, 4: 12, 9: 3}


@dataclass
class KeyTag:
    """Seals what a tag would say, with any counters, and opens what the desk answers."""

    identity: dict[str, Any] = field(default_factory=tags.new_identity)

    def __post_init__(self) -> None:
        self.registration = tags.parse_registration(tags.registration(self.identity))
        self.id = self.registration.tag
        self.topic = f"obereg/{self.id}/up/alert"

    def say(self, kind: int, seq: int, epoch: int = 1, location: Any = None, **up: Any) -> bytes:
        """A sealed message; `up` holds k1, k3 ... for the keys of the obereg map."""
        inner = {0: kind, **{int(key[1:]): value for key, value in sorted(up.items())}}
        claims: dict[int, Any] = {7: cti(epoch, seq)}
        if location is not None:
            claims[264] = location
        claims[-65537] = inner
        return token.seal(claims, self.registration.up, self.registration.kid)

    def hear(self, sealed: bytes) -> dict[int, Any]:
        """The obereg map of a downward message, after the envelope's checks."""
        claims = token.open_token(sealed, self.registration.down, self.registration.kid)
        assert set(claims) == {6, -65537}
        return dict(claims[-65537])


def cti(epoch: int, seq: int) -> bytes:
    """Epoch and seq as the 8 bytes of a cti."""
    return epoch.to_bytes(4, "big") + seq.to_bytes(4, "big")


def new_store(path: Path, *known: KeyTag) -> Store:
    """A database that knows these tags."""
    store = Store(str(path / "desk.db"), create=True)
    with store.transaction():
        for tag in known:
            store.put_tag(tag.registration)
    return store
