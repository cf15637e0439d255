"""Each press opens an incident of its own."""

EDITS = [
    (
        "tag",
        ("        opened = self.incident\n        if opened:\n            # Counted"),
        ("        opened = self.incident = None\n        if opened:\n            # Counted"),
    ),
]
