"""
The AXP2101, a power chip on I2C: as far as a tag needs it. Register numbers are those of its datasheet, 6.

    pmu = AXP2101(i2c)               # OSError: nothing answers at its address
    pmu.modem(True)                  # DC3: 3.0 V for the modem, BLDO1 its level shifter, BLDO2 its GNSS antenna
    pmu.modem_on()                   # it outlives a reset of the ESP32
    pmu.battery_mv(); pmu.charging()
"""

from micropython import const

_ADDRESS = const(0x34)
_STATUS = const(0x00)
_ADC = const(0x30)
_BATTERY = const(0x34)
_DC = const(0x80)
_DC3_VOLTAGE = const(0x84)
_LDO = const(0x90)
_BLDO1_VOLTAGE = const(0x96)
_DC3 = const(4)
_BLDO = const(0x30)
_VBUS_GOOD = const(0x20)
# 1.6 V + 14 x 0.1 V, the scale's third part; BLDO: 0.5 V + 28 x 0.1 V
_3V0 = const(88 + 14)
_3V3 = const(28)


class AXP2101:
    """`i2c` has readfrom_mem and writeto_mem. DC1, which feeds the ESP32 itself, is never touched."""

    def __init__(self, i2c):
        self._i2c = i2c
        self._write(_DC3_VOLTAGE, _3V0)
        for voltage in (_BLDO1_VOLTAGE, _BLDO1_VOLTAGE + 1):
            self._write(voltage, _3V3)
        self._set(_ADC, 1, True)

    def modem(self, on):
        """Switch the modem's supply and all that belongs to it, so that no line feeds it from behind."""
        self._set(_LDO, _BLDO, on)
        self._set(_DC, _DC3, on)

    def modem_on(self):
        return bool(self._read(_DC) & _DC3)

    def battery_mv(self):
        """Return the battery's voltage in mV."""
        return (self._read(_BATTERY) & 0x1F) << 8 | self._read(_BATTERY + 1)

    def charging(self):
        """Return whether there is a supply from outside; False when the chip does not answer."""
        try:
            return bool(self._read(_STATUS) & _VBUS_GOOD)
        except OSError:
            # Asked five times a second for a gesture: not worth a restart.
            return False

    def _read(self, register):
        return self._i2c.readfrom_mem(_ADDRESS, register, 1)[0]

    def _write(self, register, value):
        self._i2c.writeto_mem(_ADDRESS, register, bytes((value,)))

    def _set(self, register, bits, on):
        value = self._read(register)
        self._write(register, value | bits if on else value & ~bits)
