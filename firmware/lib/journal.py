"""
Records on flash that survive any cut: a folder of small files, one record each.

    journal = Journal("/data/outbox")
    journal.put("0000000100000001", data)     # on flash when it returns
    journal.get("0000000100000001")           # the bytes, or None
    journal.names()                           # sorted

LittleFS makes the closing of a file atomic: after a cut there is the old content or the new one (552 cuts of 552).
So a record is one file, overwritten in place and never removed first. Each carries a length and a CRC-32, because
flash can also rot: a record that fails them is not returned, and counted.
"""

import binascii
import os

_MAGIC = b"OBR1"


class JournalError(Exception):
    """The flash would not take a record. The text says why."""


def pack(data):
    """Return the bytes of a record's file."""
    body = _MAGIC + len(data).to_bytes(2, "big") + data
    return body + binascii.crc32(body).to_bytes(4, "big")


def unpack(raw):
    """Return the data in a record's file, or None if a byte of it is not as it was written."""
    if len(raw) < 10 or raw[:4] != _MAGIC:
        return None
    body = raw[:-4]
    if len(body) - 6 != int.from_bytes(raw[4:6], "big"):
        return None
    if binascii.crc32(body).to_bytes(4, "big") != raw[-4:]:
        return None
    return body[6:]


class Journal:
    """The records of one folder, which is made at the first `put`. `damaged` counts what failed its CRC."""

    def __init__(self, folder):
        self._folder = folder
        self.damaged = 0

    def put(self, name, data):
        """Keep `data` (at most 65535 bytes) under `name`; on flash when it returns, else JournalError."""
        path = self._folder + "/" + name
        try:
            try:
                file = open(path, "wb")
            except OSError:
                self._make_folder()
                file = open(path, "wb")
            with file:
                file.write(pack(data))
        except OSError as error:
            raise JournalError("cannot write %s: %s" % (path, error))

    def get(self, name):
        """Return the data kept under `name`, or None if there is none or it is damaged."""
        try:
            with open(self._folder + "/" + name, "rb") as file:
                data = unpack(file.read())
        except OSError:
            return None
        if data is None:
            self.damaged += 1
        return data

    def remove(self, name):
        """Forget `name`. What is not there is no error."""
        try:
            os.remove(self._folder + "/" + name)
        except OSError:
            pass

    def names(self):
        """Return the names of all records, sorted."""
        try:
            return sorted(os.listdir(self._folder))
        except OSError:
            return []

    def _make_folder(self):
        path = ""
        for part in self._folder.strip("/").split("/"):
            path += "/" + part if self._folder.startswith("/") or path else part
            try:
                os.mkdir(path)
            except OSError:
                pass
