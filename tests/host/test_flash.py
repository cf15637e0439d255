"""
firmware/lib/journal.py on real MicroPython and a real LittleFS2, cut at every program and erase.

The block device is in RAM and dies after k operations, tearing the last one; what it holds then is mounted anew, as
after a power cut. This is the small proof; it needs no simulator.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import journal
import pytest

MICROPYTHON = Path(sys.executable).with_name("micropython")
LIB = Path(journal.__file__).parent

DEVICE = """
import json, os, sys, vfs
sys.path.insert(0, {lib!r})
from journal import Journal, JournalError

BLOCK = 4096
BLOCKS = 16


class Cut(Exception):
    pass


class RAM:
    # Programs and erases until `left` is used up; the last one is torn. None: for ever.
    def __init__(self, data, left=None):
        self.data = data
        self.left = left
        self.used = 0

    def readblocks(self, block, buf, offset=0):
        start = block * BLOCK + offset
        buf[:] = self.data[start : start + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        self.burn(block * BLOCK + offset, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:
            self.burn(arg * BLOCK, b"\\xff" * BLOCK)
        return 0

    def burn(self, start, buf):
        self.used += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                buf = bytes(buf[: len(buf) // 2]) if self.left == -1 else b""
                self.data[start : start + len(buf)] = buf
                # As a dead chip: nothing after it gets through either.
                raise OSError(5)
        self.data[start : start + len(buf)] = buf


def mount(device):
    vfs.mount(vfs.VfsLfs2(device, readsize=32, progsize=32, lookahead=32), "/flash")


def fresh():
    data = bytearray(b"\\xff" * BLOCK * BLOCKS)
    vfs.VfsLfs2.mkfs(RAM(data), readsize=32, progsize=32, lookahead=32)
    return data


def after(data, left, act):
    # The device's state once `act(journal)` ran on it with that many operations, and how many it took.
    device = RAM(bytearray(data), left)
    mount(device)
    try:
        act(Journal("/flash/data/outbox"))
    except (OSError, JournalError):
        pass
    try:
        vfs.umount("/flash")
    except OSError:
        pass
    # A copy: MicroPython closes files that a cut left open when it collects garbage, and would still write.
    return bytearray(device.data), device.used


def look(data, act):
    mount(RAM(data))
    try:
        journal = Journal("/flash/data/outbox")
        return act(journal), journal.damaged
    finally:
        vfs.umount("/flash")
"""

CUTS = """
# For each number of operations: what is read after the cut, then whether the next start can write and read.
def cuts(before, act, name):
    whole, operations = after(before, None, act)
    seen = []
    for left in range(operations + 1):
        data, _ = after(before, left, act)

        def again(journal):
            found = journal.get(name)
            names = journal.names()
            journal.put(name, b"later")
            return found, names, journal.get(name)

        (found, names, written), damaged = look(data, again)
        seen.append([None if found is None else found.decode(), names, written == b"later", damaged])
    return seen
"""


def micropython(code: str) -> Any:
    """Run `code` after DEVICE and CUTS; return what it prints as JSON."""
    script = DEVICE.format(lib=str(LIB)) + CUTS + code
    done = subprocess.run(
        [MICROPYTHON, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    # What the collector could not close it says on stdout.
    return json.loads(done.stdout.splitlines()[-1])


# name: what was on flash before, what is done, the record looked at, its old and its new content
OLD, NEW = "old " * 30, "new " * 60
SCENES = {
    "the first record ever": ("", f'journal.put("a", b"{NEW}")', None, NEW),
    "a record overwritten by a longer one": (
        f'journal.put("a", b"{OLD}")',
        f'journal.put("a", b"{NEW}")',
        OLD,
        NEW,
    ),
    "a record overwritten by a shorter one": (
        f'journal.put("a", b"{NEW}")',
        f'journal.put("a", b"{OLD}")',
        NEW,
        OLD,
    ),
    "a record beyond the inline size": (
        f'journal.put("a", b"{OLD}" * 9)',
        f'journal.put("a", b"{NEW}" * 8)',
        OLD * 9,
        NEW * 8,
    ),
    "a record removed": (f'journal.put("a", b"{OLD}")', 'journal.remove("a")', OLD, None),
    "a neighbour written": (f'journal.put("a", b"{OLD}")', f'journal.put("b", b"{NEW}")', OLD, OLD),
    "a neighbour removed": (
        f'journal.put("a", b"{OLD}"); journal.put("b", b"{NEW}")',
        'journal.remove("b")',
        OLD,
        OLD,
    ),
}


@pytest.mark.parametrize(("before", "act", "old", "new"), SCENES.values(), ids=SCENES.keys())
def test_a_cut_at_any_program_or_erase_leaves_the_old_record_or_the_new_one(before, act, old, new):
    seen = micropython(
        f"""
def prepare(journal):
    {before or "pass"}
def act(journal):
    {act}
data, _ = after(fresh(), None, prepare)
print(json.dumps(cuts(data, act, "a")))
"""
    )
    found = [cut[0] for cut in seen]
    assert len(seen) > 1, "nothing was written, so nothing was cut"
    assert set(found) <= {old, new}
    # Uncut it is the new one, cut at once the old one; and it never goes back.
    assert found[0] == old
    assert found[-1] == new
    assert found == sorted(found, key=lambda content: content == new)
    assert all(writes for _, _, writes, _ in seen)
    # A cut in a first write may leave an empty file, which is no record and is counted; nothing else is damaged.
    assert all(content is None or not damaged for content, _, _, damaged in seen)


def test_many_cuts_one_after_the_other_lose_nothing_that_was_told_to_be_written():
    """Each start writes records until its power goes, somewhere else each time, on what the last cut left."""
    lost = micropython(
        """
data = fresh()
told = {}
lost = []
for start in range(150):
    trying = []

    def act(journal):
        for n in range(12):
            name, value = "r%d" % (n % 5), b"%d-%d" % (start, n) * 20
            trying[:] = [name, value]
            journal.put(name, value)
            told[name] = value
            trying[:] = []

    data, _ = after(data, 3 + start * 7 % 41, act)

    def check(journal):
        for name in told:
            found = journal.get(name)
            # What was being written when the power went may be either.
            if found != told[name] and not (trying and name == trying[0] and found == trying[1]):
                lost.append([start, name])
            told[name] = found or b""
        return None

    _, damaged = look(data, check)
    if damaged:
        lost.append([start, "damaged"])
print(json.dumps([lost, sorted(told)]))
"""
    )
    assert lost == [[], ["r0", "r1", "r2", "r3", "r4"]]


def test_a_full_flash_says_so_and_keeps_the_old_record_and_takes_new_ones_after_a_removal():
    said, old, names, again = micropython(
        """
data = fresh()
def fill(journal):
    journal.put("a", b"old")
    n = 0
    try:
        while True:
            journal.put("%04d" % n, bytes(2000))
            n += 1
    except JournalError as error:
        said = str(error)
    try:
        journal.put("a", bytes(2040))
    except JournalError:
        pass
    old = journal.get("a")
    journal.remove("0000")
    journal.remove("0001")
    journal.put("a", b"new")
    return said, old.decode(), n, journal.get("a").decode()
result, damaged = look(data, fill)
print(json.dumps(result))
"""
    )
    assert said.startswith("cannot write /flash/data/outbox/")
    assert "28" in said  # ENOSPC
    assert (old, again) == ("old", "new")
    assert names > 3


def test_records_go_in_and_come_out_and_are_removed():
    assert micropython(
        """
def use(journal):
    nothing = [journal.names(), journal.get("a")]
    journal.remove("a")
    journal.put("b", b"2"); journal.put("a", b""); journal.put("c", bytes(range(256)))
    before = [journal.names(), journal.get("a") == b"", journal.get("c") == bytes(range(256))]
    journal.remove("b")
    return nothing + before + [journal.names(), journal.get("b")]
print(json.dumps(look(fresh(), use)))
"""
    ) == [[[], None, ["a", "b", "c"], True, True, ["a", "c"], None], 0]


def test_a_record_that_rots_on_flash_is_not_returned_and_counted():
    assert micropython(
        """
data, _ = after(fresh(), None, lambda journal: journal.put("a", b"precious" * 100))
at = bytes(data).find(b"precious")
data[at + 3] ^= 1
print(json.dumps(look(data, lambda journal: journal.get("a"))))
"""
    ) == [None, 1]
