"""The name under which umqtt.simple 1.3.4 knows `socket`; MicroPython resolves it by itself."""

from socket import *  # noqa: F403
