"""firmware/guard.py with app.run(): starts that fail, safe mode, what a life leaves behind. Lives in virtual time."""

import asyncio
import gc
import sys
import traceback
import types
from typing import Any

import app
import clock
import journal
import pytest
from counters import Counters

from tests.host.app_setup import Part, Pin, Restarted, Tag
from tests.host.fakes import FakeNVS, FakeRTCMemory, Flash, Now, run, ticking
from tools.flasher.tag import report


class RTCMemory(FakeRTCMemory):
    """It takes nothing of a life that is over: on a chip restart() does not return."""

    over = False

    def write(self, data: bytes) -> None:
        if not self.over:
            super().write(data)


class Chip:
    """
    What outlives a life: NVS, flash, RTC memory. `life()` is one start in service, for at most `seconds`; it returns
    the App. `cause` is why the next one starts; `broken`: parts that raise at once; `build`: what build.join does more.
    """

    def __init__(self, monkeypatch: Any, folder: Any) -> None:
        self.now = ticking(monkeypatch, Now())
        monkeypatch.setattr(clock, "due", {})
        self.nvs, self.rtc, self.flash = FakeNVS(), RTCMemory(), Flash(folder / "data")
        self.cause = "power on"
        self.broken: tuple[str, ...] = ()
        self.build: Any = lambda made: None
        self.timeout_ms: list[int] = []
        self.ended = True
        self.app: Any = None

        class Board:
            restart = staticmethod(self._restart)
            start_reason = staticmethod(lambda: self.cause)

        board = types.ModuleType("board")
        vars(board).update(NVS=lambda: self.nvs, RTCMemory=lambda: self.rtc, Board=Board, WDT=self._watchdog)
        build = types.ModuleType("build")
        vars(build).update(begin=self._begin, join=self._join)
        self._modules = {"board": board, "build": build}
        monkeypatch.setattr(journal, "Journal", lambda path: self.flash)
        monkeypatch.setattr(asyncio, "run", lambda main: run(self.now, self._timed(main)))
        monkeypatch.setattr(sys, "print_exception", self._print, raising=False)
        self._monkeypatch = monkeypatch

    @staticmethod
    def _print(error: BaseException, file: Any = None) -> None:
        if file:
            traceback.print_exception(error, file=file)

    def _watchdog(self, timeout: int) -> Any:
        self.timeout_ms.append(timeout)
        return types.SimpleNamespace(feed=lambda: None)

    def _restart(self) -> None:
        self.rtc.over = True
        raise Restarted

    def _begin(self, made: app.App) -> None:
        self.app = made
        made.hold_ms, made.heartbeat_s = 600, 600
        made.board = types.SimpleNamespace(
            button=Pin(self.now),
            charging=lambda: False,
            nvs=self.nvs,
            restart=self._restart,
            start_reason=lambda: self.cause,
        )

    def _join(self, made: app.App) -> None:
        # As there: RTC memory is written by the counters, too.
        Counters(self.nvs, self.flash, self.rtc, lambda bits: 7)
        made.haptics, made.link, made.sky = Part(), Part(), None if made.safe else Part()
        made.tag = Tag(self.now)
        made.tag.incident, made.tag.settled = None, lambda: True
        self.build(made)
        for name in self.broken:
            if getattr(made, name):
                getattr(made, name).run = self._die

    @staticmethod
    async def _die(*_: Any) -> None:
        raise ValueError("bad   digit\nin it")

    async def _timed(self, main: Any) -> None:
        task = asyncio.create_task(main)
        done, _ = await asyncio.wait((task,), timeout=self.seconds)
        if done:
            task.result()
        else:
            self.ended = False

    def life(self, seconds: float = 60, cause: str | None = None) -> app.App:
        self.cause = cause or self.cause
        self.seconds = seconds
        self.ended, self.rtc.over = True, False
        clock.due.clear()
        for name, module in self._modules.items():
            self._monkeypatch.setitem(sys.modules, name, module)
        if self.cause == "power on":
            self.rtc.data = b""
        try:
            app.run(True)
        except Restarted:
            pass
        # It knows this chip's stores; another life reads it anew.
        sys.modules.pop("guard", None)
        self.cause = "hard reset"
        return self.app

    def said(self) -> str:
        """What the last start told the desk, without "start: "."""
        return self.app.tag.told[0][1].removeprefix("start: ")

    def starts(self) -> int:
        return self.nvs.get("starts")[4]


@pytest.fixture
def chip(monkeypatch, tmp_path):
    return Chip(monkeypatch, tmp_path)


def fail(chip: Chip, times: int = 3, cause: str | None = None) -> None:
    chip.broken = ("sky",)
    for _ in range(times):
        chip.life(cause=cause)
        assert chip.ended


# ---------------------------------------------------------------------------------------------------------- counting


def test_three_starts_that_die_and_the_fourth_is_in_safe_mode_and_says_why(chip):
    fail(chip)
    assert chip.starts() == 3
    assert not chip.app.safe
    chip.life()
    assert (chip.app.safe, chip.ended, chip.app.sky) == (True, False, None)
    assert chip.said().startswith("hard reset; safe mode; ValueError in ")
    assert chip.said().endswith("test_guard.py: bad digit in it")


@pytest.mark.parametrize("cause", ["power on", "watchdog", "hard reset", "unknown"])
def test_whatever_ends_a_start_it_counts(chip, cause):
    """A brown-out reads as power on and takes RTC memory with it."""
    for _ in range(3):
        chip.life(seconds=599, cause=cause)
        assert not chip.app.safe
    chip.life(cause=cause)
    assert chip.app.safe


def test_a_wake_from_deep_sleep_is_no_start(chip):
    for _ in range(9):
        chip.life(cause="deep sleep")
    assert not chip.app.safe
    assert "starts" not in chip.nvs.records


def test_after_10_minutes_a_start_has_not_failed(chip):
    fail(chip, 2)
    chip.broken = ()
    chip.life(seconds=590)
    assert chip.starts() == 3
    fail(chip, 0)
    chip.nvs.put("starts", journal.pack(b"\2"))
    chip.broken = ()
    chip.life(seconds=610)
    assert chip.starts() == 0


def test_a_good_start_costs_flash_two_records(chip):
    writes = []
    real = chip.nvs.put
    chip.nvs.put = lambda name, data: (writes.append(name), real(name, data))
    chip.life(seconds=900)
    assert [name for name in writes if name != "epoch"] == ["starts", "starts"]


def test_in_a_loop_without_end_starts_are_not_written(chip):
    fail(chip)
    chip.broken = ("link",)
    writes = []
    real = chip.nvs.put
    chip.nvs.put = lambda name, data: (writes.append(name), real(name, data))
    for _ in range(5):
        chip.life()
        assert chip.app.safe
        assert chip.ended
    assert writes == []


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 126, 127, 128, 130, 255])
def test_whatever_stands_in_the_count_a_start_goes_on(chip, count):
    chip.nvs.put("starts", journal.pack(bytes((count,))))
    chip.life(seconds=2)
    assert not chip.ended
    assert chip.app.safe is (3 <= count < 128)


@pytest.mark.parametrize("data", [b"", b"noise", journal.pack(b""), journal.pack(b"\3\3"), bytes(2048)])
def test_a_count_that_is_damaged_is_none(chip, data):
    chip.nvs.records["starts"] = data
    chip.life(seconds=5)
    assert (chip.app.safe, chip.starts()) == (False, 1)


def test_an_nvs_that_refuses_ends_nothing(chip):
    chip.life(seconds=1)
    chip.nvs.refuses = True
    chip.life(seconds=700)
    assert not chip.ended


def test_a_guard_that_does_not_load_ends_nothing_and_the_watchdog_runs(chip, monkeypatch):
    monkeypatch.setitem(sys.modules, "guard", types.ModuleType("guard"))
    chip.life(seconds=700)
    assert (chip.ended, chip.app.rtc, len(chip.timeout_ms)) == (False, None, 1)
    assert chip.app.feed


# --------------------------------------------------------------------------------------------------------- safe mode


def test_safe_mode_is_left_by_a_restart_after_10_good_minutes_and_says_so(chip):
    fail(chip)
    chip.broken = ()
    chip.life(seconds=590)
    assert (chip.app.safe, chip.ended) == (True, False)
    chip.life(seconds=610, cause="power on")
    assert (chip.app.safe, chip.ended) == (True, True)
    chip.life(seconds=610)
    assert not chip.app.safe
    assert chip.said() == "hard reset; left safe mode"
    assert chip.starts() == 0


def test_what_fails_again_outside_is_back_at_once_and_stays_longer_each_time(chip):
    fail(chip)
    stays = []
    for _ in range(3):
        chip.broken = ("sky",)
        began_s = chip.now.s
        chip.life(seconds=10**5)
        assert (chip.app.safe, chip.ended) == (True, True)
        stays.append(round((chip.now.s - began_s) / 60))
        chip.life(seconds=60)
        assert (chip.app.safe, chip.ended) == (False, True)
    assert stays == [10, 20, 30]


def test_safe_mode_is_not_left_while_an_incident_is_open_or_something_unanswered(chip):
    fail(chip)
    chip.broken = ()
    chip.build = lambda made: setattr(made.tag, "incident", object())
    chip.life(seconds=900)
    assert not chip.ended
    chip.build = lambda made: setattr(made.tag, "settled", lambda: False)
    chip.life(seconds=900)
    assert not chip.ended


def test_in_safe_mode_a_part_that_dies_is_begun_anew_and_the_rest_goes_on(chip):
    fail(chip)
    chip.broken = ("haptics", "modem")
    chip.build = lambda made: setattr(made, "modem", Part())
    chip.life(seconds=100)
    assert not chip.ended
    assert 48 <= chip.app.log.counters["app.wrong"] <= 52


def test_in_safe_mode_a_tick_that_goes_wrong_is_counted(chip):
    def wrong(now_ms: int) -> None:
        raise ZeroDivisionError

    fail(chip)
    chip.broken = ()
    chip.build = lambda made: setattr(made.tag, "tick", wrong)
    chip.life(seconds=10)
    assert not chip.ended
    assert chip.app.log.counters["app.wrong"] >= 45


def test_in_safe_mode_haptics_that_are_stuck_are_left_alone(chip):
    async def stuck() -> None:
        clock.expect("haptics", 1000)
        await asyncio.Event().wait()

    fail(chip)
    chip.broken = ()
    chip.build = lambda made: setattr(made.haptics, "run", stuck)
    chip.life(seconds=60)
    assert not chip.ended


# ----------------------------------------------------------------------------------------------------- what cannot run


def test_a_build_that_fails_is_tried_again_and_in_safe_mode_the_light_says_so(chip):
    def wrong(made: Any) -> None:
        raise ImportError("no module named 'nmea'")

    chip.build = wrong
    for _ in range(3):
        chip.life()
        assert chip.ended
        assert not chip.app.haptics.felt if chip.app.haptics else True
    chip.life(seconds=20)
    assert chip.app.safe
    assert chip.app.haptics.felt
    assert not chip.ended
    assert chip.app.note.startswith("; safe mode; ImportError in ")


def test_a_technician_is_told_and_gets_the_prompt(chip, monkeypatch):
    def wrong(made: Any) -> None:
        made.haptics = None
        raise ImportError("no module named 'nmea'")

    for name, module in chip._modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    chip.build, chip.seconds = wrong, 5
    app.run()
    assert chip.app.log.lines[-1].endswith("app: not in service: ImportError: no module named 'nmea'")
    assert (chip.app.rtc, chip.app.feed, chip.timeout_ms, chip.rtc.data[17:]) == (None, None, [], b"")


def test_ctrl_c_is_the_technicians_and_ends_nothing_in_service(chip, monkeypatch):
    async def interrupt() -> None:
        raise KeyboardInterrupt

    chip.build = lambda made: setattr(made.link, "run", interrupt)
    for name, module in chip._modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    chip.seconds = 5
    with pytest.raises(KeyboardInterrupt):
        app.run()
    chip.life()
    assert chip.ended


# ------------------------------------------------------------------------------------------------------ what is left


def test_the_log_and_the_reason_are_on_flash_after_the_restart(chip):
    chip.broken = ("link",)
    chip.life()
    chip.broken = ()
    chip.build = lambda made: made.log.count("down.refused")
    chip.life(seconds=5)
    reason, counters, *_ = chip.flash.get("crash").decode().split("\n")
    assert reason.startswith("hard reset: ValueError in ")
    assert counters == "{}"
    # Told once.
    chip.life(seconds=5, cause="deep sleep")
    assert chip.said() == "deep sleep"


def test_of_a_loop_that_stood_still_the_log_is_left(chip):
    chip.build = lambda made: (made.log.say("I", "the last words"), made.log.count("down.refused"))
    chip.life(seconds=5)
    chip.life(seconds=5, cause="watchdog")
    assert chip.said() == "watchdog"
    reason, counters, *lines = chip.flash.get("crash").decode().split("\n")
    assert (reason, counters) == ("watchdog: ", "{'down.refused': 1}")
    assert lines[-1].endswith(" I the last words")


def test_a_power_cut_leaves_no_reason_and_no_record(chip):
    chip.life(seconds=5)
    chip.life(seconds=5, cause="power on")
    assert chip.said() == "power on"
    assert chip.flash.get("crash") is None


def test_a_task_that_was_late_is_named(chip):
    chip.build = lambda made: clock.expect("link", 1000)
    chip.life()
    assert chip.ended
    chip.build = lambda made: None
    chip.life(seconds=5)
    assert chip.said() == "hard reset; watchdog: link is late"


def test_a_full_log_with_names_in_any_script_fits_into_rtc_memory_beside_the_counters(chip):
    def talk(made: Any) -> None:
        for n in range(40):
            made.log.say("W", f"wifi: {'дім' * 30} {n}")
            made.log.count(f"counter.{n}")

    chip.build = talk
    chip.life(seconds=5)
    assert 800 < len(chip.rtc.data) <= 2048
    before = Counters(chip.nvs, chip.flash, chip.rtc, lambda bits: 7)
    assert before.next_cti().hex() == "8000000700000001"
    chip.build = lambda made: None
    chip.life(seconds=5, cause="watchdog")
    assert chip.flash.get("crash").startswith(b"watchdog: \n{'counter.0': 1")


@pytest.mark.parametrize("tail", [b"", b"x", bytes(2031), journal.pack(b"\xff\xfe\n\xff"), journal.pack(b"")])
def test_whatever_stands_behind_the_counters_a_start_goes_on(chip, tail):
    chip.life(seconds=1)
    chip.rtc.data = chip.rtc.data[:17] + tail
    chip.life(seconds=5, cause="watchdog")
    assert not chip.ended


def test_what_made_the_parts_is_let_go(chip):
    class Made:
        def __init__(self) -> None:
            self.made = True

    chip.build = lambda made: setattr(made, "once", [Made()])
    chip.life(seconds=1)
    assert Made.__init__ is None
    gc.collect()


@pytest.mark.parametrize(
    ("kept", "crash", "counters", "log"),
    [
        (None, None, None, None),
        (b"hard reset: x\n{'a': 1}\n1 I b\n2 E c", "hard reset: x", "{'a': 1}", "1 I b\n2 E c"),
        (b"hard reset: x\n{", repr(b"hard reset: x\n{"), None, None),
        ("watchdog: \n{}\nдім".encode()[:-1], repr("watchdog: \n{}\nдім".encode()[:-1]), None, None),
    ],
)
def test_the_technicians_report_shows_it(chip, monkeypatch, kept, crash, counters, log):
    machine = types.ModuleType("machine")
    vars(machine).update(reset_cause=lambda: 1, wake_reason=lambda: 0)
    monkeypatch.setitem(sys.modules, "machine", machine)
    monkeypatch.setitem(sys.modules, "board", chip._modules["board"])
    if kept:
        chip.flash.put("crash", kept)
    chip.nvs.put("starts", journal.pack(b"\x82"))
    facts = report.main()
    assert (facts["crash"], facts["counters"], facts["log"]) == (crash, counters, log)
    assert facts["failed_starts"] == 2


def test_a_heap_that_is_full_keeps_no_log_and_ends_nothing(chip):
    def full(data: bytes) -> None:
        raise MemoryError

    chip.build = lambda made: setattr(chip.rtc, "write", full)
    chip.life(seconds=5)
    assert not chip.ended
    assert chip.app.log.counters["app.not_kept"] >= 1
