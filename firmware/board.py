"""
The board: its pins and stores by their names in boards/NAME.json. With boot.py the only importer of machine, esp32
and network.

    board = Board("tag-a", clock.ticks_ms)    # BoardError for a name without a map
    board.button.edges()                      # what the interrupt has latched
    board.vibration(True); board.light(False); board.gnss_power(True)

Everything above takes these parts as arguments, so another board is another JSON file.
"""

import asyncio
import json
import os
from array import array

import esp32
import machine
from micropython import const

# The chip's watchdog: made, nothing stops it.
WDT = machine.WDT
# Edges the interrupt can latch before they are read; a bouncing press makes a dozen.
_EDGES = const(32)
_UART_BYTES = const(2048)
# No record of ours in NVS is longer (identity.py).
_NVS_BYTES = const(2048)


class BoardError(Exception):
    """There is no pin map of that name. The text lists those that there are."""


class NVS:
    """The chip's key-value flash, one of the two stores. OSError if flash refuses."""

    def __init__(self):
        self._nvs = esp32.NVS("obereg")

    def get(self, name):
        """Return the bytes kept under `name`, or None."""
        buffer = bytearray(_NVS_BYTES)
        try:
            return bytes(buffer[: self._nvs.get_blob(name, buffer)])
        except OSError:
            return None

    def put(self, name, data):
        """Keep `data`; it is on flash when this returns."""
        self._nvs.set_blob(name, data)
        self._nvs.commit()


class RTCMemory:
    """The 2,048 bytes that deep sleep and resets spare."""

    def read(self):
        return machine.RTC().memory()

    def write(self, data):
        machine.RTC().memory(data)


def _line(part):
    """Return how the UART of a part is set up."""
    # A write that fits does not block the button.
    sizes = {"rxbuf": _UART_BYTES, "txbuf": _UART_BYTES, "timeout": 0}
    return dict(sizes, baudrate=part["baud"], tx=part["tx"], rx=part["rx"])


def _output(part):
    """Return a function that turns a part of the map on or off, whatever level that is; nothing where there is none."""
    if not part:
        return lambda on: None
    active = part["active"]
    pin = machine.Pin(part["pin"], machine.Pin.OUT, value=1 - active)
    return lambda on: pin.value(active if on else 1 - active)


def _input(part):
    """Return a function that tells whether a part of the map is on; never where there is none."""
    if not part:
        return lambda: False
    active = part["active"]
    pin = machine.Pin(part["pin"], machine.Pin.IN, machine.Pin.PULL_DOWN if active else machine.Pin.PULL_UP)
    return lambda: pin.value() == active


def _divider(part):
    """Return a function that tells the battery's voltage in mV."""
    # 11 dB: the range to 3.1 V; half a battery's voltage is more than the 0.95 V of no attenuation.
    adc = machine.ADC(machine.Pin(part["pin"]), atten=machine.ADC.ATTN_11DB)
    return lambda: adc.read_uv() * part["ratio_e3"] // 1000000


class ButtonPin:
    """The button's pin, its interrupt and what that has latched."""

    def __init__(self, part, ticks_ms):
        self._active = part["active"]
        self._ticks_ms = ticks_ms
        # level in the lowest bit, ticks above it
        self._edges = array("q", [0] * _EDGES)
        self._head = self._tail = 0
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
        """Wait for an edge, or for kick(): an edge comes from a finger, so this wait has no deadline of its own."""
        await self._flag.wait()

    def kick(self):
        """End wait()."""
        self._flag.set()

    def edges(self):
        """Return the (level, at_ms) latched since the last call, oldest first."""
        latched = []
        while self._tail != self._head:
            edge = self._edges[self._tail]
            latched.append((bool(edge & 1), edge >> 1))
            self._tail = (self._tail + 1) % _EDGES
        return latched

    def _on_edge(self, pin):
        # A handler that micropython.schedule runs: latch and wake, no decision.
        following = (self._head + 1) % _EDGES
        if following == self._tail:
            self.dropped += 1
        else:
            self._edges[self._head] = self._ticks_ms() << 1 | (pin.value() == self._active)
            self._head = following
        self._flag.set()


class Board:
    """Constructing it claims the pins. `ticks_ms` stamps the button's edges."""

    restart = staticmethod(machine.reset)

    def __init__(self, name, ticks_ms):
        try:
            with open("/boards/%s.json" % name) as file:
                parts = json.load(file)
        except OSError:
            there = ", ".join([entry[:-5] for entry in os.listdir("/boards")])
            raise BoardError("config.json: board %s is unknown; there is: %s" % (name, there))
        self.nvs = NVS()
        self.rtc_memory = RTCMemory()
        self.button = ButtonPin(parts["button"], ticks_ms)
        self.vibration = _output(parts.get("vibration"))
        self.light = _output(parts.get("light"))
        # None: the receiver is inside the modem.
        self.gnss_uart = None
        gnss = parts.get("gnss")
        if gnss:
            self.gnss_power = _output(gnss.get("power"))
            self.gnss_uart = machine.UART(gnss["uart"], **_line(gnss))
        pmu = self._power_chip(parts.get("pmu"))
        self.charging = pmu.charging if pmu else _input(parts.get("charger"))
        self.modem_uart = None
        modem = parts.get("modem")
        if modem:
            uart = self.modem_uart = machine.UART(modem["uart"], **_line(modem))
            self.modem_pwrkey = _output(modem["pwrkey"])
            # Low: it may not sleep.
            _output(modem.get("dtr"))
            self._modem = modem, uart
            self._supply = pmu.modem if pmu else _output(modem.get("power"))
            # What we know before a word is said: our own switch is off after a start, a power chip remembers.
            self.modem_powered = pmu.modem_on() if pmu else "power" not in modem
            if not self.modem_powered:
                self.modem_power(False)
        self.battery_mv = pmu.battery_mv if pmu else _divider(parts["battery"])

    def modem_power(self, on):
        """
        Switch the modem's supply. While it is off none of our lines feeds the modem from behind: TX is low instead of
        idling high, RX floats; PWRKEY and DTR are low.
        """
        part, uart = self._modem
        if not on:
            machine.Pin(part["tx"], machine.Pin.OUT, value=0)
            machine.Pin(part["rx"], machine.Pin.IN, None)  # type: ignore[arg-type]
        self._supply(on)
        if on:
            uart.init(**_line(part))

    @staticmethod
    def _power_chip(part):
        if not part:
            return None
        from axp2101 import AXP2101

        return AXP2101(machine.I2C(part["i2c"], scl=machine.Pin(part["scl"]), sda=machine.Pin(part["sda"])))

    @staticmethod
    def station():
        """Return the Wi-Fi station. Asking for it starts the Wi-Fi driver, which costs memory and current."""
        import network

        return network.WLAN(network.STA_IF)

    @staticmethod
    def set_rtc(year, month, day, hour, minute, second):
        """Set the chip's clock to this UTC."""
        machine.RTC().datetime((year, month, day, 0, hour, minute, second, 0))

    @staticmethod
    def start_reason():
        """Return why this start happened. A brown-out reads as power on."""
        reasons = ("unknown", "power on", "hard reset", "watchdog", "deep sleep", "soft reset")
        return reasons[machine.reset_cause()]
