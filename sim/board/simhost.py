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
files = vfs.VfsPosix()

wiring = {}
pins = {}  # pin number -> (name, active level), e.g. {2: ("button", 0), 10: ("gnss", 1)}


def load(path):
    """Read the wiring; name the board's pins."""
    with open(path) as file:
        wiring.update(json.load(file))
    for number, name, active in wiring.pop("pins"):
        pins[number] = (name, active)


def read(path):
    """Return the bytes of a host file, or None when there is none."""
    try:
        with files.open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def write(path, data):
    """Replace a host file in one step: a kill leaves the old or the new content."""
    with files.open(path + ".new", "wb") as file:
        file.write(data)
    files.rename(path + ".new", path)


def end_command(reason):
    """Return the shell command that ends this life: nothing is flushed, no finally block runs."""
    return "echo '%s' >%s; kill -9 $PPID" % (reason, wiring["reset_sh"])


def end(reason):
    """End this life as a chip does; the supervisor reads the reason and starts the next."""
    os.system(end_command(reason))
    while True:  # the signal is on its way
        pass


def trace(text):
    if wiring.get("trace"):
        print("[sim]", text, file=sys.stderr)
