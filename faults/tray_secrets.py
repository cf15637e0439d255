"""Whether any key shows in what was written: as bytes, in hex or in base64, in pieces too."""

import base64
from collections.abc import Iterable

# The shortest piece that counts; six random bytes are not found by chance.
_BYTES = 6


def forms(key: bytes) -> set[bytes]:
    """Return every piece of a key in every form, letters in small."""
    found: set[bytes] = set()
    for at in range(len(key) - _BYTES + 1):
        piece = key[at : at + _BYTES]
        found |= {piece.lower(), piece.hex().encode()}
    for text in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The first and the last group hold bits of the neighbours.
            coded = text(bytes(shift) + key)[4:-4].lower()
            found |= {coded[at : at + 8] for at in range(len(coded) - 7)}
    return found


def shown(keys: Iterable[bytes], texts: dict[str, bytes]) -> list[str]:
    """Return the names of the texts in which a piece of a key is found."""
    wanted: dict[int, set[bytes]] = {}
    for key in keys:
        for piece in forms(key):
            wanted.setdefault(len(piece), set()).add(piece)
    guilty = []
    for name, text in texts.items():
        small = text.lower()
        if any(
            small[at : at + size] in pieces
            for size, pieces in wanted.items()
            for at in range(len(small) - size + 1)
        ):
            guilty.append(name)
    return guilty
