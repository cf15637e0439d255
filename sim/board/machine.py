"""
machine as on the ESP32-S3, as far as the firmware uses it: pins, ADC, UART, I2C, RTC, watchdog, reset and sleep.

Pins are named through the board map: what the panel calls `button 1` is the level the board calls active.
"""

import _thread
import array
import os
import time as _time

import simhost
import simpanel
import simuart
import utime
from micropython import const
from umachine import PinBase

UART = simuart.UART
if simhost.wiring["pmu"]:  # a board without one does not pay for it
    import simpmu

    I2C = simpmu.I2C

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
TIMER_WAKE = 4
_CAUSES = ("", "power", "reset", "wdt", "deepsleep", "soft")
_MAX_PIN = const(48)  # ESP32-S3
_RTC_MEMORY = const(2048)

_levels = {}  # output latches: pin number -> level
_interrupts = {}  # part name -> (Pin, active level, handler, trigger)


class Pin(PinBase):
    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, number, mode=-1, pull=-1, *, value=None):
        if not isinstance(number, int) or not 0 <= number <= _MAX_PIN:
            raise ValueError("invalid pin")
        self.number = number
        self._name, self._active = simhost.pin(number)
        self._mode = self.IN
        self._pull = -1
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if mode in (self.OUT, self.OPEN_DRAIN):
            self._mode = mode
            self._drive(_levels.get(self.number, 0) if value is None else value)
        elif mode == self.IN:
            self._mode = mode
        if pull != -1:
            self._pull = pull

    def _drive(self, level):
        level = 1 if level else 0
        _levels[self.number] = level
        if self._name:
            simpanel.say(self._name, 1 if level == self._active else 0)

    def value(self, level=None):
        if level is not None:
            return self._drive(level)
        if self._mode != self.IN:
            return _levels.get(self.number, 0)
        if self._name in simpanel.level:
            return self._active if simpanel.level[self._name] else 1 - self._active
        return 1 if self._pull == self.PULL_UP else 0

    __call__ = value

    def on(self):
        self._drive(1)

    def off(self):
        self._drive(0)

    def irq(self, handler=None, trigger=IRQ_RISING | IRQ_FALLING):
        if handler is None:
            _interrupts.pop(self._name, None)
        else:
            _interrupts[self._name] = (self, self._active, handler, trigger)
        return self


def _on_input(name, old, new):
    if name not in _interrupts:
        return
    pin, active, handler, trigger = _interrupts[name]
    rises = bool(new) == bool(active)
    if trigger & (Pin.IRQ_RISING if rises else Pin.IRQ_FALLING):
        handler(pin)


simpanel.on_news = _on_input


class ADC:
    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3
    _RANGE_UV = (950000, 1250000, 1750000, 3100000)  # ESP32-S3: what the ADC can tell at each attenuation

    def __init__(self, pin, *, atten=ATTN_0DB):
        self._pin = pin if isinstance(pin, Pin) else Pin(pin)
        self._atten = atten

    def read_uv(self):
        """µV at the pin, cut off where the attenuation ends: a divider and ATTN_0DB do not read a battery."""
        if self._pin._name != "battery":
            return 0
        ratio_e3 = simhost.wiring["ratio_e3"]
        return min(simpanel.level["battery"] * 1000000 // ratio_e3, self._RANGE_UV[self._atten])


class RTC:
    def datetime(self, fields=None):
        """(year, month, day, weekday, hour, minute, second, µs); a weekday that is given is ignored."""
        if fields is None:
            now_us = _time.rtc()
            year, month, day, hour, minute, second, weekday, _ = _time.gmtime(now_us // 1000000)
            return (year, month, day, weekday, hour, minute, second, now_us % 1000000)
        year, month, day, _, hour, minute, second, micro = fields
        _time.set_rtc(_time.mktime((year, month, day, hour, minute, second)) * 1000000 + micro)
        return None

    def memory(self, data=None):
        """2,048 bytes that survive everything but the loss of power."""
        if data is None:
            return _time.rtc_memory
        if len(data) > _RTC_MEMORY:
            raise ValueError("buffer too long")
        _time.rtc_memory = bytes(data)
        _time.save()
        return None


_dog = array.array("q", [0, 0])  # fed at (ticks_ms), timeout_ms; 0 = there is none


def _watch(command):
    while True:
        left_ms = _dog[0] + _dog[1] - utime.ticks_ms()
        if left_ms <= 0:
            os.system(command)
        # Made again with a shorter timeout, it bites by that.
        utime.sleep_ms(max(1, min(left_ms, 50)))


class WDT:
    """Once made it cannot be stopped; making it again changes the timeout."""

    def __init__(self, id=0, timeout=5000):
        if id != 0 or timeout <= 0:
            raise ValueError("WDT(id=0, timeout > 0 ms)")
        running = _dog[1]
        _dog[1] = timeout
        self.feed()
        if not running:
            _thread.start_new_thread(_watch, (simhost.command("wdt"),))

    def feed(self):
        _dog[0] = utime.ticks_ms()


def reset_cause():
    return _CAUSES.index(simhost.wiring["cause"])


def wake_reason():
    return simhost.wiring["wake"]


def reset():
    simhost.end("reset")


def soft_reset():
    simhost.end("soft")


def deepsleep(time_ms=None):
    simhost.end("deepsleep" if time_ms is None else "deepsleep %d" % time_ms)


def lightsleep(time_ms=None):
    """RAM is kept, so the firmware goes on behind this line. Without a time nothing could wake it yet."""
    if time_ms is None:
        raise ValueError("the simulator needs a time for lightsleep")
    utime.sleep_ms(time_ms)


def unique_id():
    return bytes(simhost.wiring["mac"])
