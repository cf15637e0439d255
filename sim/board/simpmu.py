"""
machine.I2C with an AXP2101 behind it, as on the T-SIM7080G. Loaded only for a board whose map has a pmu.

Its registers stand in FILE.pmu: they survive all that the ESP goes through, until the battery is taken away.
Registers as in XPowersLib (REG/AXP2101Constants.h, XPowersAXP2101.tpp) and X-Powers' Linux regulator driver; the rails
as in the AT fact sheet 2.1: DC1 the ESP, DC3 the modem, BLDO1 the level shifter between the two.

    0x00  bit 5 VBUS good, bit 3 a battery is there       0x30        bit 0: the battery's voltage is measured
    0x34  its high 5 bits in mV, 0x35 the low 8           0x80, 0x90  enable DC1 DC2 DC3 ..., ALDO1-4 BLDO1 BLDO2 ...
    0x84  DC3: 10 mV steps from 500 (0), 20 from 1220 (71), 100 from 1600 (88) to 3400; bit 7 is no voltage

Own choice, where the chip's fuses decide: with the battery DC1 comes on, all else is off and 0.
"""

import simhost
import simpanel
from micropython import const

_ADDRESS = const(0x34)
_DC = const(0x80)
_DC3_MV = const(0x84)
_LDO = const(0x90)
_MODEM_MV = const(2700)  # sheet 2.1: DC3 may be 2.7 to 3.4 V
_ENODEV = const(19)

_path = simhost.wiring["flash"] + ".pmu"
_registers = bytearray(simhost.read(_path) or 256)


def _dc3_mv():
    step = _registers[_DC3_MV] & 0x7F
    if step < 71:
        return 500 + 10 * step
    return 1220 + 20 * (step - 71) if step < 88 else 1600 + 100 * (step - 88)


def _rails():
    """Return what the board takes from the rails: the modem's supply and its level shifter's."""
    modem = _registers[_DC] & 4 and _dc3_mv() >= _MODEM_MV
    return (("modem", 1 if modem else 0), ("modem_io", _registers[_LDO] >> 4 & 1))


if not _registers[_DC]:
    _registers[_DC] = 1
# Said to the panel at the hello: it may be new.
for _rail, _on in _rails():
    simpanel.out[_rail] = _on


def _refresh():
    _registers[0] = 0x28 if simpanel.level["charger"] else 8
    mv = simpanel.level["battery"] if _registers[0x30] & 1 else 0
    _registers[0x34], _registers[0x35] = mv >> 8 & 0x1F, mv & 0xFF


class I2C:
    """The bus on the pins of the board map. On other pins nobody answers: OSError(ENODEV), as on the chip."""

    def __init__(self, id, *, scl, sda, freq=400000, timeout=50000):
        pmu = simhost.wiring["pmu"]
        self._wired = [id, sda.number, scl.number] == pmu

    def scan(self):
        return [_ADDRESS] if self._wired else []

    def _ask(self, address):
        if not self._wired or address != _ADDRESS:
            raise OSError(_ENODEV)

    def readfrom_mem(self, address, register, count, *, addrsize=8):
        self._ask(address)
        _refresh()
        return bytes(_registers[register : register + count])

    def writeto_mem(self, address, register, data, *, addrsize=8):
        self._ask(address)
        _registers[register : register + len(data)] = data
        simhost.write(_path, _registers)
        for rail, on in _rails():
            simpanel.say(rail, on, "rail")
        if not _registers[_DC] & 1:
            simhost.end("power")
