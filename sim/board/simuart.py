"""
machine.UART over a PTY. The wiring says which PTY belongs to which UART; without one nothing is wired there.

Bytes beyond `rxbuf` are lost and counted (`lost`), as in a chip whose buffer is full. The PTY's own 4 KB do not
help: what waited there is cut to `rxbuf` all the same. What arrives while the part has no power was never sent.
write() takes the bytes at once and blocks while the wire has not yet made room for them in `txbuf`.
"""

import io
import select
import termios

import simhost
import simpanel
import utime
from micropython import const

_POLL = const(3)  # MP_STREAM_POLL and its flags
_RD = const(1)
_WR = const(4)
_VTIME = const(5)
_VMIN = const(6)
_REOPEN_MS = const(500)
_FIFO = const(128)  # bytes of the chip's own, behind txbuf

_uarts = []  # those that were made


def _before_output(name):
    # What came before a supply was switched is judged by the old state, not when somebody reads next.
    for uart in _uarts:
        if name in uart._supplies:
            uart.any()


simpanel.power = _before_output


class UART(io.IOBase):
    def __init__(self, id, baudrate=115200, bits=8, parity=None, stop=1, **options):
        self.id = id
        self.lost = 0
        self.part = simhost.wiring["uarts"].get(str(id))
        self._path = simhost.wiring["ptys"].get(self.part)
        self._supplies = simhost.wiring["supplied"].get(self.part, "").split()
        self._idle_us = utime.ticks_us()  # when all that was written has left
        self._file = None
        self._tried_ms = None
        self._chunk = bytearray(256)
        self.init(baudrate, bits, parity, stop, **options)
        _uarts.append(self)

    def init(
        self,
        baudrate=115200,
        bits=8,
        parity=None,
        stop=1,
        *,
        tx=None,
        rx=None,
        rxbuf=256,
        txbuf=256,
        timeout=0,
        timeout_char=0,
        **options,
    ):
        self._tx = None if tx is None else simhost.pin(tx)[0]
        if self._tx:
            simpanel.say(self._tx, 1)
        self._rxbuf = rxbuf
        self._txbuf = txbuf
        self._byte_us = 10000000 // baudrate
        self._buf = bytearray()
        self._timeout = timeout

    def _powered(self):
        # A Pin on the line of TX takes it from the UART until its next init.
        return (not self._tx or simpanel.out[self._tx]) and all(
            simpanel.out.get(name, 0) for name in self._supplies
        )

    def _open(self):
        # Whoever plays the part may come later, or go and come again under the same name.
        now_ms = utime.ticks_ms()
        if self._tried_ms is not None and utime.ticks_diff(now_ms, self._tried_ms) < _REOPEN_MS:
            return
        self._tried_ms = now_ms
        try:
            file = simhost.folder.open(self._path, "r+b")
        except OSError:
            return
        termios.setraw(file.fileno())
        settings = termios.tcgetattr(file.fileno())
        settings[6][_VTIME] = settings[6][_VMIN] = 0  # read what is there, do not wait
        termios.tcsetattr(file.fileno(), termios.TCSANOW, settings)
        while file.readinto(self._chunk):
            pass  # said before this chip listened
        self._file = file

    def _pull(self):
        if self._path is None:
            return
        if self._file is None:
            self._open()
            if self._file is None:
                return
        while True:
            try:
                count = self._file.readinto(self._chunk)
            except OSError:  # the other end was closed
                self._file.close()
                self._file = None
                return
            if not count:
                return
            if self._powered():
                room = min(self._rxbuf - len(self._buf), count)
                self._buf.extend(memoryview(self._chunk)[:room])
                self.lost += count - room

    def any(self):
        self._pull()
        return len(self._buf)

    def _take(self, count):
        data = bytes(self._buf[:count])
        self._buf[:count] = b""
        return data

    def _wait(self, count):
        """Wait for `count` bytes, at most the UART's timeout in ms (0 by default)."""
        start_ms = utime.ticks_ms()
        while self.any() < count and utime.ticks_diff(utime.ticks_ms(), start_ms) < self._timeout:
            utime.sleep_ms(1)

    def read(self, count=-1):
        self._wait(1 if count < 0 else count)
        return self._take(len(self._buf) if count < 0 else count) if self._buf else None

    def readinto(self, buf, count=-1):
        data = self.read(len(buf) if count < 0 else min(count, len(buf)))
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def readline(self):
        self._wait(1)
        end = self._buf.find(b"\n")
        return self.read(len(self._buf) if end < 0 else end + 1)

    def write(self, data):
        """Give `data` to the part. With no part there, or none that reads, it is lost as on a wire."""
        self._pull()
        if self._file is not None and self._powered():
            poll = select.poll()
            poll.register(self._file, select.POLLOUT)
            if poll.poll(0):
                try:
                    self._file.write(data)
                except OSError:
                    pass  # found closed by the next _pull
        now_us = utime.ticks_us()
        ahead_us = max(0, utime.ticks_diff(self._idle_us, now_us)) + len(data) * self._byte_us
        self._idle_us = utime.ticks_add(now_us, ahead_us)
        utime.sleep_us(max(0, ahead_us - (self._txbuf + _FIFO) * self._byte_us))
        return len(data)

    def flush(self):
        utime.sleep_us(max(0, utime.ticks_diff(self._idle_us, utime.ticks_us())))

    def txdone(self):
        return utime.ticks_diff(self._idle_us, utime.ticks_us()) <= 0

    def deinit(self):
        if self._file is not None:
            self._file.close()
            self._file = None
        self._path = None

    def ioctl(self, request, arg):
        if request != _POLL:
            return -1
        ready = arg & _WR
        if arg & _RD and self.any():
            ready |= _RD
        return ready
