"""A state message of a made-up epoch below the mark is not answered, so the tag never has anything to echo."""

EDITS = [
    ("desk.incidents", "        if claims.kind != LINK_LOST:\n", "        if claims.kind < HEARTBEAT:\n")
]
