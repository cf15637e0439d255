"""The outbox is settled when the broker has a message."""

EDITS = [
    (
        "link",
        '        elif event == "message":\n',
        (
            '        elif event == "puback":\n'
            "            for entry in self._outbox.pending()[:1]:\n"
            "                self._outbox.settle(entry)\n"
            '        elif event == "message":\n'
        ),
    ),
]
