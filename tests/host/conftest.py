"""What the host tests share: the names under which MicroPython knows its built-in modules."""

import binascii
import socket
import struct
import sys

# umqtt.simple 1.3.4 imports these by their old names, which MicroPython still resolves.
sys.modules.setdefault("usocket", socket)
sys.modules.setdefault("ustruct", struct)
sys.modules.setdefault("ubinascii", binascii)
