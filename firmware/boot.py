# Why are we awake? With board.py the only importer of machine. Stock MicroPython runs it from source, before main.py.
# The technician's service window and safe mode belong here, before anything that can fail.
import gc

import machine

# Importing the firmware leaves what is for ever and what is for a moment side by side; collected late, the holes
# are too small for a TLS buffer. Collected often, the heap stays in one piece.
gc.threshold(8192)
print("obereg: reset cause %d, wake reason %d" % (machine.reset_cause(), machine.wake_reason()))
