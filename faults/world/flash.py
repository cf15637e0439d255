"""
What the tag keeps, and the power it draws on: any write can be the last one.

`Disk` keeps the promise of LittleFS that journal.py builds on (the closing of a file is atomic) and no other;
faults.cuts tests that promise itself on the real file system.
"""

from collections.abc import Callable
from typing import Any

from tests.host.fakes import FakeNVS, FakeRTCMemory


class PowerCut(BaseException):
    """The power has gone in the middle of what the firmware does. No firmware code may catch it."""


class Power:
    """
    `fuse`: at which write from now on the power goes (None: it stays); `done`: whether that write is still done.
    `on_gone()` is told at once.
    """

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone
        self.on = False
        self.fuse: int | None = None
        self.done = False

    def restore(self) -> None:
        self.on = True
        self.fuse = None

    def off(self) -> None:
        if self.on:
            self.on = False
            self._on_gone()

    def draw(self, write: Callable[[], None]) -> None:
        """Do one write, if there is power."""
        if not self.on:
            raise PowerCut
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                if self.done:
                    write()
                self.off()
                raise PowerCut
        write()


class NVS(FakeNVS):
    """The chip's key-value flash: a put is whole or absent."""

    def __init__(self, power: Power) -> None:
        super().__init__()
        self._power = power

    def put(self, name: str, data: bytes) -> None:
        self._power.draw(lambda: FakeNVS.put(self, name, data))


class RTCMemory(FakeRTCMemory):
    """Spared by a reset, lost with the power."""

    def __init__(self, power: Power) -> None:
        super().__init__()
        self._power = power

    def write(self, data: bytes) -> None:
        self._power.draw(lambda: FakeRTCMemory.write(self, data))


class _File:
    def __init__(self, disk: "Disk", path: str, writing: bool) -> None:
        self._disk = disk
        self._path = path
        self._writing = writing
        self._new = b""

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._writing and error[0] is None:
            self._disk.commit(self._path, self._new)

    def write(self, data: bytes) -> None:
        self._new += data

    def read(self, size: int = -1) -> bytes:
        data = self._disk.files[self._path]
        return data if size < 0 else data[:size]


class Disk:
    """
    Stands where journal.py expects `os` and `open`. `on_write(path, content)` sees what reached flash, before anybody
    can know; content None: removed.
    """

    def __init__(self, power: Power, on_write: Callable[[str, bytes | None], None]) -> None:
        self._power = power
        self._on_write = on_write
        self.files: dict[str, bytes] = {}
        self._folders = {"", "/data", "/data/outbox"}

    def open(self, path: str, mode: str) -> _File:
        writing = mode == "wb"
        if path.rpartition("/")[0] not in self._folders or (not writing and path not in self.files):
            raise OSError(2, "ENOENT")
        return _File(self, path, writing)

    def commit(self, path: str, content: bytes) -> None:
        def write() -> None:
            self.files[path] = content
            self._on_write(path, content)

        self._power.draw(write)

    def remove(self, path: str) -> None:
        if path not in self.files:
            raise OSError(2, "ENOENT")

        def write() -> None:
            del self.files[path]
            self._on_write(path, None)

        self._power.draw(write)

    def listdir(self, folder: str) -> list[str]:
        start = folder + "/"
        return [
            path[len(start) :]
            for path in self.files
            if path.startswith(start) and "/" not in path[len(start) :]
        ]

    def mkdir(self, folder: str) -> None:
        raise OSError(17, "EEXIST")
