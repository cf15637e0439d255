"""The power chip: which registers are touched, which never, and what they mean (its datasheet, 6)."""

import pytest
from axp2101 import AXP2101

STATUS, ADC, BATTERY, DC, DC3_MV, LDO, BLDO1_MV, BLDO2_MV = 0x00, 0x30, 0x34, 0x80, 0x84, 0x90, 0x96, 0x97


class FakeI2C:
    """256 registers at 0x34, as after the fuses: DC1, which feeds the ESP32, and others are on."""

    def __init__(self) -> None:
        self.registers = bytearray(256)
        self.registers[DC] = 0x13
        self.registers[LDO] = 0x03
        self.written: list[tuple[int, int]] = []

    def readfrom_mem(self, address: int, register: int, size: int) -> bytes:
        if address != 0x34:
            raise OSError(19, "ENODEV")
        return bytes(self.registers[register : register + size])

    def writeto_mem(self, address: int, register: int, data: bytes) -> None:
        if address != 0x34:
            raise OSError(19, "ENODEV")
        for offset, value in enumerate(data):
            self.registers[register + offset] = value
            self.written.append((register + offset, value))


def dc3_mv(step: int) -> int:
    """The scale in three parts."""
    return (
        500 + 10 * step if step < 71 else 1220 + 20 * (step - 71) if step < 88 else 1600 + 100 * (step - 88)
    )


def test_the_rails_get_their_voltages_before_they_are_switched_on():
    """Sheet 2.1: the modem takes 2.7 to 3.4 V; a rail with an unknown voltage would harm it."""
    i2c = FakeI2C()
    pmu = AXP2101(i2c)
    assert dc3_mv(i2c.registers[DC3_MV] & 0x7F) == 3000
    assert [500 + 100 * i2c.registers[register] for register in (BLDO1_MV, BLDO2_MV)] == [3300, 3300]
    assert not pmu.modem_on()
    pmu.modem(True)
    assert pmu.modem_on()
    assert [register for register, _ in i2c.written].index(DC3_MV) < [r for r, _ in i2c.written].index(DC)


@pytest.mark.parametrize("others", [0x13, 0x01, 0xFF, 0xFB])
def test_what_feeds_the_esp32_and_the_rest_is_never_touched(others):
    i2c = FakeI2C()
    i2c.registers[DC], i2c.registers[LDO] = others, 0x8F
    pmu = AXP2101(i2c)
    for on in (True, False, True, True, False):
        pmu.modem(on)
        assert i2c.registers[DC] == (others | 4 if on else others & ~4)
        assert i2c.registers[LDO] == (0xBF if on else 0x8F)
        assert pmu.modem_on() == on
    assert all(value & 1 for register, value in i2c.written if register == DC)
    assert {register for register, _ in i2c.written} == {ADC, DC, DC3_MV, LDO, BLDO1_MV, BLDO2_MV}


def test_the_supply_that_outlived_a_reset_is_seen_and_left_on():
    i2c = FakeI2C()
    AXP2101(i2c).modem(True)
    before = bytes(i2c.registers)
    assert AXP2101(i2c).modem_on()
    assert bytes(i2c.registers) == before


@pytest.mark.parametrize("mv", [0, 255, 256, 3000, 3987, 4200, 0x1FFF])
def test_the_battery_is_told_in_mv_once_its_adc_is_on(mv):
    i2c = FakeI2C()
    i2c.registers[ADC] = 0x02
    pmu = AXP2101(i2c)
    assert i2c.registers[ADC] == 0x03
    # The bits above the 13 are not its own.
    i2c.registers[BATTERY], i2c.registers[BATTERY + 1] = mv >> 8 | 0xE0, mv & 0xFF
    assert pmu.battery_mv() == mv


@pytest.mark.parametrize(("status", "charging"), [(0x20, True), (0x28, True), (0x08, False), (0xDF, False)])
def test_charging_is_vbus_and_nothing_else(status, charging):
    i2c = FakeI2C()
    pmu = AXP2101(i2c)
    i2c.registers[STATUS] = status
    assert pmu.charging() is charging


def test_a_board_without_the_chip_says_so():
    class Nobody(FakeI2C):
        def readfrom_mem(self, address: int, register: int, size: int) -> bytes:
            raise OSError(19, "ENODEV")

        writeto_mem = readfrom_mem  # type: ignore[assignment]

    with pytest.raises(OSError, match="ENODEV"):
        AXP2101(Nobody())
