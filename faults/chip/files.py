"""What a flash holds besides the tag's own records, how programs read it, and numbers to draw by."""

SETTINGS = ("/config.json", "/ca.der")
# What must be there, as it was, after any cut: these files stand for the firmware.
STATIC = {"/lib/one.mpy": 3000, "/lib/two.mpy": 9000, "/boards/tag-z.json": 120}


class Violation(Exception):
    """Something that must never happen did. The text says what."""


class Bits:
    """Its own numbers, so that a seed gives the same run whatever the firmware draws."""

    def __init__(self, seed):
        self.state = seed * 2654435761 % (1 << 32) or 1

    def getrandbits(self, bits):
        # xorshift32
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return x >> 32 - bits if bits < 32 else x

    def below(self, limit):
        return self.getrandbits(31) % limit


def static(path, size):
    return (path.encode() * (size // len(path) + 1))[:size]


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
