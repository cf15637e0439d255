"""
The board: its pins and stores by their names in boards/NAME.json. With boot.py the only importer of machine, esp32
and network.

    board = Board("tag-a")             # BoardError for a name without a map
    board.edges()                      # what the button's interrupt has latched
    board.feel(pattern)                # vibration and light

Everything above takes these parts as arguments, so another board is another JSON file.
"""

import asyncio
import json
import os
from array import array

import esp32
import machine
import network

# Edges the interrupt can latch before they are read; a bouncing press makes a dozen.
_EDGES = 32
_GNSS_RX_BYTES = 2048
_NVS_NAMESPACE = "obereg"
# No record of ours is longer.
_NVS_BYTES = 64

_RESETS = {
    machine.PWRON_RESET: "power on",
    machine.HARD_RESET: "hard reset",
    machine.WDT_RESET: "watchdog",
    machine.DEEPSLEEP_RESET: "deep sleep",
    machine.SOFT_RESET: "soft reset",
}


class BoardError(Exception):
    """There is no pin map of that name. The text lists those that there are."""


class NVS:
    """The chip's key-value flash, one of the two stores."""

    def __init__(self):
        self._nvs = esp32.NVS(_NVS_NAMESPACE)

    def read(self, name):
        """Return the bytes kept under `name`, or None."""
        buffer = bytearray(_NVS_BYTES)
        try:
            size = self._nvs.get_blob(name, buffer)
        except OSError:
            return None
        return bytes(buffer[:size])

    def write(self, name, data):
        """Keep `data`; it is on flash when this returns. OSError if flash refuses."""
        self._nvs.set_blob(name, data)
        self._nvs.commit()


class RTCMemory:
    """The 2,048 bytes that deep sleep and resets spare."""

    def __init__(self):
        self._rtc = machine.RTC()

    def read(self):
        return self._rtc.memory()

    def write(self, data):
        self._rtc.memory(data)


class Output:
    """A pin that is on or off, whatever level that is on this board; or none, where the map has none."""

    def __init__(self, part):
        self._active = part["active"] if part else 0
        self._pin = machine.Pin(part["pin"], machine.Pin.OUT, value=1 - self._active) if part else None

    def __call__(self, on):
        if self._pin:
            self._pin.value(self._active if on else 1 - self._active)


class Button:
    """The button's pin, its interrupt and what that has latched."""

    def __init__(self, part, ticks_ms):
        self._active = part["active"]
        self._ticks_ms = ticks_ms
        self._levels = array("b", [0] * _EDGES)
        self._times_ms = array("i", [0] * _EDGES)
        self._head = 0
        self._tail = 0
        self.presses = 0
        # Edges that found the ring full
        self.dropped = 0
        self._flag = asyncio.ThreadSafeFlag()
        pull = machine.Pin.PULL_DOWN if self._active else machine.Pin.PULL_UP
        self._pin = machine.Pin(part["pin"], machine.Pin.IN, pull)
        self._pin.irq(self._on_edge, machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)

    def pressed(self):
        """Whether the pin says pressed at this moment."""
        return self._pin.value() == self._active

    async def wait(self):
        """Wait for an edge. It comes from a finger, so this alone has no deadline; cancel it."""
        await self._flag.wait()

    def edges(self):
        """Return the (level, at_ms) latched since the last call, oldest first."""
        latched = []
        while self._tail != self._head:
            latched.append((bool(self._levels[self._tail]), self._times_ms[self._tail]))
            self._tail = (self._tail + 1) % _EDGES
        return latched

    def _on_edge(self, pin):
        # In the interrupt: latch, count, wake; no decision, no memory.
        head = self._head
        following = (head + 1) % _EDGES
        if following == self._tail:
            self.dropped += 1
        else:
            level = pin.value() == self._active
            self._levels[head] = level
            self._times_ms[head] = self._ticks_ms()
            self._head = following
            if level:
                self.presses += 1
        self._flag.set()


class Board:
    """Constructing it claims the pins. `ticks_ms` stamps the button's edges."""

    def __init__(self, name, ticks_ms, folder="/boards"):
        parts = self._map(name, folder)
        self.name = parts["name"]
        self.boot_ms = parts["boot_ms"]
        self.nvs = NVS()
        self.rtc_memory = RTCMemory()
        self.button = Button(parts["button"], ticks_ms)
        self.vibration = Output(parts.get("vibration"))
        self.light = Output(parts.get("light"))
        gnss = parts["gnss"]
        self.gnss_power = Output(gnss.get("power"))
        self.gnss_uart = machine.UART(
            gnss["uart"], baudrate=gnss["baud"], tx=gnss["tx"], rx=gnss["rx"], rxbuf=_GNSS_RX_BYTES, timeout=0
        )
        battery = parts["battery"]
        self._battery = machine.ADC(machine.Pin(battery["pin"]))
        self._ratio_e3 = battery["ratio_e3"]

    def battery_mv(self):
        """Return the battery's voltage in mV."""
        return self._battery.read_uv() // 1000 * self._ratio_e3 // 1000

    @staticmethod
    def set_rtc(year, month, day, hour, minute, second):
        """Set the chip's clock to this UTC."""
        machine.RTC().datetime((year, month, day, 0, hour, minute, second, 0))

    @staticmethod
    def station():
        """Return the chip's Wi-Fi station interface."""
        return network.WLAN(network.STA_IF)

    @staticmethod
    def restart():
        """Start again from nothing but flash and RTC memory."""
        machine.reset()

    @staticmethod
    def start_reason():
        """Return why this start happened, in words. A brown-out reads as power on."""
        return _RESETS.get(machine.reset_cause(), "unknown")

    @staticmethod
    def _map(name, folder):
        try:
            with open("%s/%s.json" % (folder, name)) as file:
                return json.load(file)
        except OSError:
            there = sorted([entry[:-5] for entry in os.listdir(folder) if entry.endswith(".json")])
            raise BoardError('config.json: board "%s" is unknown; there are: %s' % (name, ", ".join(there)))
        except (ValueError, KeyError) as error:
            raise BoardError("boards/%s.json: %s" % (name, error))
