"""A full outbox drops the oldest message, whatever it is."""

EDITS = [
    (
        "outbox",
        "            if not entry.urgent():\n",
        "            if entry:\n",
    ),
]
