"""A message is said once in each session and never repeated in it."""

EDITS = [
    (
        "link",
        "            entry.due_ms = clock.later(now_ms, entry.backoff.delay_ms())\n",
        "            entry.due_ms = clock.later(now_ms, 400000000)\n",
    ),
]
