"""The board modules on the real interpreter, with tiny firmwares: pins, clock, UART, flash, Wi-Fi."""

import asyncio
import functools
import statistics
import time

import pytest

from sim import image
from sim.sky import Sky
from tests.host.sim_bench import Bench, on_bench


@pytest.fixture
def run(tmp_path):
    return functools.partial(on_bench, tmp_path)


ECHO = """
import asyncio, machine
async def main():
    flag = asyncio.ThreadSafeFlag()
    button = machine.Pin(2, machine.Pin.IN, machine.Pin.PULL_UP)
    vibration = machine.Pin(7, machine.Pin.OUT, value=0)
    button.irq(lambda pin: flag.set(), machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)
    print("level", button.value())
    while True:
        await flag.wait()
        vibration.value(1 - button.value())
asyncio.run(main())
"""


def test_a_press_interrupts_the_firmware_and_wakes_asyncio(run):
    """From the panel's change of the button to the panel's news of the vibration: a few milliseconds."""

    async def story(bench: Bench) -> None:
        news: asyncio.Queue[tuple[str, int, int]] = asyncio.Queue()
        bench.panel.on_output(lambda *change: news.put_nowait(change))
        await bench.on()
        assert await bench.line("level") == "1"
        took_ms = []
        for turn in range(40):
            start = time.monotonic()
            bench.panel.set("button", (turn + 1) % 2)
            name, value, _ = await asyncio.wait_for(news.get(), 2)
            took_ms.append((time.monotonic() - start) * 1000)
            assert (name, value) == ("vibration", (turn + 1) % 2)
        assert (
            statistics.median(took_ms) < 20
        )  # 0.6 ms on an idle machine; a poll that is not woken takes seconds

    run({"boot.py": "", "main.py": ECHO}, story)


def test_the_state_of_the_panel_is_there_before_the_first_line_runs(run):
    async def story(bench: Bench) -> None:
        bench.panel.set("button", 1)
        bench.panel.set("battery", 3600)
        await bench.on()
        assert await bench.line("state") == "0 1800000 950000"

    source = """
from machine import ADC, Pin
print("state", Pin(2).value(), ADC(Pin(1), atten=ADC.ATTN_11DB).read_uv(), ADC(1).read_uv())
"""
    run({"boot.py": source, "main.py": ""}, story)


def test_time_counts_whole_seconds_from_2000(run):
    async def story(bench: Bench) -> None:
        await bench.on()
        assert await bench.line("zero") == "(2000, 1, 1, 0, 0, 0, 5, 1) True"
        # 2026-11-21 is a Saturday, day 325 of its year; 2028-02-29 exists.
        assert await bench.line("now") == "848577830 (2026, 11, 21, 12, 3, 50, 5, 325)"
        assert await bench.line("leap") == "(2028, 2, 29, 23, 59, 59, 1, 60)"

    main = """
import machine, time
print("zero", time.gmtime(0), type(time.time()) is int and time.time() < 5)
machine.RTC().datetime((2026, 11, 21, 0, 12, 3, 50, 0))
print("now", time.time(), time.localtime())
print("leap", time.gmtime(time.mktime((2028, 2, 29, 23, 59, 59, 0, 0))))
"""
    run({"boot.py": "", "main.py": main}, story)


def test_ticks_are_the_hosts_monotonic_clock(run):
    """So times of the tag and of the host can be compared."""

    async def story(bench: Bench) -> None:
        await bench.on()
        ticks_ms = int(await bench.line("ticks"))
        assert abs(time.monotonic() * 1000 - ticks_ms) < 500

    run({"boot.py": "", "main.py": "import time; print('ticks', time.ticks_ms())"}, story)


UART = """
import asyncio, machine
async def main():
    supply = machine.Pin(10, machine.Pin.OUT, value=0)
    uart = machine.UART(1, 9600, tx=17, rx=18, rxbuf=512)
    reader = asyncio.StreamReader(uart)
    uart.any()  # opens the PTY
    await asyncio.sleep_ms(200)
    print("unpowered", uart.any(), uart.lost)
    supply.on()
    for _ in range(2):
        print("got", await asyncio.wait_for(reader.readline(), 3))
    machine.Pin(10, machine.Pin.OUT, value=0)
    print("lost", uart.lost)
asyncio.run(main())
"""


def test_nmea_arrives_through_the_pty_while_the_receiver_has_power(run, tmp_path):
    async def story(bench: Bench) -> None:
        async with asyncio.timeout(10):
            sky = Sky(tmp_path / "gnss", b"$GPTXT,hello*00\r\n", ttff_s=0, speed=20)
            await sky.start()
            switching = set()

            def switch(name: str, value: int, _: int) -> None:
                if name == "gnss":
                    switching.add(value)

            bench.panel.on_output(switch)
            try:
                await bench.on(gnss=sky.link)
                assert await bench.line("unpowered") == "0 0"
                assert await bench.line("got") == "b'$GPTXT,hello*00\\r\\n'"
                await bench.line("got")
                assert await bench.line("lost") == "0"
                assert switching == {0, 1}
            finally:
                await sky.stop()

    run({"boot.py": "", "main.py": UART}, story)


def test_a_write_blocks_while_the_wire_has_no_room_for_it(run):
    """256 bytes of txbuf and the chip's 128 go at once; 1,000 more take 87 ms at 115,200 baud."""

    async def story(bench: Bench) -> None:
        await bench.on()
        short_ms, long_ms, flushed_ms = map(int, (await bench.line("ms")).split())
        assert short_ms < 10
        assert 80 <= long_ms < 120
        assert 25 <= flushed_ms < 50
        assert await bench.line("done") == "False True"

    main = """
import machine, time
uart = machine.UART(2, 115200)
marks = [time.ticks_ms()]
uart.write(bytes(384))
marks.append(time.ticks_ms())
uart.write(bytes(1000))
marks.append(time.ticks_ms())
done = uart.txdone()
uart.flush()
marks.append(time.ticks_ms())
print("ms", *(marks[turn + 1] - marks[turn] for turn in range(3)))
print("done", done, uart.txdone())
"""
    run({"boot.py": "", "main.py": main}, story)


def test_bytes_beyond_the_receive_buffer_are_lost_and_counted(run, tmp_path):
    async def story(bench: Bench) -> None:
        sky = Sky(tmp_path / "gnss", bytes(range(200)) * 2, ttff_s=0, powered=False, baud=1_000_000)
        await sky.start()
        try:
            await bench.on(gnss=sky.link)
            await bench.line("ready")
            await sky.power(True)
            assert await bench.line("any") == "256 144"
        finally:
            await sky.stop()

    main = """
import machine, time
machine.Pin(10, machine.Pin.OUT, value=1)
uart = machine.UART(1, 9600)
uart.any()
print("ready")
time.sleep_ms(700)
print("any", uart.any(), uart.lost)
"""
    run({"boot.py": "", "main.py": main}, story)


def test_what_the_tag_writes_is_in_the_image_and_what_the_image_holds_the_tag_reads(run):
    async def story(bench: Bench) -> None:
        image.update(bench.flash, {"data/from_host": b"host" * 2000})
        await bench.on()
        await bench.line("written")
        assert bench.tag is not None
        await bench.tag.stop()
        files = image.read(bench.flash)
        assert files["data/from_tag"] == b"tag" * 3000
        assert files["config.json"] == b"{}"

    main = """
import os
with open("/data/from_host", "rb") as file:
    content = file.read()
with open("/data/from_tag", "wb") as file:
    file.write(b"tag" * 3000)
print("written", content == b"host" * 2000, os.listdir("/"))
"""
    run({"boot.py": "", "main.py": main}, story)


def test_wifi_connects_only_to_what_is_in_the_air_and_with_the_right_key(run):
    async def story(bench: Bench) -> None:
        bench.panel.wifi("home", "right")
        await bench.on()
        assert await bench.line("wrong") == "202 False"
        assert await bench.line("absent") == "201 False"
        assert await bench.line("right") == "1010 True 1001 True"

    main = """
import network, socket, time
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
network.ASSOCIATE_MS = 100
def reachable():
    try:
        socket.getaddrinfo("127.0.0.1", 1883)
        return True
    except OSError:
        return False
for name, ssid, key in (("wrong", "home", "bad"), ("absent", "away", "right"), ("right", "home", "right")):
    wlan.connect(ssid, key)
    first = wlan.status()
    time.sleep_ms(150)
    print(name, wlan.status(), wlan.isconnected(), *((first, reachable()) if name == "right" else ()))
"""
    run({"boot.py": "", "main.py": main}, story)
