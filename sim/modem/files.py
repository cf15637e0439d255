"""The modem's file system: CFS*, folder 3 is /customer/. Sheet 4. Files survive everything."""

from sim.modem.core import Core, Reply, lines
from sim.modem.line import NOT_ALLOWED, NOT_FOUND, AtError, info

_CAPACITY = 256 * 1024


class Files:
    """content: (folder, name) to bytes."""

    def __init__(self, core: Core) -> None:
        self.content: dict[tuple[int, str], bytes] = {}
        self._core = core
        self._open = False

    def restart(self) -> None:
        self._open = False

    def check(self) -> None:
        """AtError when CFSINIT is missing."""
        if not self._open:
            raise AtError(NOT_ALLOWED)

    def _found(self, folder: int, name: str) -> bytes:
        try:
            return self.content[folder, name]
        except KeyError:
            raise AtError(NOT_FOUND)

    # Commands

    def init(self) -> None:
        if self._open:
            raise AtError(NOT_ALLOWED)
        self._open = True

    def term(self) -> None:
        self._open = False

    async def write(self, folder: int, name: str, append: int, size: int, ms: int) -> None:
        """AT+CFSWFILE: DOWNLOAD, the bytes (without echo), OK. Too few in time: +CME ERROR: 3 [T37]."""
        data = await self._core.payload("+CFSWFILE", info("DOWNLOAD"), size, ms, echo=False)
        if len(data) < size:
            raise AtError(NOT_ALLOWED)
        before = self.content.get((folder, name), b"") if append else b""
        if self._used() + len(data) > _CAPACITY:
            raise AtError(20)
        self.content[folder, name] = before + data

    def size(self, folder: int, name: str) -> Reply:
        return lines(f"+CFSGFIS: {len(self._found(folder, name))}")

    def read(self, folder: int, name: str, mode: int, size: int, position: int) -> Reply:
        data = self._found(folder, name)
        start = position if mode else 0
        return Reply(info(data[start : start + size]))

    def delete(self, folder: int, name: str) -> None:
        self._found(folder, name)
        del self.content[folder, name]

    def rename(self, folder: int, old: str, new: str) -> None:
        self.content[folder, new] = self._found(folder, old)
        if old != new:
            del self.content[folder, old]

    def free(self) -> Reply:
        return lines(f"+CFSGFRS: {_CAPACITY - self._used()}")

    def _used(self) -> int:
        return sum(map(len, self.content.values()))
