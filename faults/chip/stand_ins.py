"""
What stands around the firmware: time that is told to it, a board without pins, and ears at its own modules.

`world` is the World whose tag runs: the board hands out its stores, the ears tell it what passes.
"""

import sys

from files import Violation


class Clocked:
    """Stands where clock.py expects the module `time`."""

    def __init__(self):
        self.ms = (1 << 30) - 4000
        self.offset_s = 0

    def gmtime(self, seconds=0):
        import time

        return time.gmtime(seconds)

    def time(self):
        return self.ms // 1000 + self.offset_s

    def ticks_ms(self):
        return self.ms % (1 << 30)


now = Clocked()
# Set by each World as it comes to life.
world = None


class Button:
    @staticmethod
    def kick():
        pass


class Board:
    """board.py, as far as build.py sees it: no pin, no UART; Wi-Fi is the one way."""

    def __init__(self, name, ticks_ms):
        if name != "tag-z":
            raise Violation("the board's name is %r" % name)
        self.nvs = world.nvs
        self.rtc_memory = world.rtc
        self.gnss_uart = self.modem_uart = None
        self.button = Button

    @staticmethod
    def restart():
        pass

    @staticmethod
    def station():
        return None

    @staticmethod
    def vibration(on):
        pass

    light = vibration

    @staticmethod
    def battery_mv():
        return 3900

    @staticmethod
    def set_rtc(*fields):
        import time

        now.offset_s = int(time.mktime(fields + (0, 0, 0))) - now.ms // 1000

    @staticmethod
    def start_reason():
        return world.cause


class BoardModule:
    Board = Board

    @staticmethod
    def NVS():
        return world.nvs

    @staticmethod
    def RTCMemory():
        return world.rtc


class MachineModule:
    SOFT_RESET = 5

    @staticmethod
    def reset_cause():
        return 5

    wake_reason = reset_cause


def install():
    """Put the fakes in place, import the firmware, wrap what the history is made of."""
    sys.modules["board"] = BoardModule
    sys.modules["machine"] = MachineModule
    import app  # noqa: F401
    import build  # noqa: F401
    import clock
    import envelope
    import journal
    import outbox

    clock.time = now
    clock.ticks_ms = now.ticks_ms
    seal, put, remove, add = envelope.seal, journal.Journal.put, journal.Journal.remove, outbox.Outbox.add

    def sealing(claims, key, kid):
        token = seal(claims, key, kid)
        if key == world.me.up:
            world.sealed(claims, token)
        return token

    def putting(self, name, data):
        if self.folder == "/data" and name == "incident":
            world.doing = data
            put(self, name, data)
            world.kept, world.doing = data, None
        else:
            put(self, name, data)

    def removing(self, name):
        if self.folder == "/data" and name == "incident":
            world.doing = b""
            remove(self, name)
            world.kept, world.doing = b"", None
        else:
            remove(self, name)

    def adding(self, entry):
        add(self, entry)
        world.returned[entry.cti] = entry.token

    envelope.seal, outbox.Outbox.add = sealing, adding
    journal.Journal.put, journal.Journal.remove = putting, removing
