"""A rev that a restored desk gives again is no concern of the tag's."""

EDITS = [
    (
        "incident",
        "    if step(incident.state, event)[0] == incident.state:\n",
        "    if True:\n",
    ),
]
