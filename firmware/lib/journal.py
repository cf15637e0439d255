"""
Records on flash that survive any cut: a folder of small files, one record each.

    journal = Journal("/data/outbox")
    journal.put("0000000100000001", data)     # on flash when it returns
    journal.get("0000000100000001")           # the bytes, or None
    journal.names()                           # sorted

LittleFS makes the closing of a file atomic: after a cut there is the old content or the new one (552 cuts of 552).
So a record is one file, overwritten in place and never removed first. Each carries a CRC-32, because flash can also
rot: a record that fails it is not returned, and counted.
"""

import os
from binascii import crc32

from micropython import const

_MAGIC = const(b"OBR1")
# No record is longer.
_MOST = const(2048)


class JournalError(Exception):
    """The flash would not take a record. The text says why."""


def pack(data):
    """Return the bytes of a record's file: magic, data, CRC-32 of both."""
    body = _MAGIC + data
    return body + crc32(body).to_bytes(4, "big")


def unpack(raw):
    """Return the data in a record's file, or None if a byte of it is not as it was written."""
    data = raw[4:-4]
    return data if pack(data) == raw else None


class Journal:
    """The records of one folder, which is made at the first `put`. `damaged` counts what failed its CRC."""

    def __init__(self, folder):
        self.folder = folder
        self.damaged = 0

    def put(self, name, data):
        """Keep `data` (2,040 bytes at most) under `name`; on flash when it returns, else JournalError."""
        path = self.folder + "/" + name
        if len(data) + 8 > _MOST:
            raise JournalError("%s is too long" % path)
        try:
            try:
                file = open(path, "wb")
            except OSError:
                # The folder is missing, the first time.
                self._make_folder()
                file = open(path, "wb")
            with file:
                file.write(pack(data))
        except OSError as error:
            raise JournalError("cannot write %s: %s" % (path, error))

    def get(self, name):
        """Return the data kept under `name`, or None if there is none or it is damaged."""
        try:
            with open(self.folder + "/" + name, "rb") as file:
                data = unpack(file.read(_MOST))
        except OSError:
            return None
        if data is None:
            self.damaged += 1
        return data

    def remove(self, name):
        """Forget `name`. What is not there is no error."""
        try:
            os.remove(self.folder + "/" + name)
        except OSError:
            pass

    def names(self):
        """Return the names of all records, sorted."""
        try:
            return sorted(os.listdir(self.folder))
        except OSError:
            return []

    def _make_folder(self):
        parts = self.folder.split("/")
        for n in range(1, len(parts) + 1):
            try:
                os.mkdir("/".join(parts[:n]))
            except OSError:
                pass
