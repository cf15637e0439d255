"""The desk drops what is older than the tag's last message."""

EDITS = [
    (
        "desk.incidents",
        "    return DROP if claims.kind in _DROPPED_WHEN_LATE else LATE\n",
        "    return DROP\n",
    ),
]
