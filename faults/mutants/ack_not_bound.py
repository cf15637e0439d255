"""An ack is not bound to the digest of the message that it names."""

EDITS = [
    (
        "tag",
        "            right = entry.digest == ack.digest",
        "            right = True",
    ),
]
