"""The outbox is kept in RAM alone."""

EDITS = [
    (
        "outbox",
        ("        try:\n            self.journal.put(\n"),
        ("        return\n        try:\n            self.journal.put(\n"),
    ),
]
