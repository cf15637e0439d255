"""A connection in the emulated modem to a real server: what is sent, what comes, how it ends. Sheet 6."""

import asyncio

import pytest
from at_line import ModemError

from sim.modem import Fault
from tests.host.modem_rig import ModemRig, play

MEAN = b"\r\nOK\r\n\x00\xff>+CADATAIND: 1\r\n+CARECV: 0\r\nERROR\r\n"


@pytest.mark.parametrize("size", [1, 1024, 1025, 3000, 12000])
def test_bytes_go_both_ways_whatever_they_are(tmp_path, monkeypatch, size):
    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        data = (MEAN * (size // len(MEAN) + 1))[:size]
        stream.write(data)
        await stream.drain(20000)
        heard, largest = b"", 0
        while len(heard) < size:
            part = await stream.read(1460)
            largest = max(largest, len(part))
            heard += part
        assert heard == data
        assert rig.peer.heard.endswith(data)
        assert largest <= 1460
        assert largest > 1024 or size < 12000

    play(tmp_path, monkeypatch, story)


def test_a_small_read_leaves_the_rest_for_the_next(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        stream.write(b"0123456789")
        await stream.drain(3000)
        heard = [await stream.read(4) for _ in range(3)]
        assert heard == [b"0123", b"4567", b"89"]

    play(tmp_path, monkeypatch, story)


def test_free_space_is_asked_before_sending_and_a_full_buffer_costs_nothing(tmp_path, monkeypatch):
    """Sheet 6 trap 3: beyond it the payload is lost and said to be an ERROR."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        rig.peer.reading.clear()
        rig.peer.echoes = False
        # Nothing leaves while there is no cell.
        rig.modem.set_coverage(None)
        stream.write(bytes(20000))
        began_ms = rig.ms
        with pytest.raises(ModemError, match="the modem's buffer is full"):
            await stream.drain(3000)
        assert 3000 <= rig.ms - began_ms < 3300
        rig.modem.set_coverage(rig.coverage)
        rig.peer.reading.set()
        before = len(rig.peer.heard)
        await stream.drain(20000)
        await asyncio.sleep(2)
        assert len(rig.peer.heard) - before == 20000

    play(tmp_path, monkeypatch, story)


FAULTS = {
    "no_prompt": ({"on": "+CASEND"}, "AT+CASEND: no answer within 3000 ms", 3100),
    "prompt_cut": ({"keep": 3}, "AT+CASEND: 3", 100),
    "close_while_sending": ({}, "AT+CASEND: 3", 100),
    "error": ({"on": "+CASEND", "skip": 1}, "AT+CASEND: ERROR", 100),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_sent_is_an_error_and_the_line_is_clean(tmp_path, monkeypatch, fault):
    """Sheet 6 traps 3 and 4: the rest of a payload must not become part of the next command."""
    options, why, within_ms = FAULTS[fault]

    async def story(rig: ModemRig) -> None:
        stream, other = await rig.call(), await rig.open()
        await rig.ping(other)
        stream.write(bytes(range(200)))
        rig.modem.fault(Fault(fault, **options))
        stream._free = 0
        began_ms = rig.ms
        with pytest.raises(ModemError) as caught:
            await stream.drain(3000)
        assert str(caught.value) == why
        assert rig.ms - began_ms < within_ms
        began_ms = rig.ms
        await stream.close()
        await rig.ping(other)
        # A prompt that never came: the modem is asked once whether it is there.
        assert rig.ms - began_ms < 1000
        assert bytes(range(4, 200)) not in rig.peer.heard

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize(("asked", "within_s"), [(True, 2.5), (False, 31)])
def test_a_lost_announcement_costs_seconds_at_most(tmp_path, monkeypatch, asked, within_s):
    """+CADATAIND may get lost, so it looks by itself: often while an answer is expected."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        reader = asyncio.create_task(stream.read(512))
        await asyncio.sleep(3)
        rig.peer.echoes = False
        if asked:
            stream.write(b"question")
            await stream.drain(3000)
            await asyncio.sleep(0.5)
        rig.modem.fault(Fault("cadataind_lost"))
        began_s = rig.now.s
        rig.peer.writers[-1].write(b"answer")
        assert await reader == b"answer"
        assert rig.now.s - began_s < within_s
        assert rig.modem.faults.acted["cadataind_lost"] == 1

    play(tmp_path, monkeypatch, story)


def test_an_idle_connection_is_looked_at_every_30_s_only(tmp_path, monkeypatch):
    """Each look costs current and the line."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        reader = asyncio.create_task(stream.read(512))
        await asyncio.sleep(5)
        said = len(rig.wire.said)
        await asyncio.sleep(120)
        assert rig.commands(said) == ["AT+CARECV=1,512"] * 4
        rig.peer.writers[-1].write(b"here")
        assert await reader == b"here"

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("garbled", [3, 9, 12])
def test_bytes_that_are_lost_on_the_line_end_the_connection(tmp_path, monkeypatch, garbled):
    """A stream with a hole in it is none: a header that cannot be read takes its payload along."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        rig.peer.echoes = False
        rig.peer.writers[-1].write(b"0123456789")
        await asyncio.sleep(1)
        rig.modem.fault(Fault("garbled", on="+CARECV", index=garbled))
        with pytest.raises(ModemError):
            await stream.read(512)

    play(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("index", range(2, 24, 3))
def test_a_free_space_that_cannot_be_read_is_asked_again(tmp_path, monkeypatch, index):
    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        stream._free = 0
        rig.modem.fault(Fault("garbled", on="+CASEND", index=index))
        try:
            await rig.ping(stream, b"again")
        except ModemError as error:
            # Where the OK itself is garbled.
            why = str(error)
            assert why.startswith("AT+CASEND: no answer")
        else:
            assert rig.peer.heard.endswith(b"again")

    play(tmp_path, monkeypatch, story)


# Ends


@pytest.mark.parametrize("orderly", [True, False])
def test_what_came_before_the_end_is_read_first(tmp_path, monkeypatch, orderly):
    """Sheet 6 trap 7: CARECV 0, CADATAIND, CASTATE 0, then ERROR."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        writer = rig.peer.writers[-1]
        writer.write(b"last words")
        if not orderly:
            await asyncio.sleep(1)
            assert await stream.read(512) == b"last words"
        (writer.close if orderly else writer.transport.abort)()
        began_ms = rig.ms
        if orderly:
            assert await stream.read(512) == b"last words"
        with pytest.raises(ModemError, match=r"AT.CARECV"):
            await stream.read(512)
        assert rig.ms - began_ms < 1000
        await stream.close()
        rig.idle()

    play(tmp_path, monkeypatch, story)


def test_closing_is_told_to_the_server_and_twice_is_once(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        await stream.close()
        await stream.close()
        assert rig.commands().count("AT+CACLOSE=1") == 2  # one before opening
        await asyncio.sleep(1)
        assert rig.peer.writers[-1].is_closing()
        assert rig.driver.failures == 0

    play(tmp_path, monkeypatch, story)


def test_a_connection_that_never_said_a_word_counts_as_a_failure(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        for number in (1, 2):
            await (await rig.open()).close()
            assert rig.driver.failures == number
        await (await rig.call()).close()
        assert rig.driver.failures == 0

    play(tmp_path, monkeypatch, story)
