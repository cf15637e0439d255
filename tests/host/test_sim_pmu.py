"""The second board's power chip on the real interpreter: rails, measuring, what survives; and the modem behind it."""

import asyncio
import functools

import pytest

from sim.modem import Modem
from sim.modem_wires import Wires
from sim.wiring import parts_of
from tests.host.sim_bench import Bench, on_bench

BOARD = "lilygo-t-sim7080g"
# What every firmware below begins with. `put` writes a register, `get` reads one.
BOOT = """
import machine
i2c = machine.I2C(0, scl=machine.Pin(7), sda=machine.Pin(15), freq=100000)
def put(register, value):
    i2c.writeto_mem(0x34, register, bytes([value]))
def get(register):
    return i2c.readfrom_mem(0x34, register, 1)[0]
def modem_on():
    put(0x84, 88 + 14)  # DC3 3.0 V
    put(0x90, get(0x90) | 0x10)
    put(0x80, get(0x80) | 4)
"""


@pytest.fixture
def run(tmp_path):
    return functools.partial(on_bench, tmp_path, board=BOARD)


async def until(bench: Bench, **outputs: int) -> None:
    async with asyncio.timeout(5):
        while any(bench.panel.outputs.get(name, 0) != value for name, value in outputs.items()):
            await asyncio.sleep(0.005)


def test_on_the_wrong_pins_or_address_nobody_answers(run):
    async def story(bench: Bench) -> None:
        await bench.on()
        assert await bench.line("scan") == "[52] []"
        assert await bench.line("pins") == "19"
        assert await bench.line("address") == "19"

    main = """
other = machine.I2C(0, scl=machine.Pin(15), sda=machine.Pin(7))
print("scan", i2c.scan(), other.scan())
for name, bus, address in (("pins", other, 0x34), ("address", i2c, 0x35)):
    try:
        bus.readfrom_mem(address, 0, 1)
    except OSError as error:
        print(name, error.errno)
"""
    run({"boot.py": BOOT, "main.py": main}, story)


def test_it_measures_the_panels_battery_and_charger_once_its_adc_is_on(run):
    async def story(bench: Bench) -> None:
        bench.panel.set("battery", 3712)
        await bench.on()
        assert await bench.line("off") == "0 0 8"
        assert await bench.line("on") == "3712 8"
        bench.panel.set("charger", 1)
        bench.panel.set("battery", 4181)
        assert await bench.line("charging") == "4181 40"

    main = """
import time
print("off", get(0x34), get(0x35), get(0))
put(0x30, 1)
print("on", get(0x34) << 8 | get(0x35), get(0))
while not get(0) & 0x20:
    time.sleep_ms(5)
time.sleep_ms(50)
print("charging", get(0x34) << 8 | get(0x35), get(0))
"""
    run({"boot.py": BOOT, "main.py": main}, story)


def test_dc3_feeds_the_modem_only_when_it_is_on_and_gives_enough(run):
    async def story(bench: Bench) -> None:
        told: list[tuple[str, int]] = []
        bench.panel.on_output(lambda name, value, _: told.append((name, value)))
        await bench.on()
        await bench.line("done")
        await until(bench, modem=0, light=1)
        assert told == [("modem", 1), ("modem", 0), ("modem", 1), ("modem", 0), ("light", 1)]

    main = """
put(0x84, 87)         # 1.54 V
put(0x80, 5)          # DC1 and DC3: too little for a modem
put(0x84, 88 + 11)    # 2.7 V
put(0x84, 88 + 10)    # 2.6 V
put(0x84, 88 + 14)    # 3.0 V
put(0x80, 1)
machine.Pin(11, machine.Pin.OUT, value=1)
print("done")
"""
    run({"boot.py": BOOT, "main.py": main}, story)


def test_a_rail_holds_over_reset_and_deep_sleep_while_every_pin_falls(run):
    async def story(bench: Bench) -> None:
        told: list[tuple[str, int]] = []
        bench.panel.on_output(lambda name, value, _: told.append((name, value)))
        tag = await bench.on()
        assert await bench.line("life") == "1 1"  # DC1 alone
        assert await bench.line("life") == "2 5"
        assert await bench.line("life") == "4 5"
        await until(bench, modem=1, modem_io=1)
        assert [value for name, value in told if name == "modem"] == [1]
        assert [value for name, value in told if name == "light"][:4] == [1, 0, 1, 0]
        await tag.stop()
        await until(bench, modem=0, modem_io=0)
        await tag.start()
        assert await bench.line("life") == "1 1"  # the battery was taken away

    main = """
print("life", machine.reset_cause(), get(0x80))
machine.Pin(11, machine.Pin.OUT, value=1)
if machine.reset_cause() == machine.PWRON_RESET:
    modem_on()
    machine.reset()
elif machine.reset_cause() == machine.HARD_RESET:
    machine.deepsleep(50)
"""
    run({"boot.py": BOOT, "main.py": main}, story)


def test_who_turns_dc1_off_cuts_its_own_power(run):
    async def story(bench: Bench) -> None:
        tag = await bench.on()
        assert await bench.line("start") == "1"
        assert await bench.line("start") == "1"
        assert tag.causes[:2] == ["power", "power"]
        assert not any("still here" in line for line in bench.seen)

    main = """
print("start", get(0x80))
modem_on()
put(0x80, 4)
print("still here")
"""
    run({"boot.py": BOOT, "main.py": main}, story)


# UART 1, PWRKEY 41, DTR 42 on this board; UART 2, supply 11, PWRKEY 12, DTR 13 on tag-a.
TALK = """
import time
def ask(uart, command, wait_ms=300):
    uart.read()
    uart.write(command + b"\\r")
    time.sleep_ms(wait_ms)
    return uart.read()
def press(pin):
    key = machine.Pin(pin, machine.Pin.OUT, value=1)
    time.sleep_ms(120)
    key.value(0)
    time.sleep_ms(300)
"""
SPEED = 20  # a pulse of 100 ms is one of 2 s, the boot takes 125 ms


def with_modem(tmp_path, run, firmware, story) -> Modem:
    modems: list[Modem] = []

    async def whole(bench: Bench) -> None:
        modem = Modem(tmp_path / "modem", speed=SPEED)
        modems.append(modem)
        await modem.start()
        bench.panel.on_output(Wires(modem))
        try:
            await bench.on(modem=tmp_path / "modem")
            await story(bench, modem)
        finally:
            await bench.off()
            await modem.stop()

    run(firmware, whole)
    return modems[0]


def test_the_modem_answers_behind_the_rails_and_not_before(tmp_path, run):
    async def story(bench: Bench, modem: Modem) -> None:
        assert await bench.line("no supply") == "None"
        assert await bench.line("no level shifter") == "None"
        assert await bench.line("at") == "b'AT\\r\\r\\nOK\\r\\n'"
        assert modem.state == "on"
        assert await bench.line("cut") == "None"
        assert modem.state == "off"
        assert modem.starts == 1

    main = """
uart = machine.UART(1, 115200, tx=machine.Pin(5), rx=machine.Pin(4), rxbuf=1024)
press(41)
print("no supply", ask(uart, b"AT"))
modem_on()
put(0x90, 0)
press(41)
print("no level shifter", ask(uart, b"AT"))
put(0x90, 0x10)
print("at", ask(uart, b"AT"))
put(0x80, 1)
print("cut", ask(uart, b"AT"))
"""
    with_modem(tmp_path, run, {"boot.py": BOOT + TALK, "main.py": main}, story)


def test_the_modem_lives_on_while_the_esp_restarts(tmp_path, run):
    async def story(bench: Bench, modem: Modem) -> None:
        assert await bench.line("first") == "b'AT\\r\\r\\nOK\\r\\n'"
        assert await bench.line("again") == "b'AT\\r\\r\\nOK\\r\\n'"
        assert modem.starts == 1

    main = """
uart = machine.UART(1, 115200, tx=5, rx=4, rxbuf=1024)
if machine.reset_cause() == machine.PWRON_RESET:
    modem_on()
    press(41)
    print("first", ask(uart, b"AT"))
    machine.reset()
print("again", ask(uart, b"AT"))
"""
    with_modem(tmp_path, run, {"boot.py": BOOT + TALK, "main.py": main}, story)


def test_on_tag_a_the_switch_feeds_the_modem_and_dtr_lets_it_sleep(tmp_path):
    async def story(bench: Bench, modem: Modem) -> None:
        assert await bench.line("at") == "b'AT\\r\\r\\nOK\\r\\n'"
        assert await bench.line("asleep") == "None"
        assert await bench.line("awake") == "b'AT\\r\\r\\nOK\\r\\n'"
        # The pins of a chip that restarts fall: so does the supply that is switched by one.
        assert await bench.line("after reset") == "None"
        assert modem.state == "off"

    boot = "import machine"
    main = """
supply = machine.Pin(11, machine.Pin.OUT)
uart = machine.UART(2, 115200, tx=15, rx=16, rxbuf=1024)
if machine.reset_cause() == machine.PWRON_RESET:
    supply.value(1)
    press(12)
    print("at", ask(uart, b"AT"))
    ask(uart, b"AT+CSCLK=1")
    dtr = machine.Pin(13, machine.Pin.OUT, value=1)
    time.sleep_ms(50)
    print("asleep", ask(uart, b"AT"))
    dtr.value(0)
    time.sleep_ms(50)
    print("awake", ask(uart, b"AT"))
    machine.reset()
supply.value(1)
print("after reset", ask(uart, b"AT"))
"""
    run = functools.partial(on_bench, tmp_path)
    with_modem(tmp_path, run, {"boot.py": boot + TALK, "main.py": main}, story)


def test_a_board_without_the_chip_loads_nothing_of_it(tmp_path):
    async def story(bench: Bench) -> None:
        await bench.on()
        assert await bench.line("pmu") == "False"

    main = "import sys; print('pmu', 'simpmu' in sys.modules)"
    on_bench(tmp_path, {"boot.py": "", "main.py": main}, story)


def test_the_wiring_says_what_each_board_feeds_its_modem_with():
    switch = {"uart": 2, "power": {"pin": 11}}
    assert parts_of({"name": "a", "modem": switch})["supplied"] == {"modem": "modem"}
    chip = parts_of({"name": "b", "pmu": {"i2c": 0, "sda": 15, "scl": 7}, "modem": {"uart": 1}})
    assert chip["supplied"] == {"modem": "modem modem_io"}
    assert chip["pmu"] == [0, 15, 7]
