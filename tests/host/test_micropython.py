"""The firmware on a real MicroPython (the Unix port), compiled as on the tag: the same bytes as on CPython."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host.replay import PARTS, replay
from tests.host.test_layers import FIRMWARE, HARDWARE, IMPORTS, SOURCES
from tools.make_vectors import PATH
from tools.mpy import compile_mpy

ROOT = Path(__file__).parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")
DEADLINE_S = 60


@pytest.fixture(scope="module")
def tag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the tag's root: the firmware compiled without line numbers and asserts, and umqtt."""
    folder = tmp_path_factory.mktemp("tag")
    for name, source in SOURCES.items():
        target = folder / source.relative_to(FIRMWARE).with_suffix(".mpy")
        target.parent.mkdir(exist_ok=True)
        compile_mpy(source, target, name)
    shutil.copytree(ROOT / "build/lib/umqtt", folder / "lib/umqtt")
    for path in (ROOT / "tests/host/replay.py", PATH):
        shutil.copy(path, folder)
    return folder


def run(tag: Path, *arguments: str) -> str:
    """Run MicroPython in the folder; return what it printed. Its arguments stay short: over 255 bytes it aborts."""
    result = subprocess.run(
        [str(MICROPYTHON), *arguments],
        cwd=tag,
        env={"MICROPYPATH": ".frozen::lib"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


def by_part(lines: list[str]) -> dict[str, list]:
    found: dict[str, list] = {}
    for name, result in map(json.loads, lines):
        found.setdefault(name, []).append(result)
    return found


@pytest.fixture(scope="module")
def replayed(tag: Path) -> dict[str, list]:
    """What MicroPython made of the vectors."""
    return by_part(run(tag, "replay.py", PATH.name).splitlines())


@pytest.fixture(scope="module")
def expected() -> dict[str, list]:
    """The same on CPython."""
    return by_part([json.dumps(line) for line in replay(json.loads(PATH.read_text()))])


@pytest.mark.parametrize("part", [part.__name__ for part in PARTS])
def test_both_interpreters_give_the_same(part: str, replayed: dict, expected: dict) -> None:
    assert len(replayed[part]) == len(expected[part]) > 10
    for told, due in zip(replayed[part], expected[part], strict=True):
        assert told == due


def test_micropython_says_exactly_the_bytes_of_the_vectors(replayed: dict) -> None:
    """Not by way of CPython: against the file itself."""
    vectors = json.loads(PATH.read_text())
    keys, _, *rest = replayed["envelopes"]
    assert keys == [vectors["id"], vectors["kid"], *vectors["keys"].values()]
    for n, message in enumerate(vectors["up"]):
        assert rest[4 * n] == [message[name] for name in ("claims", "token", "digest")]
        assert rest[4 * n + 1 : 4 * n + 3] == [True, "EnvelopeError: wrong MAC"]


def needs_a_board(name: str) -> bool:
    return bool(IMPORTS[name] & HARDWARE) or any(
        needs_a_board(other) for other in IMPORTS[name] & set(SOURCES)
    )


def test_every_module_that_needs_no_board_imports(tag: Path) -> None:
    names = sorted(name for name in SOURCES if not needs_a_board(name))
    assert {"tag", "link", "mqtt", "wifi", "haptics"} <= set(names)
    assert set(SOURCES) - set(names) == {"app", "board", "boot", "build", "guard", "main"}
    (tag / "imports.py").write_text("".join(f"import {name}\nprint({name}.__file__)\n" for name in names))
    assert [Path(line).name for line in run(tag, "imports.py").splitlines()] == [
        f"{name}.mpy" for name in names
    ]
