# Runs first, from source: finishes an installation that was cut, then holds the service window (docs/technician.md).
import gc
import os

import machine
import micropython

# MicroPython turns Ctrl-C on for this file and for main.py. In service there is no prompt.
micropython.kbd_intr(-1)
# Keeps the heap in one piece: docs/decisions.md 14.
gc.threshold(8192)
cause = machine.reset_cause()
print("obereg: reset cause %d, wake reason %d" % (cause, machine.wake_reason()))
try:
    with open("/stage/ready") as file:
        names = file.read().split()
except (OSError, ValueError):
    names = []
for name in names:
    try:
        if name[0] == "-":
            os.remove(name[1:])
        else:
            os.rename("/stage" + name, name)
    except OSError as error:
        if error.errno != 2:  # gone: done before the cut
            names = []  # tried again at the next start
if names:
    os.remove("/stage/ready")


def held(pin, level):
    pull = machine.Pin.PULL_DOWN if level else machine.Pin.PULL_UP
    return machine.Pin(pin, machine.Pin.IN, pull).value() == level


# In service the mark is there: button's pin and level, and the charger's if the board has it.
try:
    with open("/data/service") as file:
        mark = [int(word) for word in file.read().split()]
except (OSError, ValueError):
    mark = []
if not mark or cause == machine.SOFT_RESET or (held(*mark[:2]) and (not mark[2:] or held(*mark[2:]))):
    micropython.kbd_intr(3)
    if mark and cause not in (machine.SOFT_RESET, machine.DEEPSLEEP_RESET):
        # A finger and a cable at power-on: 3 s for the technician's Ctrl-C. A press from sleep never waits.
        import clock

        began_ms = clock.ticks_ms()
        while clock.since(clock.ticks_ms(), began_ms) < 3000 and held(*mark[:2]):
            pass
else:
    # Here, because main.py would turn Ctrl-C on again; and it never ends at a prompt.
    try:
        import app

        app.run(True)
    except BaseException as error:  # noqa: BLE001 - SystemExit and Ctrl-C too: no prompt behind it
        import sys

        sys.print_exception(error)
    machine.reset()
