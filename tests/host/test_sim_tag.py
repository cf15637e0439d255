"""Lives of a tag on the real interpreter: what ends one, what the next one still knows."""

import asyncio
import functools
import os
import signal
import subprocess
import sys
import time

import pytest

from sim.common import ROOT
from sim.tag import TagError
from tests.host.sim_bench import Bench, on_bench


@pytest.fixture
def run(tmp_path):
    return functools.partial(on_bench, tmp_path)


LIVES = """
import machine, esp32, sys
nvs, rtc = esp32.NVS("test"), machine.RTC()
def get(key):
    try:
        return nvs.get_i32(key)
    except OSError as error:
        return error.args[1]
print("life", machine.reset_cause(), rtc.memory(), get("kept"), get("pending"), rtc.datetime()[0])
"""


def test_nvs_keeps_what_was_committed_and_rtc_memory_survives_all_but_the_power(run):
    async def story(bench: Bench) -> None:
        tag = await bench.on()
        assert await bench.line("life") == "1 b'' ESP_ERR_NVS_NOT_FOUND ESP_ERR_NVS_NOT_FOUND 2000"
        assert await bench.line("life") == "2 b'one' 7 ESP_ERR_NVS_NOT_FOUND 2026"
        await bench.line("waiting")
        assert tag.pid is not None
        os.kill(tag.pid, signal.SIGKILL)  # a power cut from outside
        assert await bench.line("life") == "1 b'' 7 ESP_ERR_NVS_NOT_FOUND 2000"
        assert tag.causes == ["power", "reset", "power"]

    main = """
if machine.reset_cause() == 1 and get("kept") != 7:
    nvs.set_i32("kept", 7)
    nvs.commit()
    nvs.set_i32("pending", 8)
    rtc.datetime((2026, 11, 21, 0, 10, 20, 30, 0))
    rtc.memory(b"one")
    try:
        machine.reset()
    finally:
        print("finally")
print("waiting")
"""
    run({"boot.py": LIVES, "main.py": main}, story)


def test_a_reset_runs_no_finally_block(run):
    async def story(bench: Bench) -> None:
        await bench.on()
        await bench.line("again")
        assert "finally" not in bench.seen

    main = """
import machine
if machine.reset_cause() == machine.HARD_RESET:
    print("again")
else:
    try:
        machine.reset()
    finally:
        print("finally")
"""
    run({"boot.py": "", "main.py": main}, story)


def test_deep_sleep_ends_with_its_timer_and_says_so(run):
    async def story(bench: Bench) -> None:
        tag = await bench.on(boot_ms=50)
        assert await bench.line("wake") == "1 0 b''"
        assert await bench.line("wake") == "4 4 b'slept'"
        assert tag.started_ms[1] - tag.started_ms[0] >= 250

    main = """
import machine
print("wake", machine.reset_cause(), machine.wake_reason(), machine.RTC().memory())
machine.RTC().memory(b"slept")
if machine.reset_cause() != machine.DEEPSLEEP_RESET:
    machine.deepsleep(200)
"""
    run({"boot.py": "", "main.py": main}, story)


def test_a_watchdog_that_is_not_fed_ends_the_life(run):
    async def story(bench: Bench) -> None:
        tag = await bench.on()
        assert await bench.line("cause") == "1"
        assert await bench.line("cause") == "3"
        assert tag.started_ms[1] - tag.started_ms[0] >= 600

    main = """
import machine, time
print("cause", machine.reset_cause())
if machine.reset_cause() != machine.WDT_RESET:
    dog = machine.WDT(timeout=300)
    for _ in range(3):
        time.sleep_ms(150)
        dog.feed()
    while True:
        pass
"""
    run({"boot.py": "", "main.py": main}, story)


@pytest.mark.parametrize("fuse", [0, 3, 10, 25])
def test_after_a_cut_in_the_middle_of_a_write_the_flash_still_mounts(run, fuse):
    async def story(bench: Bench) -> None:
        tag = await bench.on(fuse=fuse)
        await bench.line("start")
        content = await bench.line("start")  # the life after the cut
        assert tag.causes == ["power", "power"]
        assert content == "None" or content.strip("ba'") == ""

    main = """
def read():
    try:
        with open("/data", "rb") as file:
            return file.read()
    except OSError:
        return None
print("start", read())
for turn in range(40):
    with open("/data", "wb") as file:
        file.write(b"a" * (turn + 1))
"""
    run({"boot.py": "", "main.py": main}, story)


def test_a_boot_py_that_raised_keeps_main_py_from_running(run):
    async def story(bench: Bench) -> None:
        await bench.on()
        await bench.line("ZeroDivisionError")
        await asyncio.sleep(0.2)
        assert bench.lines.empty()

    run({"boot.py": "1 / 0", "main.py": "print('main')"}, story)


def test_a_tag_without_its_panel_is_one_clear_error(run):
    async def story(bench: Bench) -> None:
        await bench.panel.start()
        await bench.panel.stop()
        tag = await bench.on()
        with pytest.raises(TagError, match=r"no panel at 127\.0\.0\.1"):
            await asyncio.wait_for(tag.wait(), 5)
        with pytest.raises(TagError, match="no panel"):
            await tag.stop()
        bench.tag = None

    run({"boot.py": "", "main.py": ""}, story)


def test_the_firmware_sees_the_paths_of_an_esp32_and_a_frozen_umqtt(run):
    async def story(bench: Bench) -> None:
        await bench.on()
        assert await bench.line("path") == "['', '.frozen', '/lib'] True"
        assert await bench.line("main sees") == "1"

    main = """
import sys
import umqtt.simple
print("path", sys.path, hasattr(umqtt.simple, "MQTTClient"))
print("main sees", of_boot)
"""
    run({"boot.py": "of_boot = 1", "main.py": main}, story)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_when_the_supervisor_ends_so_does_its_tag(tmp_path, sign):
    Bench(tmp_path, {"boot.py": "", "main.py": "print('alive')"})
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "tag", "--board", "tag-a", "--flash", str(tmp_path / "tag.img")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "alive\n"
        children = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
        ).stdout.split()
        assert len(children) == 1
        process.send_signal(sign)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == ((130, "") if sign == signal.SIGINT else (-sign, ""))
    end = time.monotonic() + 3
    while _alive(int(children[0])):
        assert time.monotonic() < end, "the tag outlived its supervisor"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
