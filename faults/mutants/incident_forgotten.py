"""A restart forgets the open incident."""

EDITS = [
    (
        "incident",
        "            return unpack(record)\n",
        "            return None\n",
    ),
]
