"""Opening connections of the emulated modem to a real server, and what is done about failures. Sheet 4, 6."""

import asyncio
import contextlib

import pytest
from at_line import ModemError
from at_socket import AtSocket

from sim import certs
from sim.modem import Fault
from tests.host.modem_rig import CA, EXPIRED, GOOD, OTHER, ModemRig, Peer, pem, play

MEAN = b"\r\nOK\r\n\x00\xff>+CADATAIND: 1\r\n+CARECV: 0\r\nERROR\r\n"
WRONG_CA = certs.make_ca().issue("localhost")
BOTH = CA.issue("elsewhere.example", not_after=certs.EXPIRED)


async def replaced(rig: ModemRig, pair: certs.Pair, tmp_path) -> None:
    """The server is another one from now on, at the same port."""
    port = rig.peer.port
    await rig.peer.stop()
    rig.peer = Peer(pair, tmp_path)
    rig.peer.port = port
    await rig.peer.start()


# Opening


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (WRONG_CA, "no TLS with this broker: is the CA its own?"),
        (OTHER, "the broker's certificate names another host"),
        (BOTH, "the broker's certificate is out of date and names another host"),
    ],
)
def test_a_server_that_is_not_ours_is_refused_by_name(tmp_path, monkeypatch, pair, why):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        for _ in range(2):
            with pytest.raises(ModemError) as caught:
                await rig.open()
            assert str(caught.value) == "AT+CAOPEN: result " + why
            rig.idle()
        assert rig.driver.failures == 2
        assert rig.peer.heard == b""
        await replaced(rig, GOOD, tmp_path)
        assert await rig.recover() < 30
        assert rig.driver.failures == 0

    play(tmp_path, monkeypatch, story, pair=pair)


def test_another_ca_is_no_reason_to_write_the_modems_flash_again_and_again(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        for _ in range(12):
            with contextlib.suppress(ModemError):
                await rig.call()
        uploads = [text for text in rig.commands() if "CFSWFILE" in text]
        assert len(uploads) == 2
        assert rig.modem.starts > 2

    play(tmp_path, monkeypatch, story, pair=WRONG_CA)


def test_an_expired_certificate_is_told_and_does_not_keep_an_alert_back(tmp_path, monkeypatch):
    """Result 24: the modem's clock or the certificate is wrong; the envelope protects an alert by itself."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        assert stream.warning == "the broker's certificate is out of date"
        opens = [text for text in rig.commands() if "CAOPEN" in text or "IGNORERTCTIME" in text]
        assert [text.split(",")[-1] for text in opens if "IGNORE" in text] == ["0", "1"]
        assert len(opens) == 4
        await stream.close()
        # The next one is checked again.
        await replaced(rig, GOOD, tmp_path)
        stream = await rig.open()
        assert stream.warning is None
        assert [text for text in rig.commands() if "IGNORE" in text][-1].endswith(",0")

    play(tmp_path, monkeypatch, story, pair=EXPIRED)


def test_a_server_that_refuses_is_named_and_taken_when_it_is_back(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        await rig.peer.stop()
        with pytest.raises(ModemError, match="the broker refuses the connection: is the port right"):
            await rig.open()
        await rig.peer.start()
        assert await rig.recover() < 10

    play(tmp_path, monkeypatch, story)


def test_a_host_that_does_not_exist_is_named(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        with pytest.raises(ModemError, match="there is no such host"):
            await rig.open("no.such.invalid")
        assert await rig.recover() < 10

    play(tmp_path, monkeypatch, story)


def test_the_certificate_is_stored_once_and_checked_by_size(tmp_path, monkeypatch):
    """Sheet 4: DOWNLOAD, CONVERT; it outlives restarts, the context's settings do not."""

    async def story(rig: ModemRig) -> None:
        def uploads() -> int:
            return len([text for text in rig.commands() if "CFSWFILE" in text])

        files = rig.modem._parts.files.content
        await (await rig.call()).close()
        ((place, content),) = files.items()
        # The same as openssl makes it, but for the length of its lines.
        assert content.replace(b"\n", b"") == pem(CA.der).replace(b"\n", b"")
        await (await rig.call()).close()
        rig.modem.supply(False)
        await asyncio.sleep(3)
        assert await rig.recover() < 60
        assert uploads() == 1
        assert rig.driver.life == 2
        # A cut in the middle of the upload leaves part of it.
        files[place] = content[:100]
        rig.modem._parts.tls._converted.clear()
        rig.modem.fault(Fault("reset"))
        await asyncio.sleep(5)
        assert await rig.recover() < 60
        assert uploads() == 2
        # Of the right size, and yet of no use.
        rig.modem._parts.tls._converted.clear()
        assert await rig.recover() < 60
        assert uploads() == 3

    play(tmp_path, monkeypatch, story)


def test_without_a_ca_it_is_a_plain_connection(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        await rig.ping(stream, MEAN)
        assert not [text for text in rig.commands() if "CSSLCFG" in text or "CFS" in text]

    play(tmp_path, monkeypatch, story, ca_der=None)


def test_sockets_are_opened_at_the_same_time_on_a_fresh_modem(tmp_path, monkeypatch):
    """None takes the file system, the TLS context or the result of the other."""

    async def story(rig: ModemRig) -> None:
        await rig.attach()
        streams = await asyncio.gather(rig.open(), rig.open(), return_exceptions=True)
        good = [stream for stream in streams if not isinstance(stream, BaseException)]
        assert len(good) == 2, streams
        await asyncio.gather(*(rig.ping(stream, b"%d" % n) for n, stream in enumerate(good)))

    play(tmp_path, monkeypatch, story)


def test_there_is_an_end_of_sockets_and_nobody_loses_his(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        streams = [await rig.open() for _ in range(4)]
        with pytest.raises(ModemError, match="all sockets are in use"):
            await rig.open()
        for number, stream in enumerate(streams):
            await rig.ping(stream, b"%d" % number * 100)
        for stream in streams:
            await stream.close()
        rig.idle()
        assert await rig.recover() < 10

    play(tmp_path, monkeypatch, story)


def test_another_socket_talks_on_while_an_opening_is_mute_for_75_s(tmp_path, monkeypatch):
    """Sheet 6 trap 1."""

    async def story(rig: ModemRig) -> None:
        stream = await rig.call()
        rig.modem.fault(Fault("caopen_mute"))
        began_ms = rig.ms
        opening = asyncio.create_task(rig.open())
        while not opening.done():
            asked_ms = rig.ms
            await rig.ping(stream)
            assert rig.ms - asked_ms < 1000
            await asyncio.sleep(5)
        with pytest.raises(ModemError, match=r"AT.CAOPEN: result 2"):
            await opening
        assert 75000 <= rig.ms - began_ms < 82000
        await rig.ping(stream)
        await rig.ping(await rig.open())

    play(tmp_path, monkeypatch, story)


def test_an_opening_without_a_result_ends_at_its_deadline(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        rig.modem.fault(Fault("caopen_mute", ms=200000))
        await rig.attach()
        began_ms = rig.ms
        with pytest.raises(ModemError, match=r"AT.CAOPEN: no result within 80 s"):
            await rig.open()
        assert 80000 <= rig.ms - began_ms < 81500
        rig.idle()
        assert await rig.recover() < 10

    play(tmp_path, monkeypatch, story)


def test_the_late_result_of_an_opening_that_was_given_up_is_not_the_next_ones(tmp_path, monkeypatch):
    async def story(rig: ModemRig) -> None:
        await rig.attach()
        rig.modem.fault(Fault("caopen_mute", ms=20000))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rig.open(), 5)
        rig.idle()
        streams = [await rig.open() for _ in range(3)]
        await asyncio.sleep(20)
        for stream in streams:
            await rig.ping(stream)

    play(tmp_path, monkeypatch, story)


# The ladder


def test_what_fails_again_and_again_is_begun_anew_deeper_each_time(tmp_path, monkeypatch):
    """The ladder: two failures, then a new context, a restart, a cut of the supply; then from the beginning."""

    async def story(rig: ModemRig) -> None:
        await rig.peer.stop()
        lives = []
        for _ in range(8):
            said = len(rig.wire.said)
            await rig.attach()
            helped = [text for text in rig.commands(said) if text in ("AT+CNACT=0,0", "AT+CFUN=1,1")]
            lives.append((helped, rig.modem.starts, len(rig.keys) // 2))
            with pytest.raises(ModemError):
                await rig.open()
        anew = [([], 1, 1), ([], 1, 1), (["AT+CNACT=0,0"], 1, 1), (["AT+CFUN=1,1"], 2, 1), ([], 3, 2)]
        assert lives == [*anew, ([], 3, 2), (["AT+CNACT=0,0"], 3, 2), (["AT+CFUN=1,1"], 4, 2)]
        _, (off_ms, off), (on_ms, on) = rig.supply
        assert (off, on) == (False, True)
        assert 2000 <= on_ms - off_ms <= 5000

    play(tmp_path, monkeypatch, story)


def test_the_bearer_says_how_long_it_may_take():
    assert AtSocket.name == "modem"
    # Sheet 10: registration 180 s and a context 60 s; CAOPEN 80 s.
    assert (AtSocket.attach_ms, AtSocket.open_ms) == (240000, 80000)
