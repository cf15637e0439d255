"""
The tag's flash: a block device in a host file, mounted as LittleFS2 at '/'.

Every program and erase goes straight to the file: a kill loses nothing that the firmware was told is written.
`fuse` counts such operations; when it is used up, half a buffer is written and the process dies: a power cut.
"""

import os

import simhost
import vfs
from micropython import const

_BLOCK = const(4096)
_UNIT = const(32)  # the ESP32 port's read and program size
# An erase is written in pieces: a whole block would cost the firmware 4 KB of its heap, which no chip asks for.
_BLANK = b"\xff" * 128


class Flash:
    def __init__(self, path, fuse=None):
        self._file = simhost.folder.open(path, "r+b")
        self._blocks = simhost.folder.stat(path)[6] // _BLOCK
        self._fuse = fuse

    def readblocks(self, block, buf, offset=0):
        self._file.seek(block * _BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        self._file.seek(block * _BLOCK + offset)
        if self._blows():
            self._file.write(memoryview(buf)[: len(buf) // 2])
            self._die()
        self._file.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return _BLOCK
        if op == 6:
            self._file.seek(arg * _BLOCK)
            blown = self._blows()
            for _ in range(_BLOCK // len(_BLANK) // (2 if blown else 1)):
                self._file.write(_BLANK)
            if blown:
                self._die()
        return 0

    def _blows(self):
        if self._fuse is None:
            return False
        self._fuse -= 1
        return self._fuse < 0

    @staticmethod
    def _die():
        os.system("kill -9 $PPID")
        while True:
            pass


def mount(path, fuse=None):
    """Put the flash file at '/'. OSError when it holds no LittleFS."""
    file_system = vfs.VfsLfs2(Flash(path, fuse), readsize=_UNIT, progsize=_UNIT, lookahead=_UNIT)
    vfs.umount("/")
    vfs.mount(file_system, "/")
    os.chdir("/")
