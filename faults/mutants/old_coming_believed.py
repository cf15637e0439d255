"""A level is believed whatever its rev: an old "coming" after "declined"."""

EDITS = [
    (
        "incident",
        "    if rev > incident.rev:\n",
        "    if rev != incident.rev:\n",
    ),
]
