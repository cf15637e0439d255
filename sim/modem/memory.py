"""What the modem keeps, by the saving classes of sheet 1: NO_SAVE, AUTO_SAVE, AUTO_SAVE_REBOOT."""

from typing import Any

NO_SAVE, AUTO_SAVE, AUTO_SAVE_REBOOT = "no_save", "auto_save", "auto_save_reboot"


class Memory:
    """Settings by name. What was never set reads as its default."""

    def __init__(self) -> None:
        self._ram: dict[str, Any] = {}
        self._flash: dict[str, Any] = {}
        self._later: dict[str, Any] = {}  # written, in force after the next start

    def get(self, key: str, default: Any = None) -> Any:
        return self._ram.get(key, self._flash.get(key, default))

    def written(self, key: str, default: Any = None) -> Any:
        """Return what the read command shows: also what is not yet in force."""
        return self._later.get(key, self.get(key, default))

    def set(self, key: str, value: Any, save: str = NO_SAVE) -> None:
        {NO_SAVE: self._ram, AUTO_SAVE: self._flash, AUTO_SAVE_REBOOT: self._later}[save][key] = value

    def restart(self) -> None:
        """Forget what is not saved."""
        self._ram.clear()
        self._flash |= self._later
        self._later.clear()
