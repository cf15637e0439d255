"""
The tag's end of the panel connection (line protocol: sim/panel.py).

A thread blocks in the socket and hands bytes to the main thread through a ring and micropython.schedule, so a
change of a pin interrupts the firmware as it does on the chip. There is no GIL here: the thread touches only
objects made beforehand, and passes nothing but small integers.
"""

import _thread
import array
import sys

import micropython
import simhost
import usocket
import utime
from micropython import const

_RING = const(256)  # bytes; a press is some 30, and what does not fit waits in the socket
_CONNECT_S = const(5)
_IPPROTO_TCP = const(6)  # Linux; the port has no names for them
_TCP_NODELAY = const(1)

level = {"button": 0, "charger": 0, "battery": 3900}  # logical values; battery in mV
out = {}  # name -> logical value, as last said to the panel
air = {}  # ssid -> key
began_ms = 0
power = None  # simuart.py: callback(name), while the old value still holds
on_news = None  # machine.py: callback(name, old, new), in scheduled context

_sock = None
_ring = bytearray(_RING)
_mark = array.array("i", [0, 0])  # bytes in, bytes out
_line = bytearray()


def connect(host, port):
    """Say hello, take the state the panel replays; from then on listen in a thread. OSError: nobody answers."""
    global _sock
    sock = usocket.socket()
    sock.settimeout(_CONNECT_S)
    sock.connect(usocket.getaddrinfo(host, port)[0][-1])
    # Without it the second of two changes waits 40 ms for the panel's delayed ACK.
    sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
    sock.write(b"hello %s\n" % simhost.wiring["board"].encode())
    while True:
        line = sock.readline()
        if not line:
            raise OSError("the panel closed the connection before it said ready")
        if line == b"ready\n":
            break
        _apply(line)
    for name, value in out.items():  # of the rails, which hold while the chip is off
        sock.write(b"rail %s %d\n" % (name.encode(), value))
    sock.settimeout(None)
    _sock = sock
    _thread.start_new_thread(_listen, ())


def say(name, value, kind="out"):
    """Tell the panel that output `name` (or a "rail") has the logical `value` now. Without a panel nothing happens."""
    if out.get(name, 0) == value:
        return
    if power:
        power(name)
    out[name] = value
    simhost.trace("%s %s %d" % (kind, name, value))
    if _sock:
        try:
            _sock.write(b"%s %s %d\n" % (kind.encode(), name.encode(), value))
        except OSError:
            pass  # the panel went away; the tag does not depend on it


def _listen():
    one = bytearray(1)
    sock = _sock
    while True:
        try:
            if not sock.readinto(one):
                return
        except OSError:
            return
        while _mark[0] - _mark[1] >= _RING:
            utime.sleep_ms(1)
        _ring[_mark[0] % _RING] = one[0]
        _mark[0] += 1
        while one[0] == 10:
            try:
                micropython.schedule(_drain, 0)
                break
            except RuntimeError:  # the queue is four deep
                utime.sleep_us(50)


def _drain(_):
    global _line
    while _mark[1] != _mark[0]:
        byte = _ring[_mark[1] % _RING]
        _mark[1] += 1
        _line.append(byte)
        if byte == 10:
            line, _line = _line, bytearray()
            try:
                _apply(bytes(line))
            except Exception as error:  # as the chip does with an exception in a soft interrupt
                sys.print_exception(error)


def _apply(line):
    global began_ms
    words = line.decode().split()
    simhost.trace(" ".join(words))
    if words[0] == "in":
        name, new = words[1], int(words[2])
        old = level.get(name, 0)
        level[name] = new
        if on_news and new != old:
            on_news(name, old, new)
    elif words[0] == "air":
        if words[1] == "off":
            air.clear()
        else:
            air[words[2]] = words[3] if len(words) > 3 else ""
        began_ms = utime.ticks_ms()
