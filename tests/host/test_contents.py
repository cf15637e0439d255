"""What a board carries: everything that its modules import, and nothing for parts that it has not."""

import ast
import json
from pathlib import Path

import pytest

from tools.contents import FIRMWARE, modules

MAPS = {path.stem: json.loads(path.read_text()) for path in (FIRMWARE / "boards").glob("*.json")}
NAMES = {path.stem for path in FIRMWARE.rglob("*.py")}


def carried(board: dict) -> dict[str, Path]:
    return {path.stem: path for path in modules(board)}


def imported(path: Path) -> set[str]:
    """The firmware's modules that this one imports as soon as it is imported itself."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found & NAMES


@pytest.mark.parametrize("board", sorted(MAPS))
def test_what_is_carried_can_be_imported(board: str) -> None:
    there = carried(MAPS[board])
    for name, path in there.items():
        assert imported(path) <= set(there), name


@pytest.mark.parametrize("board", sorted(MAPS))
def test_a_receiver_of_its_own_or_the_modems_never_both(board: str) -> None:
    there = set(carried(MAPS[board]))
    assert ("own_sky" in there) == ("gnss" in MAPS[board])
    assert ("shared_sky" in there) == ("gnss" not in MAPS[board])


def test_a_board_without_a_modem_carries_no_driver() -> None:
    assert not {"sim7080", "at_socket", "at"} & set(carried({"gnss": {}}))


def test_every_module_is_carried_by_some_board() -> None:
    assert set().union(*(carried(board) for board in MAPS.values())) == NAMES


def test_the_power_chips_driver_is_for_boards_that_have_it() -> None:
    assert "axp2101" in carried(MAPS["lilygo-t-sim7080g"])
    assert "axp2101" not in carried(MAPS["tag-a"])
