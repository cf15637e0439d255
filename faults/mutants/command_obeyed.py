"""A command does something, although this version knows none."""

EDITS = [
    (
        "tag",
        '            self._refuse("down.command", "unknown")\n',
        '            self.nonce = b"obeyed!!"\n',
    ),
]
