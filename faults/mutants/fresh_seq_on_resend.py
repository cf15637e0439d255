"""A message is sealed anew, with a new seq, when it is said again."""

EDITS = [
    (
        "link",
        '            session.mqtt.publish(self._topic + "up/alert", entry.token)\n',
        (
            "            token = entry.token\n"
            "            if entry.backoff.attempt > 1:\n"
            "                tag = self._on_trouble.__self__\n"
            "                first = None if entry.kind == 1 else entry.incident\n"
            "                token = tag._seal(entry.kind, tag._counters.next_cti(), incident=first)\n"
            '            session.mqtt.publish(self._topic + "up/alert", token)\n'
        ),
    ),
]
