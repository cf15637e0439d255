"""A desk restored from a backup goes on below the tag's rev."""

EDITS = [
    (
        "desk.incidents",
        "    if claims.rev > incident.rev and ",
        "    if claims.rev > 1 << 40 and ",
    ),
]
