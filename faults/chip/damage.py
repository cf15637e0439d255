"""
Damage: whatever the tag keeps is rotten, the key alone is whole, in one store or in both. Started by faults/damage.py.

    damage.py FIRST COUNT        # patterns; one JSON object a line, as cuts.py

The file system mounts and the firmware's files are whole. Each pattern breaks every other record in every store, each
in its own way; then the tag starts, the button is pressed, and the alert must reach the desk over the firmware's own
link, to the right broker, with the right password and CA, and be settled and felt.
"""

import asyncio
import gc
import json
import os
import sys

import vfs

vfs.mount(vfs.VfsPosix(sys.argv[0].rsplit("/", 1)[0]), "/host")
sys.path[:] = [".frozen", "/host/lib", "/host"]

from broker import Wifi  # noqa: E402
from files import SETTINGS, Bits, Violation, read, write  # noqa: E402
from stand_ins import now  # noqa: E402
from world import World  # noqa: E402

with open("/host/boot.py") as _file:
    World.boot = compile(_file.read(), "boot.py", "exec")
with open("/host/settings.json") as _file:
    World.settings = tuple([bytes.fromhex(part) for part in json.load(_file)[0]])

_DEADLINE_S = 5
# Where the key is still whole.
KEYS = ("nvs", "flash", "both")


# ------------------------------------------------------------------------------------------------------------- damage


def flipped(data, bits, most=8):
    out = bytearray(data or b"\0")
    for _ in range(1 + bits.below(most)):
        out[bits.below(len(out))] ^= 1 << bits.below(8)
    return bytes(out)


def blanked(data, bits):
    at = bits.below(len(data) + 1)
    return data[:at] + (b"\xff", b"\0")[bits.below(2)] * len(data[at : at + 64]) + data[at + 64 :]


def cut_short(data, bits):
    return data[: bits.below(len(data) + 1)] if data else b""


def noise(data, bits):
    return bytes([bits.below(256) for _ in range(bits.below(2 * len(data) + 2))])


def doubled(data, bits):
    return data + data


def empty(data, bits):
    return b""


def gone(data, bits):
    return None


WAYS = (flipped, blanked, cut_short, noise, doubled, empty, gone)


def broken(data, bits):
    """Return `data` in a way that is not as it was; None: it is not there."""
    for _ in range(9):
        worse = WAYS[bits.below(len(WAYS))](data, bits)
        if worse != data:
            return worse
    return b""


def damage(w, bits, key):
    """Break all that is kept; the identity only where it may."""
    spared = ("/data/identity",) if key != "nvs" else ()
    for folder in ("/data", "/data/outbox"):
        for name, kind, *_ in list(os.ilistdir(folder)):
            path = folder + "/" + name
            if kind == 0x8000 and path not in spared:
                put(path, broken(read(path), bits))
    # Half of the time a bit of the settings, which may still look like some.
    gentle = bits.below(2)
    for path in SETTINGS + ("/build.json",):
        if gentle and path == "/config.json":
            put(path, flipped(read(path), bits, 1))
        elif not gentle or bits.below(2):
            put(path, broken(read(path), bits))
    for name in list(w.records):
        if name != "identity" or key == "flash":
            worse = broken(w.records[name], bits)
            if worse is None:
                del w.records[name]
            else:
                w.records[name] = worse
    w.kept_rtc[0] = flipped(w.kept_rtc[0], bits, 1) if bits.below(2) else b""
    # What is no record of ours at all.
    if not bits.below(4):
        write("/data/outbox/README", b"x" * 40)
    if not bits.below(8):
        # Not even its folder.
        for name in os.listdir("/data/outbox"):
            os.remove("/data/outbox/" + name)
        os.rmdir("/data/outbox")
        if bits.below(2):
            write("/data/outbox", b"no folder")


def put(path, data):
    if data is None:
        os.remove(path)
    else:
        write(path, data)


class WifiModule:
    Wifi = Wifi

    @staticmethod
    def tls_context(ca_der):
        if ca_der != World.settings[1]:
            raise Violation("another CA")


# ------------------------------------------------------------------------------------------------------------- one run


def pattern(number):
    bits = Bits(number + 1)
    key = KEYS[number % 3]
    w = World(number)
    w.heard = {}
    w.power_on()
    # A life with something of everything: alerts that wait, an open incident, a second start.
    w.press()
    w.wait(5000)
    w.answer(2)
    if bits.below(2):
        w.press()
        w.wait(70000)
    w.supply()
    w.power_on()
    damage(w, bits, key)
    w.rotten = True
    w.supply()
    try:
        # Counters that are lost may say a number again; the desk is told by flag 8.
        w.tokens = {}
        w.power_on()
        felt = []
        w.app.haptics.feel = felt.append
        w.app.tag.feel = felt.append
        # Of the loop before, nothing is left to run.
        asyncio.new_event_loop()
        asyncio.run(alarm(w, felt))
    except Exception as error:
        raise Violation("key in %s: %s: %s" % (key, type(error).__name__, error))
    return 1


async def alarm(w, felt):
    """Press; the alert must arrive, be settled and be felt."""
    tag, heard = w.app.tag, w.heard
    link = asyncio.create_task(w.app.link.run())
    try:
        await asyncio.sleep(0)
        tag.on_button("touch", now.ticks_ms())
        tag.on_button("pressed", now.ticks_ms())
        tag.on_button("released", now.ticks_ms())
        for _ in range(_DEADLINE_S * 200):
            await asyncio.sleep(0.005)
            if heard and not tag.outbox.pending() and "received" in felt:
                break
        else:
            raise Violation("the alert did not go out: %s" % w.app.link.trouble)
    finally:
        link.cancel()
    flags = [claims[-65537].get(3, 0) for claims in heard.values() if claims[-65537].get(0) in (1, 3)]
    if not flags:
        raise Violation("what arrived is no alert")
    if not flags[0] & 8:
        raise Violation("the desk is not told that the counters were lost")
    if not w.app.note:
        raise Violation("the desk is not told that the settings were damaged")


def say(**what):
    print(json.dumps(what))


def main(first, count):
    runs = 0
    sys.modules["wifi"] = WifiModule
    for number in range(first, first + count):
        try:
            pattern(number)
        except Violation as error:
            say(violation=str(error), run=number)
        runs += 1
        if runs % 20 == 0:
            gc.collect()
            say(runs=runs)
    say(runs=runs, done=True)


main(*[int(word) for word in sys.argv[1:]])
