"""
network.WLAN as far as the firmware uses it: the station side. The panel says which networks are in the air; data goes
through the host's sockets.

`status()` is computed when asked: from what is in the air, and from the time since connect() or since the
air changed.
"""

import simpanel
import utime
from micropython import const

STA_IF = 0
# What status() returns, by the ESP32 port's names
_STAT_IDLE = const(1000)
_STAT_CONNECTING = const(1001)
_STAT_GOT_IP = const(1010)
_STAT_NO_AP_FOUND = const(201)
_STAT_WRONG_PASSWORD = const(202)

# Estimate for scan, WPA2 handshake and DHCP of an ESP32 that knows nothing of the access point: 1.5 to 3 s.
ASSOCIATE_MS = 1800
# ESP-IDF's default inactive time: a station notices only then that its access point is gone.
_BEACON_LOST_MS = const(6000)


class _Station:
    def __init__(self):
        self.active = False
        self.wanted = None  # (ssid, key) of connect()
        self.since_ms = 0
        self.was_up = False

    def status(self):
        if not self.active or self.wanted is None:
            return _STAT_IDLE
        ssid, key = self.wanted
        now_ms = utime.ticks_ms()
        air_ms = utime.ticks_diff(now_ms, simpanel.began_ms)
        trying_ms = utime.ticks_diff(now_ms, self.since_ms)
        if ssid in simpanel.air and simpanel.air[ssid] == key:
            # An access point that came back is found by the chip's own retries.
            if self.was_up or min(air_ms, trying_ms) >= ASSOCIATE_MS:
                self.was_up = True
                return _STAT_GOT_IP
            return _STAT_CONNECTING
        if self.was_up:
            if air_ms < _BEACON_LOST_MS:
                return _STAT_GOT_IP
            self.was_up = False
        if trying_ms < ASSOCIATE_MS:
            return _STAT_CONNECTING
        return _STAT_WRONG_PASSWORD if ssid in simpanel.air else _STAT_NO_AP_FOUND


_station = _Station()


class WLAN:
    IF_STA = STA_IF

    def __init__(self, interface=STA_IF):
        if interface != STA_IF:
            raise ValueError("the simulator knows the station interface only")

    def active(self, on=None):
        if on is None:
            return _station.active
        _station.active = bool(on)
        if not on:
            self.disconnect()
        return None

    def connect(self, ssid=None, key=None):
        if not _station.active:
            raise OSError("Wifi Not Started")
        if isinstance(ssid, (bytes, bytearray)):
            ssid = bytes(ssid).decode()
        _station.wanted = (ssid, key or "")
        _station.since_ms = utime.ticks_ms()
        _station.was_up = False

    def disconnect(self):
        _station.wanted = None
        _station.was_up = False

    def isconnected(self):
        return _station.status() == _STAT_GOT_IP

    def status(self):
        return _station.status()
