"""
The wires between a tag and its modem: what the panel hears of the tag's pins and rails, done to the modem.

    modem = Modem("build/modem")
    panel.on_output(Wires(modem))                            # in one process
    await follow(("127.0.0.1", 7000), Wires(modem))          # with a panel elsewhere
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

from sim.common import SimError

if TYPE_CHECKING:  # the command line of the modem imports this module
    from sim.modem.modem import Modem

_PULSE_MS = 1100  # PWRKEY, of the tag's driver: 1 s or more switches it on, 1.2 s off


class Wired(Protocol):
    """What has the modem's wires: sim.modem.Modem."""

    def supply(self, on: bool) -> None: ...

    def pwrkey_level(self, low: bool) -> None: ...

    def dtr(self, high: bool) -> None: ...

    def tx(self, high: bool) -> None: ...


class QuickWires:
    """The wires of a modem in quicker time, in which a pulse of PWRKEY lasts as long as in the tag's."""

    def __init__(self, modem: "Modem") -> None:
        self.supply, self.dtr, self.tx = modem.supply, modem.dtr, modem.tx
        self._modem = modem
        self.dead = False  # the key's wire is broken

    def pwrkey_level(self, low: bool) -> None:
        if low and not self.dead:
            self._modem.pwrkey(_PULSE_MS)


class Wires:
    """
    An output callback of the panel. The supply starts off, whatever the modem thought.

    modem: VBAT. modem_pwrkey: 1 = the key is pressed. modem_dtr: 1 = high, the modem may sleep. modem_tx: 1 = the
    tag's TX idles high, and feeds a modem that has no supply. Others pass by.
    """

    def __init__(self, modem: Wired) -> None:
        self._act = {
            "modem": modem.supply,
            "modem_pwrkey": modem.pwrkey_level,
            "modem_dtr": modem.dtr,
            "modem_tx": modem.tx,
        }
        modem.supply(False)

    def __call__(self, name: str, value: int, _t_ms: int = 0) -> None:
        if name in self._act:
            self._act[name](bool(value))


class WiresError(SimError):
    """There is no panel to follow, or there is none any more."""


async def follow(panel: tuple[str, int], wires: Wires) -> None:
    """Do what a panel's tag does to the wires, for ever. WiresError: no panel answers, or it is gone."""
    where = f"{panel[0]}:{panel[1]}"
    try:
        reader, writer = await asyncio.open_connection(*panel)
    except OSError as error:
        raise WiresError(f"no panel at {where}: {error.strerror}. Start it first: python -m sim panel")
    writer.write(b"watch\n")
    try:
        while line := await reader.readline():
            _, name, value = line.decode().split()
            wires(name, int(value))
    except (OSError, ValueError):
        pass  # it died, or speaks something else
    finally:
        writer.close()
    raise WiresError(f"the panel at {where} is gone, or is none")
