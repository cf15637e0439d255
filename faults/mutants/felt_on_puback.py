"""The child feels "the desk has it" when the broker has it."""

EDITS = [
    (
        "link",
        '        elif event == "message":\n',
        (
            '        elif event == "puback":\n'
            '            self._on_trouble.__self__.feel("received")\n'
            '        elif event == "message":\n'
        ),
    ),
]
