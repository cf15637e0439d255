"""
One life of a tag: MicroPython runs this with the wiring's path as its argument (see sim/tag.py).

It puts the fakes in place, connects to the panel, mounts the flash at '/' and runs boot.py and main.py as the
ESP32 does. From then on the firmware sees its own flash and nothing of the host.
"""

# ruff: noqa: E402, F401, I001 -- the order is the point: the path before the fakes, the wiring before time, all
# of them before the flash is mounted, because the firmware finds them only by having been imported here.

import gc
import os
import sys

import _thread
import vfs

# A short name: where a module was found stays in the heap, and a test must not depend on how long that is.
vfs.mount(vfs.VfsPosix(sys.argv[0].rsplit("/", 1)[0]), "/fakes")
sys.path[:] = ["/fakes", ".frozen"]  # the fakes win over the built-in modules

import simhost

simhost.load(sys.argv[1])

import time

time.load()

import esp32
import machine

import simflash
import simpanel

if simhost.wiring["wifi"]:
    import network
    import socket


def lifeline():
    # The supervisor holds our standard input open: when it dies, however it dies, so does the tag.
    sys.stdin.buffer.readinto(bytearray(1))
    os.system("kill -9 $PPID")


def run(name, names):
    """Execute a file of the flash as the ESP32 does. False when it raised; SystemExit is a soft reset."""
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return True
    try:
        code = compile(source, name, "exec")
        del source  # a chip reads it line by line
        exec(code, names)
    except SystemExit:
        machine.soft_reset()
    except BaseException as error:
        sys.print_exception(error)
        return False
    return True


_thread.start_new_thread(lifeline, ())
if simhost.wiring["umqtt"]:
    # Frozen in the ESP32's image, hence importable although it is not on the flash.
    import umqtt.simple
if simhost.wiring["panel"]:
    try:
        simpanel.connect(*simhost.wiring["panel"])
    except OSError as error:
        host, port = simhost.wiring["panel"]
        print("sim: no panel at %s:%d: %s" % (host, port, error), file=sys.stderr)
        sys.exit(3)
vfs.umount("/fakes")
try:
    simflash.mount(simhost.wiring["flash"], simhost.wiring["fuse"])
except OSError as error:
    print("sim: %s holds no LittleFS: %s" % (simhost.wiring["flash"], error), file=sys.stderr)
    sys.exit(3)
gc.collect()  # what compiling the fakes left behind: a chip's heap is clean here
sys.path[:] = ["", ".frozen", "/lib"]
sys.argv[:] = []
names = {"__name__": "__main__"}
# A boot.py that raised keeps the ESP32 from running main.py.
if run("boot.py", names) and run("main.py", names):
    print("sim: main.py ended; a chip would show its prompt now", file=sys.stderr)
while True:
    time.sleep_ms(1000)
