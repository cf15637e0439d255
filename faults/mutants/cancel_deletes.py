"""A cancel takes back the alert that is still waiting."""

EDITS = [
    (
        "tag",
        "            self._say(_CANCEL)\n",
        (
            "            self._say(_CANCEL)\n"
            "            for entry in self.outbox.pending():\n"
            "                if entry.kind == _ALERT:\n"
            "                    self.outbox.settle(entry)\n"
        ),
    ),
]
