"""
socket with the radio in front of it: without an associated WLAN there is no name service and no connection.

What happens to a connection that is already open when the radio goes away is the business of sim/air.py.
"""

import network
import usocket
from usocket import *


def getaddrinfo(*args):
    if not network.WLAN(network.WLAN.IF_STA).isconnected():
        raise OSError(-202)  # EAI_FAIL, what lwIP says on a chip without a network
    return usocket.getaddrinfo(*args)
