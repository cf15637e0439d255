"""A session that says nothing is waited for."""

EDITS = [
    (
        "link",
        "_SILENT_MS = const(3000)\n",
        "_SILENT_MS = const(300000000)\n",
    ),
]
