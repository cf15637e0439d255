"""Lines in a small ring, and counters."""

from log import Log


class Console:
    """Where lines go, and the time they bear."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.lines: list[str] = []

    def ticks_ms(self) -> int:
        return self.now_ms


def a_log() -> tuple[Log, Console]:
    console = Console()
    return Log(console.ticks_ms, console.lines.append), console


def test_a_line_is_ticks_level_and_text_and_goes_to_the_console_at_once() -> None:
    log, console = a_log()
    console.now_ms = 12345
    log.say("W", "link: session ended: no answer")
    assert console.lines == log.lines == ["12345 W link: session ended: no answer"]


def test_a_milestone_bears_the_time_when_it_happened() -> None:
    log, console = a_log()
    console.now_ms = 900
    log.mark("latched")
    log.mark("touch", 0)
    assert console.lines == ["900 * latched", "0 * touch"]


def test_the_ring_keeps_the_last_12_lines_and_never_grows() -> None:
    log, console = a_log()
    for console.now_ms in range(10000):
        log.say("I", "x")
        assert len(log.lines) <= 12
    assert log.lines == [f"{n} I x" for n in range(10000 - 12, 10000)]
    assert len(console.lines) == 10000


def test_counters_count_from_one_and_say_nothing() -> None:
    log, console = a_log()
    for _ in range(3):
        log.count("down.refused")
    log.count("outbox.damaged")
    assert log.counters == {"down.refused": 3, "outbox.damaged": 1}
    assert console.lines == []


def test_two_logs_share_nothing() -> None:
    first, _ = a_log()
    second, _ = a_log()
    first.say("I", "x")
    first.count("x")
    assert second.lines == []
    assert second.counters == {}
