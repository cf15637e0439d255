"""What the firmware's pure modules need of MicroPython's `micropython`, for CPython."""


def const(value):
    """A constant is an ordinary name here."""
    return value
