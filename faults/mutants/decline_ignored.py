""" "Help is coming" stays felt when who was coming is not."""

EDITS = [
    (
        "incident",
        "coming declined received still_calling\n",
        "coming declined coming -\n",
    ),
]
