"""The architecture, read from the imports: who may know whom (a layer that is broken once is gone)."""

import ast
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
SOURCES = {path.stem: path for path in sorted(FIRMWARE.rglob("*.py"))}
LIB = {path.stem for path in FIRMWARE.glob("lib/*.py")}
PRODUCT = set(SOURCES) - LIB
# No I/O, no clock, no asyncio: what the host tests can show in full.
PURE = {"config", "incident", "alert", "signals", "button", "nmea", "gnss", "hkdf", "mqtt", "envelope"}
PURE |= {"cbor", "backoff", "log", "gregorian", "fix"}
HARDWARE = {"machine", "esp32", "network", "_thread", "neopixel", "bluetooth"}
IMPURE = HARDWARE | {"asyncio", "os", "time", "socket", "select", "sys", "random", "io", "tls", "ssl"}
# What CPython has and MicroPython has not, or not the same.
MISSING = {"abc", "contextlib", "dataclasses", "enum", "functools", "hmac", "itertools", "logging", "typing"}


def imports(source: str) -> set[str]:
    """The modules that `source` imports anywhere, by their first name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "exec", "eval"):
            found.add("something at run time")
    return found


IMPORTS = {name: imports(path.read_text()) for name, path in SOURCES.items()}


def test_the_reader_of_imports_sees_them_all() -> None:
    source = "import a, b.c as d\ntry:\n    from e.f import g\nexcept ImportError:\n    def h():\n        import i\n"
    assert imports(source + "__import__('j')\n") == {"a", "b", "e", "i", "something at run time"}


def test_every_pure_module_is_there() -> None:
    assert set(SOURCES) >= PURE


@pytest.mark.parametrize("name", sorted(LIB))
def test_lib_does_not_know_the_product(name: str) -> None:
    assert not IMPORTS[name] & PRODUCT


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"board", "boot"}))
def test_only_the_board_and_boot_know_the_hardware(name: str) -> None:
    assert not IMPORTS[name] & HARDWARE


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"clock"}))
def test_only_the_clock_knows_the_time(name: str) -> None:
    assert "time" not in IMPORTS[name]


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_module_imports_nothing_that_acts(name: str) -> None:
    assert not IMPORTS[name] & IMPURE
    known = PURE | {"binascii", "collections", "hashlib", "micropython", "struct", "umqtt"}
    assert IMPORTS[name] <= known


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_module_opens_and_prints_nothing(name: str) -> None:
    calls = {node.func.id for node in nodes(name, ast.Call) if isinstance(node.func, ast.Name)}
    assert "input" not in calls
    assert "print" not in calls
    assert "open" not in calls


def nodes(name: str, kind: type) -> list:
    return [node for node in ast.walk(ast.parse(SOURCES[name].read_text())) if isinstance(node, kind)]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_nothing_is_imported_that_micropython_lacks_nor_at_run_time(name: str) -> None:
    assert not IMPORTS[name] & MISSING
    assert "something at run time" not in IMPORTS[name]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_assert_is_never_a_check_and_no_except_is_bare(name: str) -> None:
    assert nodes(name, ast.Assert) == []
    assert [node.lineno for node in nodes(name, ast.ExceptHandler) if node.type is None] == []


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_module_has_one_error_type_at_most_and_it_is_a_noun(name: str) -> None:
    errors = [
        node.name
        for node in nodes(name, ast.ClassDef)
        if any(ast.unparse(base).endswith(("Exception", "Error")) for base in node.bases)
        and not node.name.startswith("_")
    ]
    assert len(errors) <= 1
    assert all(error.endswith("Error") for error in errors)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_module_fits_into_the_head(name: str) -> None:
    source = SOURCES[name].read_text()
    assert len(source.splitlines()) <= 340  # "about 300"
    assert name in ("boot", "main") or ast.get_docstring(ast.parse(source))
