"""A seq is used before RTC memory has it."""

EDITS = [
    (
        "counters",
        ("        self.seq += 1\n        self.save()\n"),
        "        self.seq += 1\n",
    ),
]
