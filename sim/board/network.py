"""
network.WLAN, station side. The panel says which networks are in the air; data goes through the host's sockets.

`status()` is computed when asked: from what is in the air, and from the time since connect() or since the
air changed.
"""

import simhost
import simpanel
import utime

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202

# Estimate for scan, WPA2 handshake and DHCP of an ESP32 that knows nothing of the access point: 1.5 to 3 s.
ASSOCIATE_MS = 1800
# ESP-IDF's default inactive time: a station notices only then that its access point is gone.
BEACON_LOST_MS = 6000


class _Station:
    def __init__(self):
        self.active = False
        self.wanted = None  # (ssid, key) of connect()
        self.since_ms = 0
        self.was_up = False
        self.config = {"reconnects": -1, "pm": 1, "txpower": 20.0}

    def status(self):
        if not self.active or self.wanted is None:
            return STAT_IDLE
        ssid, key = self.wanted
        now_ms = utime.ticks_ms()
        air_ms = utime.ticks_diff(now_ms, simpanel.air_since_ms)
        trying_ms = utime.ticks_diff(now_ms, self.since_ms)
        if ssid in simpanel.air and simpanel.air[ssid] == key:
            # An access point that came back is found by the chip's own retries.
            if self.was_up or min(air_ms, trying_ms) >= ASSOCIATE_MS:
                self.was_up = True
                return STAT_GOT_IP
            return STAT_CONNECTING
        if self.was_up:
            if air_ms < BEACON_LOST_MS:
                return STAT_GOT_IP
            self.was_up = False
        if trying_ms < ASSOCIATE_MS:
            return STAT_CONNECTING
        return STAT_WRONG_PASSWORD if ssid in simpanel.air else STAT_NO_AP_FOUND


_station = _Station()


class WLAN:
    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

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

    def connect(self, ssid=None, key=None, *, bssid=None):
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
        return _station.status() == STAT_GOT_IP

    def status(self, what=None):
        if what == "rssi":
            return -60
        return _station.status()

    def config(self, *args, **settings):
        if args:
            if args[0] == "mac":
                return bytes(simhost.wiring["mac"])
            if args[0] in ("ssid", "essid"):
                return _station.wanted[0] if _station.wanted else ""
            if args[0] not in _station.config:
                raise ValueError("unknown config param")
            return _station.config[args[0]]
        for name in settings:
            if name not in _station.config:
                raise ValueError("unknown config param")
        _station.config.update(settings)
        return None

    def ifconfig(self):
        if self.isconnected():
            return ("192.0.2.2", "255.255.255.0", "192.0.2.1", "192.0.2.1")
        return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")

    def ipconfig(self, name):
        if name == "addr4":
            return self.ifconfig()[:2]
        if name == "gw4":
            return self.ifconfig()[2]
        raise ValueError("the simulator knows addr4 and gw4 only")
