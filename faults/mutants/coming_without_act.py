"""The desk says "coming" when a person has only seen it."""

EDITS = [
    (
        "desk.incidents",
        '    "seen": ((RECEIVED, DECLINED), SEEN),\n',
        '    "seen": ((RECEIVED, DECLINED), COMING),\n',
    ),
]
