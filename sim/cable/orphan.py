"""A program that must not outlive whoever started it."""

import ctypes

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def end_with_parent(number: int) -> None:
    """Have this process sent signal `number` when its parent is gone (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)
