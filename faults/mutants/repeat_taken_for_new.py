"""The desk takes a repeat for a new message."""

EDITS = [
    (
        "desk.incidents",
        "        return REPEAT if seen else REUSE\n",
        "        return REUSE\n",
    ),
]
