"""A level is believed whatever its rev: an old "coming" after "declined"."""

EDITS = [
    (
        "tag",
        "            if ack.rev > opened.rev:\n",
        "            if ack.rev != opened.rev:\n",
    ),
]
