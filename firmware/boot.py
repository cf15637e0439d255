# Runs before main.py, from source. The service window and safe mode belong here.
import gc

import machine

# Keeps the heap in one piece: docs/decisions.md 14.
gc.threshold(8192)
print("obereg: reset cause %d, wake reason %d" % (machine.reset_cause(), machine.wake_reason()))
