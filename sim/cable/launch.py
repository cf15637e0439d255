"""Becomes the interpreter, and dies with whoever started it."""

import ctypes
import signal
import sys

from micropython_unix import main

_PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
sys.exit(main())
