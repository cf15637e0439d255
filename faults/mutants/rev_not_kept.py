"""What an ack has changed is not written to flash."""

EDITS = [
    (
        "tag",
        "            self._keep(life.Incident(state, *opened[1:]))\n",
        "            self.incident = life.Incident(state, *opened[1:])\n",
    ),
]
