"""The name under which umqtt.simple 1.3.4 knows `struct`; MicroPython resolves it by itself."""

from struct import *  # noqa: F403
