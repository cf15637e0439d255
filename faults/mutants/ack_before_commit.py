"""The desk answers first and commits with its next transaction."""

EDITS = [
    (
        "desk.store",
        '            self.db.execute("BEGIN IMMEDIATE")\n',
        (
            "            if self.db.in_transaction:\n"
            '                self.db.execute("COMMIT")\n'
            '            self.db.execute("BEGIN IMMEDIATE")\n'
        ),
    ),
    (
        "desk.store",
        ('            yield\n            self.db.execute("COMMIT")\n'),
        "            yield\n",
    ),
]
