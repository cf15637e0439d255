# Why are we awake? With board.py the only importer of machine. Stock MicroPython runs it from source, before main.py.
# The technician's service window and safe mode belong here, before anything that can fail.
import machine

print("obereg: reset cause %d, wake reason %d" % (machine.reset_cause(), machine.wake_reason()))
