"""
What the fakes share: the wiring the supervisor gave, the host's files, and how a life ends.

The wiring is a JSON file written by sim/tag.py before each life; its keys are named there.
"""

import json
import os
import sys

import vfs

# Never mounted: its open() still reaches the host after the firmware's flash took '/'. Without a root, because
# with one rename() resolves both names into the same buffer.
folder = vfs.VfsPosix()

wiring = {}


def load(path):
    """Read the wiring."""
    with open(path) as file:
        wiring.update(json.load(file))


def pin(number):
    """Return (name, active level) of a pin, (None, 1) when it is not on the board map."""
    wanted = str(number)
    # Looked up in one text: as objects a board's pins would take 2 KB of the tag's heap.
    for line in wiring["pins"].split("\n"):
        at, name, active = line.split()
        if at == wanted:
            return name, int(active)
    return None, 1


def read(path):
    """Return the bytes of a host file, or None when there is none."""
    try:
        with folder.open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def write(path, data):
    """Replace a host file in one step: a kill leaves the old or the new content."""
    with folder.open(path + ".new", "wb") as file:
        file.write(data)
    folder.rename(path + ".new", path)


def command(reason):
    """Return the shell command that ends this life: nothing is flushed, no finally block runs."""
    return "echo '%s' >%s; kill -9 $PPID" % (reason, wiring["reset_sh"])


def end(reason):
    """End this life as a chip does; the supervisor reads the reason and starts the next."""
    os.system(command(reason))
    while True:  # the signal is on its way
        pass


def trace(text):
    if wiring.get("trace"):
        print("[sim]", text, file=sys.stderr)
