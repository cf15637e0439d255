"""
One life of a chip on a cable: `micropython -i start.py FOLDER WIRING CABLE`, where FOLDER holds the fakes of sim/board.

As sim/board/start.py, but the whole chip: the file system lies in the chip's `vfs` partition and is made at the first
start, as MicroPython makes it; NVS lies in its partition; when boot.py and main.py have ended there is the prompt.

CABLE is a JSON file: vfs [first block, blocks], nvs [first byte, bytes], prompt (whether it comes up there, without
main.py), version [3 numbers], machine, intr: the file that holds the character which interrupts (-1: none does).
"""

# ruff: noqa: E402, F401, I001, BLE001, RUF005, UP031 -- the order is the point, as in sim/board/start.py

import gc
import json
import os
import sys

sys.path[:] = [sys.argv[1], ".frozen"]

import vfs

import simhost

simhost.load(sys.argv[2])
with open(sys.argv[3]) as file:
    cable = json.load(file)


class Micropython:
    """`micropython`, except that a SIGINT must not end the process when Ctrl-C is off."""

    def __getattr__(self, name):
        return getattr(_micropython, name)

    def kbd_intr(self, char):
        simhost.write(cable["intr"], b"%d" % char)


class Sys:
    """`sys`, as the chip's image says it."""

    def __getattr__(self, name):
        return getattr(_sys, name)


class Nvs:
    """
    The nvs partition, where esp32.py of the fakes has a file: a log of whole states, each with its length. An old state
    stays on flash until the partition is full, as an erased entry of the real NVS does.
    """

    def __init__(self, path, start, size):
        self._file = simhost.folder.open(path, "r+b")
        self._start, self._size = start, size

    def load(self):
        self._file.seek(self._start)
        self._at, state = self._start, None
        while self._at < self._start + self._size:
            head = self._file.read(2)
            if head == b"\xff\xff":
                break
            state = self._file.read(int.from_bytes(head, "little"))
            self._at += 2 + len(state)
        return state

    def save(self, state):
        if self._at + 4 + len(state) > self._start + self._size:
            self._file.seek(self._start)
            for _ in range(self._size // 256):
                self._file.write(b"\xff" * 256)
            self._at = self._start
        self._file.seek(self._at)
        # Body first: without its length it is not there yet.
        self._file.write(b"\xff\xff" + state)
        self._file.seek(self._at)
        self._file.write(len(state).to_bytes(2, "little"))
        self._at += 2 + len(state)


def _patch_host(nvs):
    read, write = simhost.read, simhost.write
    path = simhost.wiring["nvs"]
    simhost.read = lambda name: nvs.load() if name == path else read(name)
    simhost.write = lambda name, data: nvs.save(data) if name == path else write(name, data)


_patch_host(Nvs(simhost.wiring["flash"], *cable["nvs"]))
import micropython as _micropython

sys.modules["micropython"] = micropython = Micropython()
_sys = sys
sys.modules["sys"] = sys = Sys()
sys.platform = "esp32"
from collections import namedtuple

sys.implementation = namedtuple("implementation", ("name", "version", "_machine", "_mpy"))(
    "micropython", tuple(cable["version"]) + ("",), cable["machine"], _sys.implementation._mpy
)
sys.version = "3.4.0; MicroPython v%d.%d.%d" % tuple(cable["version"])

import time

time.load()

import esp32
import machine

import simflash
import simpanel

if simhost.wiring["wifi"]:
    import network
    import socket


class Partition(simflash.Flash):
    """The `vfs` partition of the flash file."""

    def __init__(self, path, first, blocks, fuse):
        super().__init__(path, fuse)
        self._first, self._count = first, blocks

    def readblocks(self, block, buf, offset=0):
        super().readblocks(block + self._first, buf, offset)

    def writeblocks(self, block, buf, offset=0):
        super().writeblocks(block + self._first, buf, offset)

    def ioctl(self, op, arg):
        if op == 4:
            return self._count
        return super().ioctl(op, arg + self._first if op == 6 else arg)


def mount():
    """Mount '/' as MicroPython does: a blank partition is formatted, a damaged one is said to be."""
    vfs.umount("/")  # the host's, in any case
    unit = 32  # the ESP32 port's read and program size
    device = Partition(simhost.wiring["flash"], cable["vfs"][0], cable["vfs"][1], simhost.wiring["fuse"])
    blank = bytearray(256)
    device.readblocks(0, blank)
    fresh = blank == b"\xff" * 256
    try:
        if fresh:
            vfs.VfsLfs2.mkfs(device, readsize=unit, progsize=unit, lookahead=unit)
        file_system = vfs.VfsLfs2(device, readsize=unit, progsize=unit, lookahead=unit)
    except OSError:
        while True:
            print("The filesystem appears to be corrupted.")
            time.sleep(3)
    vfs.mount(file_system, "/")
    os.chdir("/")
    if fresh:
        with open("boot.py", "w") as file:
            file.write("# This file is executed on every boot\n")


def run(name):
    """Execute a file of the flash in the prompt's namespace. False when it raised."""
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return True
    # MicroPython turns Ctrl-C on before each file and off behind it.
    try:
        micropython.kbd_intr(3)
        exec(compile(source, name, "exec"), globals())
    except SystemExit:
        machine.soft_reset()
    except BaseException as error:  # a Ctrl-C too: the prompt comes
        sys.print_exception(error)
        return False
    finally:
        micropython.kbd_intr(-1)
    return True


if simhost.wiring["umqtt"]:
    import umqtt.simple
if simhost.wiring["panel"]:
    simpanel.connect(*simhost.wiring["panel"])
try:
    mount()
except KeyboardInterrupt:
    pass  # at a damaged file system; the prompt comes, with nothing mounted
except Exception as error:
    # A fault of the simulator's own must not look like a chip's prompt.
    sys.print_exception(error)
    os.system("kill -TERM $PPID")
gc.collect()
sys.path[:] = ["", ".frozen", "/lib"]
sys.argv[:] = []
if run("boot.py") and not cable["prompt"]:
    run("main.py")
micropython.kbd_intr(3)
