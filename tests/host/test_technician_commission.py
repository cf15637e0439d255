"""Commissioning at a simulated board: a press, a real broker, the real desk, felt, in service."""

import asyncio
import contextlib
import functools
import signal
from typing import Any, NamedTuple

import pytest

from sim.panel import Panel
from tests.host.technician_bench import Done, Far, Table, at_tables
from tools.flasher.errors import KINDS
from tools.flasher.firmware import version
from tools.flasher.tray import STOPPED


@contextlib.asynccontextmanager
async def room(table: Table, air: bool = True, password: str | None = None):
    """A provisioned tag with a panel, and the far side (registered, desk not yet open)."""
    panel, far = Panel(), Far(table)
    await panel.start()
    if air:
        panel.wifi("home", "wpa2wpa2")
    try:
        await table.tag(panel=panel.address)
        await table.good("provision")  # this far side's port
        if password:
            far.users[table.registrations()[0]["tag"]] = password
        await far.register()
        yield panel, far
    finally:
        for board in table.boards:
            await board.stop()
        await far.stop()
        await panel.stop()


async def commission(
    table: Table, panel: Panel, *words: str, press: bool = True, answer: bytes = b"y\n"
) -> Done:
    """Run the command; press when it asks, let go when the tag has it, answer its question."""

    def hear(event: dict[str, Any]) -> bytes | None:
        if event.get("step") == "press":
            panel.set("button", int(press))
        elif event.get("step") == "latched":
            panel.set("button", 0)
        return answer if "question" in event else None

    return await table.talk(hear, "commission", *words)


async def well(table: Table) -> None:
    """Everything is as it should be."""
    async with room(table) as (panel, far):
        await far.open()
        felt = []
        panel.on_output(lambda name, value, at_ms: felt.append((name, value)))
        done = await commission(table, panel)
        assert done.status == 0, done
        steps = [each.get("step") for each in done.facts() if each.get("step")]
        # The desk's answer may be felt before the link has noted that it published.
        assert steps[:3] == ["press", "latched", "on flash"]
        assert set(steps[3:]) == {"published", "felt received"}
        assert ("vibration", 1) in felt
        (incident,) = await far.incidents()
        assert incident["test"] is True
        # In service: no prompt, whatever is typed. Its flash tells what it is.
        (seen,) = (await table.good("list", "--json")).facts()
        tag = table.registrations()[0]["tag"]
        assert (seen["what"], seen["service"]) == ("in service, window closed", True)
        assert (seen["tag"], seen["obereg"]) == (tag, version())
        # A finger on the button while the power comes opens it.
        board = table.boards[0]
        await board.stop()
        panel.set("button", 1)
        panel.set("charger", 1)
        await board.start()
        opened = await table.flash("read", "--json")
        panel.set("button", 0)
        assert opened.status == 0, opened
        facts = {name: each[name] for each in opened.facts() for name in each}
        assert facts["service"] is True
        await board.stop()
        await board.start()
        closed = await table.flash("read")
        assert closed.status == KINDS["window-closed"].status, closed


class Wrong(NamedTuple):
    """Something that is wrong, and the kind of error it must be told as."""

    kind: str
    words: tuple[str, ...] = ()
    air: bool = True
    password: str | None = None
    desk: bool = False
    press: bool = True
    answer: bytes = b"y\n"


WRONG = {
    "the desk does not answer": Wrong("desk", ("--seconds", "15")),
    "nobody presses": Wrong("no-press", ("--seconds", "5"), press=False),
    "the broker refuses the password": Wrong("password", password="another"),
    # Joining a Wi-Fi is given up after 20 s.
    "there is no network": Wrong("no-network", ("--seconds", "24"), air=False),
    "the vibration is not felt": Wrong("not-felt", desk=True, answer=b"n\n"),
}


async def wrong(table: Table, name: str) -> None:
    """One thing is wrong: it is named, and the tag is not in service."""
    what = WRONG[name]
    async with room(table, what.air, what.password) as (panel, far):
        if what.desk:
            await far.open()
        done = await commission(table, panel, *what.words, press=what.press, answer=what.answer)
        assert done.status == KINDS[what.kind].status, done
        assert done.err == ""
        assert "service" not in await table.python("import os; print(os.listdir('/data'))")


async def stopped(table: Table) -> None:
    """One Ctrl-C ends a command that waits for a press, and the next one finds the tag's prompt."""
    async with room(table):
        program = await table.start("commission", "--seconds", "120", "--json")
        said = b""
        async with asyncio.timeout(100):
            while b'"step": "press"' not in said:
                said += await program.stdout.readline()
            program.send_signal(signal.SIGINT)
            out, err = await program.communicate()
        assert (program.returncode, err) == (STOPPED, b""), out
        assert b"stopped; repeat the command" in out
        assert b'"error"' not in out
        (seen,) = (await table.good("list", "--json")).facts()
        assert seen["what"] == "not in service yet", seen


STORIES = {"well": well, "stopped": stopped, **{name: functools.partial(wrong, name=name) for name in WRONG}}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """How each story failed, or None; they run at the same time."""
    folder = tmp_path_factory.mktemp("room")
    ended = at_tables({folder / name.replace(" ", "-"): story for name, story in STORIES.items()})
    return dict(zip(STORIES, ended.values(), strict=True))


def test_a_press_answered_by_the_desk_and_felt_puts_the_tag_into_service_and_closes_the_window(failed):
    if failed["well"]:
        raise failed["well"]


def test_ctrl_c_ends_a_command_at_once_and_the_tag_can_be_talked_to(failed):
    if failed["stopped"]:
        raise failed["stopped"]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_and_leaves_the_tag_out_of_service(failed, name):
    if failed[name]:
        raise failed[name]
