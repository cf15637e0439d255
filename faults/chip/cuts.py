"""
Power cuts at every change of every store, on real MicroPython. Started by faults/cuts.py.

    cuts.py single FIRST COUNT STEP     # of all (scene, operation, tear, what became of RTC memory) every STEP-th
    cuts.py double SEED COUNT 1         # a random scene, a cut in it, a second cut in the recovery from the first
    cuts.py measure 0 0 1               # how many single cuts there are

Prints one JSON object a line: {"violation": text, "run": number} for each, {"runs": n, "cuts": n} now and then, with
"done" at last.
"""

import gc
import json
import sys

import vfs

# The Unix port's own files, so that the tag's flash can stand at "/".
vfs.mount(vfs.VfsPosix(sys.argv[0].rsplit("/", 1)[0]), "/host")
sys.path[:] = [".frozen", "/host/lib", "/host"]

from files import Bits, Violation  # noqa: E402
from judge import check, check_alive  # noqa: E402
from stores import TEARS, PowerCut  # noqa: E402
from world import World  # noqa: E402

with open("/host/boot.py") as _file:
    World.boot = compile(_file.read(), "boot.py", "exec")
with open("/host/settings.json") as _file:
    SETTINGS = [tuple([bytes.fromhex(part) for part in pair]) for pair in json.load(_file)]
World.settings = SETTINGS[0]

# What becomes of RTC memory: a cut of the supply loses it, a reset keeps it, and may tear what was being written.
RTC = ("lost", "kept")


# ------------------------------------------------------------------------------------------------------- scenes: steps

STEPS = {
    "state": lambda w: w.answer_state(),
    "press": lambda w: w.press(),
    "tick": lambda w: w.wait(200),
    "update": lambda w: w.wait(65000),
    "hold": lambda w: w.hold(),
    "received": lambda w: w.answer(1),
    "received newest": lambda w: w.answer(1, True),
    "seen": lambda w: w.answer(2),
    "coming": lambda w: w.answer(3),
    "unasked coming": lambda w: w.unasked(3),
    "declined": lambda w: w.unasked(5),
    "closed": lambda w: w.unasked(4),
    "answered closed": lambda w: w.answer(4),
    "settings": lambda w: w.change_settings(SETTINGS[1]),
    "settings back": lambda w: w.change_settings(SETTINGS[0]),
    "stage": lambda w: w.stage(SETTINGS[1]),
    "stage back": lambda w: w.stage(SETTINGS[0]),
    "reset": lambda w: w.power_on(),
    "well": lambda w: w.starts.well(),
    "die": lambda w: w.starts.die(),
    "cut": lambda w: (w.lose_rtc(), w.power_on()),
}

# name, steps before (uncut), steps in which every operation is cut. Each begins with a start.
SCENES = (
    ("the first start of all", "", "state"),
    ("a start, stores alike", "cut", "state"),
    ("a press and its answer", "cut, state", "press, tick, received, update, received"),
    ("a press answered at once", "cut", "press, coming, closed"),
    ("a press never answered", "cut, press, tick", "update, press, tick, cut, press"),
    (
        "coming, and not",
        "cut, press, coming",
        "press, received newest, declined, hold, seen, unasked coming, closed",
    ),
    ("the next incident", "cut, press, received, closed", "press, tick, answered closed, press, received"),
    ("start after start", "cut, press", "reset, cut, reset, received"),
    ("starts that fail", "", "die, die, die, press, received, closed, well, reset, well"),
    ("other settings", "cut, press", "settings, cut, settings back, reset"),
    ("settings by /stage", "cut", "stage, cut, stage back, reset"),
)


def play(w, steps):
    for step in steps.split(", "):
        if step:
            STEPS[step](w)


# ------------------------------------------------------------------------------------------------------------- one run


def prepare(seed, before, age):
    """Return a world whose stores have gone through `before`, on flash that was written `age` times."""
    w = World(seed)
    if age:
        w.wear(age)
    if before:
        w.power_on()
        play(w, before)
    w.pause()
    return w


def life(w, steps, fuse, tear):
    """Start and play `steps` with a supply that fails; return whether it did."""
    w.supply(fuse, tear)
    try:
        w.power_on()
        play(w, steps)
    except PowerCut:
        w.power.gone = True
    return w.power.gone


HEAL = "state, tick, received, update, received, closed"

# How much was written before: fresh blocks, a log that is nearly full, blocks that are used again.
AGES = (0, 23, 61)


def singles():
    """Yield (scene, age, world before the scene, operation, tear, rtc) of every single cut."""
    for n, (_, before, steps) in enumerate(SCENES):
        for age in AGES:
            w = prepare(1, before, age)
            whole = w.copy()
            life(whole, steps, None, "")
            for fuse in range(whole.power.operations):
                for tear in TEARS:
                    for rtc in RTC:
                        yield n, age, w, fuse, tear, rtc


def single(n, age, before, fuse, tear, rtc):
    w = before.copy()
    name, _, steps = SCENES[n]
    if life(w, steps, fuse, tear):
        recover(
            w, rtc, "%s; age %d; cut at %d (%s), %s, RTC %s" % (name, age, fuse, w.power.where, tear, rtc)
        )
    return 1


def recover(w, rtc, text):
    """The last start, never cut: all must be well."""
    if rtc == "lost":
        w.lose_rtc()
    try:
        w.supply()
        w.power_on()
        check(w)
        check_alive(w)
    except Exception as error:
        raise Violation("%s: %s: %s" % (text, type(error).__name__, error))


# What a random scene is drawn from: each step once, and what matters most once more.
_FREE = sorted(STEPS) + ["press", "press", "tick", "update", "received"]


def double(seed):
    """A random scene, a cut in it, a second one in what follows; then all must be well. Return how many cuts."""
    draw = Bits(seed + 1).below
    age = draw(80)
    before = ", ".join(["cut"] + [_FREE[draw(len(_FREE))] for _ in range(draw(5))])
    steps = ", ".join([_FREE[draw(len(_FREE))] for _ in range(1 + draw(6))])
    w = prepare(seed, before, age)
    text = "age %d; %s; %s" % (age, before, steps)
    for _ in range(2):
        w.pause()
        whole = w.copy()
        life(whole, steps, None, "")
        fuse, tear, rtc = draw(whole.power.operations), TEARS[draw(4)], RTC[draw(2)]
        w = w.copy()
        life(w, steps, fuse, tear)
        text += "; cut at %d (%s), %s" % (fuse, w.power.where, tear)
        if rtc == "lost":
            w.lose_rtc()
            text += ", RTC lost"
        steps = HEAL
    recover(w, RTC[draw(2)], text)
    return 2


# ----------------------------------------------------------------------------------------------------------- the report


def say(**what):
    print(json.dumps(what))


def main(mode, first, count, step):
    runs = cuts = 0
    try:
        for n, (work, *said) in jobs(mode, first, count, step):
            try:
                cuts += work(*said)
            except Violation as error:
                say(violation=str(error), run=n)
            runs += 1
            if runs % 50 == 0:
                gc.collect()
                say(runs=runs, cuts=cuts)
    except Violation as error:
        # Without any cut: there is nothing to go on with.
        say(violation="a scene before its cuts: %s" % error, run=first)
    say(runs=runs, cuts=cuts, done=True)


def jobs(mode, first, count, step):
    """Yield (number, (function, its arguments)) of each run."""
    if mode == "double":
        for seed in range(first, first + count):
            yield seed, (double, seed)
        return
    for n, case in enumerate(singles()):
        if mode == "measure":
            yield n, (int,)
        elif n >= first and (n - first) % step == 0 and (n - first) // step < count:
            yield n, (single,) + case


main(sys.argv[1], *[int(word) for word in sys.argv[2:]])
