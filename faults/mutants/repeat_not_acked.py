"""The desk does not answer what it has already."""

EDITS = [
    (
        "desk.intake",
        ("            if claims.kind in INCIDENT_KINDS:\n                self._ack(answer"),
        ("            if claims.kind > 9:\n                self._ack(answer"),
    ),
]
