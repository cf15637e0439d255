"""The command line: one command at a time, each with its deadline, each answer with its own question."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from at_line import SIMPLE_MS, Line, ModemError, reason
from log import Log

from tests.host.fakes import Now, Uart, end, run, ticking

SYNC = "AT+IPR?"
IN_SYNC = b"\r\n+IPR: 115200\r\n\r\nOK\r\n"
OK = b"\r\nOK\r\n"


class Script(Uart):
    """A modem by script: `answers[command]` is a list of (after ms, bytes), in turn; what has no more gets none."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, list[list[tuple[int, bytes]]]] = {}
        self.heard: list[bytes] = []

    def when(self, command: str, *answer: tuple[int, bytes]) -> None:
        self.answers.setdefault(command, []).append(list(answer))

    def write(self, data: bytes) -> None:
        self.heard.append(data)
        turns = self.answers.get(data.decode("latin-1").rstrip("\r"), [])
        for ms, answer in turns.pop(0) if turns else ():
            asyncio.get_running_loop().call_later(ms / 1000, self.arrive, answer)

    @property
    def commands(self) -> list[str]:
        return [data.decode().rstrip("\r") for data in self.heard if data != b"\r"]


class Rig:
    def __init__(self, now: Now) -> None:
        self.now = now
        self.uart = Script()
        self.lines: list[tuple[str, bool]] = []
        self.log = Log(lambda: 0, lambda line: None)
        self.line = Line(self.uart, self.uart.write, lambda *line: self.lines.append(line), self.log)

    @property
    def ms(self) -> float:
        return self.now.s * 1000

    async def refused(self, command: str, *options: Any) -> tuple[str, float]:
        """Return what is wrong with a command, and after how many ms that is said."""
        began_ms = self.ms
        with pytest.raises(ModemError) as caught:
            await self.line.command(command, *options)
        return str(caught.value), self.ms - began_ms


def play(monkeypatch: Any, story: Callable[[Rig], Awaitable[None]], synced: bool = True) -> None:
    now = ticking(monkeypatch, Now())

    async def whole() -> None:
        rig = Rig(now)
        rig.line.stale = not synced
        task = asyncio.create_task(rig.line.run())
        async with asyncio.timeout(600):
            await story(rig)
        assert not rig.line.lock.locked()
        await end([task])

    run(now, whole())


def test_a_command_returns_its_own_lines_and_the_rest_is_told(monkeypatch):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+CEREG?", (10, b"\r\n+CPIN: READY\r\n\r\n+CEREG: 0,1\r\n" + OK))
        assert await rig.line.command("AT+CEREG?") == ["+CEREG: 0,1"]
        assert rig.lines == [("+CPIN: READY", True), ("+CEREG: 0,1", False)]
        assert rig.uart.heard == [b"AT+CEREG?\r"]

    play(monkeypatch, story)


@pytest.mark.parametrize(
    ("final", "says"),
    {
        b"ERROR": "AT+CPIN?: ERROR",
        b"+CME ERROR: 10": "AT+CPIN?: no SIM card (one that is put in after power-on is not seen)",
        b"+CME ERROR: 11": "AT+CPIN?: the SIM asks for its PIN: switch the PIN off",
        b"+CME ERROR: 12": "AT+CPIN?: the SIM is locked by its PUK",
        b"+CME ERROR: 13": "AT+CPIN?: SIM failure",
        b"+CME ERROR: 767": "AT+CPIN?: 767",
        b"+CMS ERROR: 310": "AT+CPIN?: +CMS ERROR: 310",
        b"NO CARRIER": "AT+CPIN?: NO CARRIER",
    }.items(),
)
def test_a_refusal_names_the_command_and_the_reason(monkeypatch, final, says):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+CPIN?", (10, b"\r\n" + final + b"\r\n"))
        assert (await rig.refused("AT+CPIN?"))[0] == says
        # An answer it was: no need to ask whether the modem is there.
        assert not rig.line.stale

    play(monkeypatch, story)


def test_the_results_of_caopen_have_their_own_reasons():
    assert not [code for code in (20, 21, 23, 24, 25, 26, 27) if reason(f".{code}") == f"{code}"]
    assert reason(".99") == "99"
    assert reason("14") == "14"


@pytest.mark.parametrize("deadline_ms", [1, 250, SIMPLE_MS, 15000, 80000])
def test_silence_ends_at_the_deadline(monkeypatch, deadline_ms):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+X?", (deadline_ms + 500, b"\r\n+X: 1\r\n"))
        says, took_ms = await rig.refused("AT+X?", deadline_ms)
        assert says == f"AT+X?: no answer within {deadline_ms} ms"
        assert deadline_ms - 1 <= took_ms <= deadline_ms + 2

    play(monkeypatch, story)


@pytest.mark.parametrize("what", [b"\r\n+APP PDP: 0,ACTIVE\r\n", b"\xff", b"\r\n+X: 1\r\n"])
def test_chatter_that_is_no_answer_does_not_put_the_deadline_off(monkeypatch, what):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+X?", *[(ms, what) for ms in range(0, 10000, 100)])
        says, took_ms = await rig.refused("AT+X?")
        assert (says, round(took_ms, -1)) == ("AT+X?: no answer within 2000 ms", 2000)

    play(monkeypatch, story)


@pytest.mark.parametrize("late_ms", [2050, 2500, 3900, 4100, 5900, 6100, 20000])
def test_a_late_answer_is_never_paired_with_a_later_command(monkeypatch, late_ms):
    """Sheet 1 trap 2. A modem answers in order, so all that waits is answered when it speaks again."""

    async def story(rig: Rig) -> None:
        speaks_ms = rig.ms + late_ms

        def slow(data: bytes) -> None:
            rig.uart.heard.append(data)
            text = data.decode().rstrip("\r")
            answer = {
                "AT+SLOW?": b"\r\n+SLOW: 1\r\n" + OK,
                SYNC: IN_SYNC,
                "AT+A?": b"\r\n+A: 2\r\n" + OK,
            }.get(text, b"" if not text else OK)
            at_ms = max(rig.ms, speaks_ms) + len(rig.uart.heard)  # each a little behind the one before
            asyncio.get_running_loop().call_later((at_ms - rig.ms) / 1000, rig.uart.arrive, answer)

        rig.uart.write = slow  # type: ignore[method-assign]
        rig.line._write = slow
        assert (await rig.refused("AT+SLOW?"))[0] == "AT+SLOW?: no answer within 2000 ms"
        said = []
        while said != ["+A: 2"]:
            try:
                said = await rig.line.command("AT+A?")
            except ModemError as error:
                said = [str(error)]
            assert said in (["+A: 2"], ["the modem is mute"])
        began_ms = rig.ms
        assert await rig.line.command("AT+A?") == ["+A: 2"]
        assert await rig.line.command("AT+B=1") == []
        assert rig.ms - began_ms < 100
        assert rig.uart.commands[-1] == "AT+B=1"
        assert not rig.line.stale

    play(monkeypatch, story)


def test_a_mute_modem_is_said_to_be_mute_and_counted(monkeypatch):
    async def story(rig: Rig) -> None:
        says, took_ms = await rig.refused("AT+CSQ")
        assert says == "the modem is mute"
        assert 3990 <= took_ms <= 4010
        assert rig.line.mute == 1
        assert rig.uart.commands == [SYNC, SYNC]
        rig.uart.when(SYNC, (10, IN_SYNC))
        rig.uart.when("AT+CSQ", (10, b"\r\n+CSQ: 20,99\r\n" + OK))
        assert await rig.line.command("AT+CSQ") == ["+CSQ: 20,99"]

    play(monkeypatch, story, synced=False)


def test_a_cancelled_command_leaves_the_line_free_and_is_followed_by_a_resync(monkeypatch):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+SLOW", (1000, b"\r\n+SLOW: 1\r\n" + OK))
        task = asyncio.create_task(rig.line.command("AT+SLOW"))
        await asyncio.sleep(0.5)
        await end([task])
        assert not rig.line.lock.locked()
        assert rig.line.stale
        # The modem is at work still: what is asked now is answered behind that.
        rig.uart.when(SYNC, (520, IN_SYNC))
        rig.uart.when("AT+A", (10, OK))
        assert await rig.line.command("AT+A") == []
        assert rig.log.counters == {"modem.stray": 1}

    play(monkeypatch, story)


def test_one_command_at_a_time(monkeypatch):
    async def story(rig: Rig) -> None:
        for name in "ABC":
            rig.uart.when("AT+" + name, (100, b"\r\n+%s: 1\r\n" % name.encode() + OK))
        said = await asyncio.gather(*(rig.line.command("AT+" + name) for name in "ABC"))
        assert said == [["+A: 1"], ["+B: 1"], ["+C: 1"]]

    play(monkeypatch, story)


def test_who_waits_for_the_line_is_heard_after_a_command_that_fails(monkeypatch):
    async def story(rig: Rig) -> None:
        rig.uart.when(SYNC, (10, IN_SYNC))
        rig.uart.when("AT+B", (10, OK))
        first, second = await asyncio.gather(
            rig.line.command("AT+A"), rig.line.command("AT+B"), return_exceptions=True
        )
        assert str(first) == "AT+A: no answer within 2000 ms"
        assert second == []

    play(monkeypatch, story)


def test_a_payload_goes_out_at_the_prompt_and_only_then(monkeypatch):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+CASEND=0,3", (500, b"\r\n>"))
        rig.uart.when("abc", (10, OK))
        assert await rig.line.command("AT+CASEND=0,3", 5000, b"abc") == []
        assert rig.uart.heard == [b"AT+CASEND=0,3\r", b"abc"]

    play(monkeypatch, story)


def test_an_ok_before_the_prompt_is_another_answers(monkeypatch):
    """Found by faults.modem: taken for this one's, the next command went out as the payload."""

    async def story(rig: Rig) -> None:
        rig.uart.when("AT+CASEND=0,4,1000", (5, OK), (10, b"\r\n>"))
        rig.uart.when("ping", (10, OK))
        assert await rig.line.command("AT+CASEND=0,4,1000", 2000, b"ping") == []
        assert rig.uart.heard == [b"AT+CASEND=0,4,1000\r", b"ping"]
        assert rig.log.counters == {"modem.stray": 1}

    play(monkeypatch, story)


def test_a_prompt_that_comes_too_late_gets_nothing(monkeypatch):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+CASEND=0,3", (2500, b"\r\n>"))
        assert (await rig.refused("AT+CASEND=0,3", SIMPLE_MS, b"abc"))[0] == (
            "AT+CASEND: no answer within 2000 ms"
        )
        rig.uart.when(SYNC, (10, IN_SYNC))
        rig.uart.when("AT+A", (1000, OK))
        assert await rig.line.command("AT+A") == []
        assert b"abc" not in rig.uart.heard

    play(monkeypatch, story)


def test_after_a_payload_that_is_refused_its_rest_is_no_part_of_a_command(monkeypatch):
    """Sheet 6 trap 3: an ERROR in the middle of the payload, the rest is parsed as a command."""

    async def story(rig: Rig) -> None:
        rig.uart.when("AT+CASEND=0,3", (10, b"\r\n>"))
        rig.uart.when("abc", (10, b"\r\nERROR\r\n"))
        await rig.refused("AT+CASEND=0,3", SIMPLE_MS, b"abc")
        rig.uart.when(SYNC, (10, IN_SYNC))
        rig.uart.when("AT+A", (10, OK))
        assert await rig.line.command("AT+A") == []
        assert rig.uart.heard[2:] == [b"\r", SYNC.encode() + b"\r", b"AT+A\r"]

    play(monkeypatch, story)


def test_received_bytes_come_whole_whatever_they_hold(monkeypatch):
    data = b"\r\nOK\r\n>\x00\xff+CADATAIND: 0\r\n"

    async def story(rig: Rig) -> None:
        rig.uart.when("AT+CARECV=0,512", (10, b"\r\n+CARECV: %d," % len(data) + data + b"\r\n" + OK))
        assert await rig.line.command("AT+CARECV=0,512") == [data]
        assert rig.lines == []

    play(monkeypatch, story)


def test_an_endless_answer_keeps_no_more_than_its_last_lines(monkeypatch):
    async def story(rig: Rig) -> None:
        lines = b"".join(b"\r\n+X: %d" % number for number in range(1000))
        rig.uart.when("AT+X?", (10, lines + b"\r\n" + OK))
        assert await rig.line.command("AT+X?") == [f"+X: {number}" for number in range(984, 1000)]

    play(monkeypatch, story)


def test_accepts_says_whether_and_raises_nothing(monkeypatch):
    async def story(rig: Rig) -> None:
        rig.uart.when("AT+A", (10, OK))
        rig.uart.when("AT+B", (10, b"\r\n+CME ERROR: 3\r\n"))
        assert [await rig.line.accepts(text) for text in ("AT+A", "AT+B", "AT+C")] == [True, False, False]

    play(monkeypatch, story)


def test_until_looks_at_each_word_of_the_modem_and_ends_in_time(monkeypatch):
    async def story(rig: Rig) -> None:
        began_ms = rig.ms
        loop = asyncio.get_running_loop()
        loop.call_later(3, rig.uart.arrive, b"\r\n+CEREG: 1\r\n")
        both = [
            rig.line.until(lambda: len(rig.lines) > 0, 5000, "not registered"),
            rig.line.until(lambda: len(rig.lines) > 1, 5000, "no second line"),
        ]
        first, second = await asyncio.gather(*both, return_exceptions=True)
        assert first is None
        assert isinstance(second, ModemError)
        assert str(second) == "no second line"
        assert 4995 <= rig.ms - began_ms <= 5005

    play(monkeypatch, story)
