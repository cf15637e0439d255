"""
The chip's stores in memory, under a power supply that fails: NOR flash for LittleFS, NVS, RTC memory.

    power = Power(fuse, tear, random_bits)      # the operation number `fuse` is cut, in the way `tear`
    flash = Flash(image, power)                 # for vfs.VfsLfs2

A cut is an exception that unwinds through LittleFS into the firmware. From then on this supply is dead: whatever the
firmware still does in its `finally` blocks changes nothing.
"""

BLOCK = 4096
# not done; the first half; scattered bytes; done, then dead
TEARS = ("none", "half", "scattered", "done")
_ERASED = b"\xff" * BLOCK
_EIO = -5


class PowerCut(BaseException):
    """The power is gone. No `except Exception` of the firmware may hold it."""


class Power:
    """
    Counts operations that change a store; the one with the number `fuse` is cut (None: none is). `dead`: it was;
    `gone`: and the firmware has unwound, what still calls is a finalizer.
    """

    def __init__(self, fuse, tear, random_bits):
        self.fuse = fuse
        self.tear = tear
        self.random_bits = random_bits
        self.operations = 0
        self.dead = self.gone = False
        self.where = ""

    def change(self, what, old, new, keep):
        """Call `keep(data)` with what stands in a store where `old` stood when `new` is written over it."""
        if self.dead:
            raise PowerCut(self.where)
        if self.operations != self.fuse:
            self.operations += 1
            keep(new)
            return
        self.dead = True
        self.where = what
        if self.tear == "half":
            half = len(new) // 2
            keep(new[:half] + old[half:])
        elif self.tear == "scattered":
            keep(self._scattered(old, new))
        elif self.tear == "done":
            keep(new)
        raise PowerCut(what)

    def _scattered(self, old, new):
        out = bytearray(old)
        bits = number = 0
        for n in range(len(new)):
            if not bits:
                number, bits = self.random_bits(30), 30
            if number & 1:
                out[n] = new[n]
            number >>= 1
            bits -= 1
        return bytes(out)


class Flash:
    """NOR flash: erased by blocks, and a program only clears bits. `image` is a bytearray and is changed."""

    def __init__(self, image, power):
        self.image = image
        self._power = power

    def readblocks(self, block, buf, offset=0):
        if self._power.gone:
            return _EIO
        at = block * BLOCK + offset
        buf[:] = memoryview(self.image)[at : at + len(buf)]
        return 0

    def writeblocks(self, block, buf, offset=0):
        if self._power.gone:
            return _EIO
        at = block * BLOCK + offset
        old = bytes(self.image[at : at + len(buf)])
        new = bytes(buf)
        if old != _ERASED[: len(old)]:
            new = (int.from_bytes(old, "big") & int.from_bytes(new, "big")).to_bytes(len(old), "big")
        self._change("program", at, old, new)
        return 0

    def ioctl(self, op, arg):
        if self._power.gone:
            return _EIO
        if op == 4:
            return len(self.image) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            at = arg * BLOCK
            self._change("erase", at, bytes(self.image[at : at + BLOCK]), _ERASED)
        return 0

    def _change(self, what, at, old, new):
        def keep(data):
            self.image[at : at + len(data)] = data

        self._power.change(what, old, new, keep)


class NVS:
    """The chip's key-value flash as board.py shows it: a record is there or not, its own log sees to that."""

    def __init__(self, records, power):
        self._records = records
        self._power = power

    def get(self, name):
        return self._records.get(name)

    def put(self, name, data):
        if len(name) > 15 or len(data) > 2048:
            raise OSError("board.NVS could not read it back")

        def keep(written):
            # The new record counts from its last byte on; what was written of it before counts for nothing.
            if written == b"\1":
                self._records[name] = bytes(data)

        self._power.change("nvs", b"\0", b"\1", keep)


class RTCMemory:
    """`kept` is a list of one bytes object, which a cut may tear or forget."""

    def __init__(self, kept, power):
        self._kept = kept
        self._power = power

    def read(self):
        return self._kept[0]

    def write(self, data):
        def keep(written):
            self._kept[0] = written

        old = (self._kept[0] + bytes(len(data)))[: len(data)]
        self._power.change("rtc", old, bytes(data), keep)
