"""The panel's protocol and words, and the command line of all parts."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sim.common import ROOT
from sim.panel import Panel, PanelError, Printer, command


def with_panel(story: Callable[[Panel], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        panel = Panel()
        await panel.start()
        try:
            async with asyncio.timeout(5):
                await story(panel)
        finally:
            await panel.stop()

    asyncio.run(whole())


async def hello(panel: Panel) -> tuple[list[str], asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*panel.address)
    writer.write(b"hello tag-a\n")
    lines = []
    while not lines or lines[-1] != "ready":
        lines.append((await reader.readline()).decode().strip())
    return lines, reader, writer


def test_what_was_set_before_the_tag_came_is_replayed_at_hello():
    async def story(panel: Panel) -> None:
        panel.set("battery", 3500)
        panel.set("charger", 1)
        panel.wifi("home", "key")
        panel.wifi("open")
        lines, _, writer = await hello(panel)
        assert lines == [
            "in button 0",
            "in charger 1",
            "in battery 3500",
            "air off",
            "air wifi home key",
            "air wifi open",
            "ready",
        ]
        assert panel.board == "tag-a"
        writer.close()

    with_panel(story)


def test_a_rail_holds_until_it_is_said_to_fall_by_whoever_knows():
    async def story(panel: Panel) -> None:
        news: asyncio.Queue[tuple[str, int, int]] = asyncio.Queue()
        panel.on_output(lambda *change: news.put_nowait(change))
        _, _, tag = await hello(panel)
        tag.write(b"rail modem 1\nout light 1\n")
        assert [(await news.get())[:2] for _ in range(2)] == [("modem", 1), ("light", 1)]
        _, _, again = await hello(panel)  # a restart
        again.write(b"rail modem 1\nout vibration 1\n")
        assert [(await news.get())[:2] for _ in range(2)] == [("light", 0), ("vibration", 1)]
        assert panel.outputs["modem"] == 1
        _, supervisor = await asyncio.open_connection(*panel.address)
        supervisor.write(b"rail modem 0\n")
        assert (await news.get())[:2] == ("modem", 0)
        again.write(b"rail modem 1\nout modem 1\n")  # the same name on a pin, of another board
        assert (await news.get())[:2] == ("modem", 1)
        for writer in (tag, again):
            writer.close()
        assert {(await news.get())[:2] for _ in range(2)} == {("vibration", 0), ("modem", 0)}
        supervisor.close()
        assert panel.malformed == 0

    with_panel(story)


def test_who_watches_hears_every_output_from_the_present_state_on():
    async def story(panel: Panel) -> None:
        _, _, tag = await hello(panel)
        tag.write(b"rail modem 1\n")
        reader, watcher = await asyncio.open_connection(*panel.address)
        watcher.write(b"watch\n")
        assert await reader.readline() == b"out modem 1\n"
        tag.write(b"out modem_pwrkey 1\n")
        assert await reader.readline() == b"out modem_pwrkey 1\n"
        tag.close()
        assert await reader.readline() == b"out modem_pwrkey 0\n"
        assert panel.board == "tag-a"  # who watches is no tag
        watcher.close()

    with_panel(story)


def test_a_press_lasts_as_long_as_asked():
    async def story(panel: Panel) -> None:
        _, reader, writer = await hello(panel)
        start = time.monotonic()
        pressing = asyncio.create_task(panel.press(200))
        assert await reader.readline() == b"in button 1\n"
        assert await reader.readline() == b"in button 0\n"
        assert 0.19 < time.monotonic() - start < 0.4
        await pressing
        writer.close()

    with_panel(story)


def test_outputs_are_told_with_their_time_and_fall_with_the_tag():
    async def story(panel: Panel) -> None:
        news: asyncio.Queue[tuple[str, int, int]] = asyncio.Queue()
        panel.on_output(lambda *change: news.put_nowait(change))
        _, _, writer = await hello(panel)
        writer.write(b"out vibration 1\nnonsense\nout light 7\n")
        name, value, t_ms = await news.get()
        assert (name, value) == ("vibration", 1)
        assert abs(t_ms - time.monotonic() * 1000) < 500
        writer.close()
        assert (await news.get())[:2] == ("vibration", 0)
        assert panel.malformed == 2

    with_panel(story)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lamp", 1, "no input 'lamp'; there are: button"),
        ("button", 2, "from 0 to 1"),
        ("battery", -1, "from 0 to 6000"),
    ],
)
def test_what_the_panel_does_not_have_is_refused(name, value, message):
    with pytest.raises(PanelError, match=message):
        Panel().set(name, value)


@pytest.mark.parametrize(("ssid", "key"), [("", ""), ("my home", "k"), ("home", "a b")])
def test_a_network_with_blanks_is_refused(ssid, key):
    with pytest.raises(PanelError):
        Panel().wifi(ssid, key)


def test_commands_reach_the_panel_and_a_wrong_one_is_named():
    async def story(panel: Panel) -> None:
        known = ("home", "key")
        for line in ("battery 3700", "charger on", "wifi on", "wifi cafe secret", "tap 1"):
            await command(panel, line.split(), known)
        assert panel.inputs == {"button": 0, "charger": 1, "battery": 3700}
        assert panel.networks == {"home": "key", "cafe": "secret"}
        await command(panel, ["wifi", "off"], known)
        assert panel.networks == {}
        for line in ("hold", "hold long", "battery", "dance", "charger 1"):
            with pytest.raises(PanelError, match="not understood"):
                await command(panel, line.split(), known)

    with_panel(story)


def test_vibration_is_said_as_lengths_and_pauses(capsys):
    say = Printer()
    for change in (
        ("vibration", 1, 5000),
        ("vibration", 0, 5080),
        ("vibration", 1, 5200),
        ("vibration", 0, 5300),
    ):
        say(*change)
    say("light", 1, 5400)
    assert capsys.readouterr().out.splitlines() == [
        "vibration 80 ms",
        "vibration 100 ms (after a pause of 120 ms)",
        "light on",
    ]


def sim(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        **options,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tag", "--board", "tag-a", "--flash", "none.img"), "no flash image at none.img"),
        (
            ("tag", "--board", "tag-a", "--flash", "x", "--gnss", "nowhere"),
            "--gnss nowhere: there is no such PTY",
        ),
        (
            ("tag", "--board", "tag-z", "--flash", "x"),
            "unknown board 'tag-z'; there are: lilygo-t-sim7080g, tag-a",
        ),
        (("panel", "--listen", "7000"), "not an address: '7000'"),
        (("sky", "--pty", "nowhere/link", "--nmea", "none.log"), "cannot read the recording none.log"),
        (("broker", "--listen", "127.0.0.1:0", "--users", "none"), "cannot read the users file none"),
        (("image", "--out", "x", "--board", "tag-a", "--config", "none.json"), "cannot read none.json"),
    ],
)
def test_a_wrong_argument_is_one_clear_line_and_exit_2(arguments, message):
    done = sim(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_a_port_in_use_is_named_with_what_to_do():
    async def story(panel: Panel) -> None:
        done = await asyncio.to_thread(sim, "panel", "--listen", f"127.0.0.1:{panel.address[1]}", input="")
        assert done.returncode == 2
        assert f"127.0.0.1:{panel.address[1]} is in use" in done.stderr
        assert "another port" in done.stderr

    with_panel(story)


def test_ctrl_c_is_quiet_and_exits_130():
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "panel", "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("panel at 127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (130, "")


def test_quit_with_a_tag_connected_is_quiet():
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "panel", "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split(";")[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as tag:
            tag.sendall(b"hello tag-a\nout light 1\n")
            assert process.stdout.readline() == "light on\n"
            rest, said = process.communicate("quit\n", timeout=10)
    assert (process.returncode, rest, said) == (0, "light off\n", "")


def test_a_modem_of_its_own_process_hangs_on_the_wires_of_the_panels_tag(tmp_path):
    async def story(panel: Panel) -> None:
        _, _, tag = await hello(panel)
        modem = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sim", "modem", "--pty", str(tmp_path / "modem"), "--speed", "50"),
            *("--panel", f"{panel.address[0]}:{panel.address[1]}"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert modem.stdin is not None
        assert modem.stdout is not None
        assert modem.stderr is not None

        async def state(wanted: bytes) -> None:
            said = b""
            while not said.startswith(wanted):
                modem.stdin.write(b"state\n")
                said = await modem.stdout.readline()

        await modem.stdout.readline()
        await state(b"off")
        tag.write(b"out modem 1\nout modem_pwrkey 1\n")
        await asyncio.sleep(0.03)  # 1.5 s of the modem's
        tag.write(b"out modem_pwrkey 0\n")
        await state(b"on")
        tag.write(b"out modem 0\n")
        await state(b"off")
        await panel.stop()
        assert await modem.wait() == 2
        assert b"is gone" in await modem.stderr.read()
        tag.close()

    with_panel(story)


def test_help_teaches():
    done = sim("--help")
    assert done.returncode == 0
    for part in ("image", "tag", "panel", "sky", "broker", "air", "demo"):
        assert part in done.stdout
