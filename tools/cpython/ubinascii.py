"""The name under which umqtt.simple 1.3.4 knows `binascii`; MicroPython resolves it by itself."""

from binascii import *  # noqa: F403
