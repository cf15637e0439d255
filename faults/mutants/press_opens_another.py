"""Each press opens an incident of its own."""

EDITS = [
    (
        "tag",
        ("        opened = self.incident\n        self.drill.pressed(opened)\n"),
        ("        opened = self.incident = None\n        self.drill.pressed(opened)\n"),
    ),
]
