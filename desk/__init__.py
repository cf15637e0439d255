"""
The desk: the smallest real Obereg backend.

It verifies what tags say, commits it to SQLite, answers with a signed ack and shows incidents to people.
It does not call, text or page anybody, and it has no web page: `python -m desk --help` is its face.
The contract is docs/protocol.md.
"""


class DeskError(Exception):
    """What a person at the desk can put right. Every module's error is one of these."""
