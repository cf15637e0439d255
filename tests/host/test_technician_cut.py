"""
A cable that is pulled, with the power, in the middle of a step: running again finishes the job.

Here it is pulled five times; with OBEREG_CUTS=40, 200 times.
"""

import asyncio
import functools
import json
import os
import random

import pytest

from tests.host.technician_bench import Table, at_tables, prepared

CUTS = int(os.environ.get("OBEREG_CUTS", "1"))

# What an installation of the files that differ here sends, and a little more.
CHANGE_BYTES = 10_000


async def pull(table: Table, after_bytes: int, *words: str) -> int:
    """
    Start a command, cut cable and power when the board has got `after_bytes`, put both in again. Return its status.

    Bytes, not seconds: a busy machine is cut at the same place.
    """
    board = table.boards[0]
    end = board.passed + after_bytes
    task = asyncio.create_task(table.flash(*words))
    while board.passed < end and not task.done():
        await asyncio.sleep(0.002)
    await board.stop()
    done = await task
    assert "Traceback" not in done.err, done
    await board.start()
    return done.status


async def anywhere(table: Table, seed: int) -> None:
    """Each step of a blank board is cut once, and run again."""
    chance = random.Random(seed)
    whole = (await prepared()).passed
    await table.board()
    for words in (("burn", "--image", str(table.image)), ("install",), ("provision",)):
        await pull(table, chance.randrange(whole[words[0]]), *words)
        await table.good(*words)
    given = table.registrations()[-1]
    found = (await table.good("list", "--json")).facts()[0]
    assert (found["tag"], found["micropython"]) == (given["tag"], "1.28.0")


async def changing(table: Table, seed: int) -> None:
    """An installation of some files is cut, and run again."""
    await table.tag()
    (given,) = table.registrations()
    # An older version: three modules differ, one is not known any more.
    await table.python(
        "for name in ('lib/cbor.mpy', 'app.mpy', 'alert.mpy', 'gone.mpy'):\n"
        "    with open('/' + name, 'wb') as file: file.write(b'old' * 2000)"
    )
    await pull(table, random.Random(seed).randrange(CHANGE_BYTES), "install")
    sizes = "import os; print([os.stat('/' + n)[6] for n in ('lib/cbor.mpy', 'app.mpy', 'alert.mpy')])"
    old = [size == 6000 for size in json.loads(await table.python(sizes))]
    assert all(old) or not any(old)
    await table.good("install")
    assert (await table.good("install", "--json")).facts()[-1]["how"] == "nothing"
    await table.good("provision")
    assert table.registrations() == [given]


STORIES = {
    f"{story.__name__}-{seed}": functools.partial(story, seed=seed)
    for story, seeds in ((anywhere, CUTS), (changing, 2 * CUTS))
    for seed in range(seeds)
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """How each story failed, or None; they run at the same time."""
    folder = tmp_path_factory.mktemp("cut")
    ended = at_tables({folder / name: story for name, story in STORIES.items()})
    return {path.name: error for path, error in ended.items()}


@pytest.mark.parametrize("seed", range(CUTS))
def test_a_tag_whose_cable_is_pulled_anywhere_is_finished_by_running_again(failed, seed):
    if failed[f"anywhere-{seed}"]:
        raise failed[f"anywhere-{seed}"]


@pytest.mark.parametrize("seed", range(2 * CUTS))
def test_a_cut_while_files_change_leaves_the_old_firmware_or_the_new_one(failed, seed):
    if failed[f"changing-{seed}"]:
        raise failed[f"changing-{seed}"]
