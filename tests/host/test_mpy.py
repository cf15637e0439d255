"""tools/mpy.py: what is compiled does what the source does under shorter names; firmware keeps the rules for that."""

import ast
import dis
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from sim import image
from tests.host.test_layers import FIRMWARE, SOURCES
from tools import mpy

ROOT = FIRMWARE.parent
# What is compiled: the firmware, the simulator's fakes, and what stands for the image's frozen umqtt.
COMPILED = {name: path for name, path in SOURCES.items() if path.name not in mpy.SOURCES}
COMPILED |= {f"sim/{path.stem}": path for path in (ROOT / "sim/board").glob("*.py") if path.stem != "start"}
COMPILED["umqtt"] = ROOT / "build/lib/umqtt/simple.py"
TREES = {name: ast.parse(path.read_text()) for name, path in COMPILED.items()}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


# ------------------------------------------------------------------------------------------------- the same behaviour


class Renamed:
    """Two ways to spell the same names: no two of one way are one of the other."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.back: dict[str, str] = {}

    def check(self, long: str, short: str) -> None:
        assert self.there.setdefault(long, short) == short
        assert self.back.setdefault(short, long) == long


def assert_same(long: types.CodeType, short: types.CodeType, names: Renamed) -> None:
    """The same instructions with the same constants; names may differ where they are private, or local."""
    local = Renamed()
    for was, now in zip(dis.get_instructions(long), dis.get_instructions(short), strict=True):
        assert was.opname == now.opname
        if isinstance(was.argval, types.CodeType):
            assert_same(was.argval, now.argval, names)
        elif was.opcode in dis.hasname:
            names.check(was.argval, now.argval)
            assert was.argval == now.argval or private(was.argval.rpartition(".")[2])
        elif was.opname in ("MAKE_CELL", "LOAD_CLOSURE"):
            pass  # CPython sorts these by name; what uses them is compared
        elif was.opcode in dis.haslocal or was.opcode in dis.hasfree:
            local.check(was.argval, now.argval)
        elif was.argval != now.argval:
            # The names that a class and its functions bear.
            assert was.opname == "LOAD_CONST"
            for part, short_part in zip(was.argval.split("."), now.argval.split("."), strict=True):
                assert part == short_part or private(part)
    required = long.co_argcount
    assert (required, long.co_kwonlyargcount, long.co_flags) == (
        short.co_argcount,
        short.co_kwonlyargcount,
        short.co_flags,
    )


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_shortening_renames_and_does_nothing_else(name: str) -> None:
    text, letters = mpy.shortened(COMPILED[name])
    tree = ast.parse(COMPILED[name].read_text())
    tree.body = [node for node in tree.body if ast.unparse(node) != "from micropython import const"]
    names = Renamed()
    # Unparsed as well: where lines end CPython adds instructions.
    assert_same(compile(ast.unparse(tree), "", "exec"), compile(text, "", "exec"), names)
    assert all(names.there.get(long, short) == short for short, long in letters.items())


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_nothing_private_is_left_but_constants_and_what_others_call_so(name: str) -> None:
    left = {
        node.id
        for node in ast.walk(ast.parse(mpy.shortened(COMPILED[name])[0]))
        if isinstance(node, ast.Name)
    }
    assert all(spelled.isupper() or spelled == "_thread" for spelled in left if private(spelled))


CASES = {
    "private": (
        "def _f():\n    pass\n\nclass _C:\n    _x = 1\n\n    def _g(self):\n        self._y = self._x + _f()",
        "def a():\n    pass\n\nclass b:\n    d = 1\n\n    def c(self):\n        self.e = self.d + a()",
    ),
    "constants": ("_A = const(1)\n_B = 2\nC = _A + _B", "_A = const(1)\na = 2\nC = _A + a"),
    "import of const": (
        "from micropython import const, native\n_A = const(1)",
        "from micropython import native\n_A = const(1)",
    ),
    "dunder": (
        "def __x__(self):\n    return __name__, self.__y",
        "def __x__(self):\n    return (__name__, self.__y)",
    ),
    "of others": (
        "import _thread\n_thread.start(x._theirs, '_x', _x=1)",
        "import _thread\n_thread.start(x._theirs, '_x', _x=1)",
    ),
    "import as": ("from time import f as _f\n_f()", "from time import f as a\na()"),
    "global": ("_n = 0\n\ndef f():\n    global _n\n    _n = 1", "a = 0\n\ndef f():\n    global a\n    a = 1"),
    "taken letter": ("_x = 1\na = _x", "b = 1\na = b"),
    "parameters": (
        "def f(data, size=1, *rest, flag, **more):\n    return data + size",
        "def f(a, size=1, *rest, flag, **more):\n    return a + size",
    ),
    "passed by name": (
        "def f(data, size):\n    return data\nf(1, size=2)",
        "def f(a, size):\n    return a\nf(1, size=2)",
    ),
    "as a global": (
        "data = 1\n\ndef f(data, x):\n    return data",
        "data = 1\n\ndef f(data, a):\n    return data",
    ),
    "as a built-in": ("def f(max, x):\n    return max", "def f(max, a):\n    return max"),
    "as a field": (
        "class C:\n    name = 1\n\n    def f(self, name):\n        return name",
        "class C:\n    name = 1\n\n    def f(self, name):\n        return name",
    ),
    "within": (
        "def f(data):\n    def g(size):\n        return [data + size for size in data]\n    return lambda data: data",
        "def f(a):\n\n    def g(b):\n        return [a + b for b in a]\n    return lambda a: a",
    ),
    "default within": (
        "def f(data):\n\n    def g(data=1):\n        return data",
        "def f(data):\n\n    def g(data=1):\n        return data",
    ),
    "nonlocal": (
        "def f(n):\n    def g():\n        nonlocal n\n        n = 1",
        "def f(n):\n\n    def g():\n        nonlocal n\n        n = 1",
    ),
    "import within": ("def f(json):\n    import json", "def f(json):\n    import json"),
    "except": (
        "def f(error):\n    try:\n        pass\n    except E as error:\n        pass",
        "def f(a):\n    try:\n        pass\n    except E as a:\n        pass",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_shortened(case: str, tmp_path: Path) -> None:
    source, text = CASES[case]
    (tmp_path / "part.py").write_text(source)
    assert mpy.shortened(tmp_path / "part.py")[0] == text


def test_when_the_letters_are_used_up_the_rest_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("".join(f"_n{n} = {n}\n" for n in range(60)))
    text, letters = mpy.shortened(tmp_path / "part.py")
    assert len(letters) == 52
    assert text.split("\n")[50:53] == ["Y = 50", "Z = 51", "_n52 = 52"]


# ------------------------------------------------------------------------------------- what firmware owes to that


def made(tree: ast.Module) -> set[str]:
    """The private names that a file makes itself."""
    found = set()
    for node in ast.walk(tree):
        stored = not isinstance(getattr(node, "ctx", None), ast.Load)
        for field in ("id", "attr", "name", "arg", "asname"):
            name = getattr(node, field, None)
            if stored and isinstance(name, str):
                found.add(name)
    return found


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_no_module_uses_a_private_name_of_another(name: str) -> None:
    tree = TREES[name]
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            used |= {alias.name for alias in node.names}
    assert {each for each in used if private(each)} <= made(tree)


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_no_class_inherits_from_one_of_another_module_of_ours(name: str) -> None:
    """Both would have an attribute `a`."""
    own = {node.name for node in ast.walk(TREES[name]) if isinstance(node, ast.ClassDef)}
    bases = {
        ast.unparse(b) for node in ast.walk(TREES[name]) if isinstance(node, ast.ClassDef) for b in node.bases
    }
    # The last two are C in every interpreter.
    assert bases <= own | {"Exception", "io.IOBase", "PinBase"}


def required(tree: ast.Module) -> dict[str, set[str]]:
    """Callable to the parameters that must be given; a class is its constructor."""
    found: dict[str, set[str]] = {}
    owner = {f: c.name for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for f in c.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = owner.get(node, "") if node.name == "__init__" else node.name
            count = len(node.args.args) - len(node.args.defaults)
            found.setdefault(name, set()).update(each.arg for each in node.args.args[:count])
    return found


def test_no_module_passes_by_name_what_another_requires() -> None:
    trees = {**TREES, "replay": ast.parse((ROOT / "tests/host/replay.py").read_text())}
    by_file = {name: required(tree) for name, tree in trees.items()}
    wrong = []
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                callee = ast.unparse(node.func).rpartition(".")[2]
                given = {keyword.arg for keyword in node.keywords if keyword.arg}
                for other in by_file:
                    if other != name and given & by_file[other].get(callee, set()):
                        wrong.append(f"{name}: {ast.unparse(node)}")
    assert wrong == []


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_no_name_is_made_at_run_time(name: str) -> None:
    calls = {
        node.func.id
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call)
        if isinstance(node.func, ast.Name)
    }
    assert not calls & {
        "getattr",
        "setattr",
        "hasattr",
        "delattr",
        "globals",
        "locals",
        "vars",
        "eval",
        "exec",
    }


# ---------------------------------------------------------------------------------------------------- around it


def test_the_cache_of_images_knows_another_way_of_shortening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "BUILD", tmp_path)
    (tmp_path / "part.py").write_text("_number = 1\n")
    first = image.compiled(tmp_path / "part.py", "lib/part.py")
    assert b"_number" not in first
    monkeypatch.setattr(mpy, "shortened", lambda source: (source.read_text(), {}))
    assert b"_number" in image.compiled(tmp_path / "part.py", "lib/part.py")


def test_a_traceback_says_the_module(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("def _fall():\n    raise ValueError('here')\n_fall()\n")
    mpy.compile_mpy(tmp_path / "part.py", tmp_path / "run.mpy", "lib/part.py")
    micropython = Path(sys.executable).with_name("micropython")
    done = subprocess.run(
        [micropython, "-c", "import run"], cwd=tmp_path, capture_output=True, text=True, timeout=20
    )
    assert 'File "part", line 1, in a\n' in done.stdout


def test_what_stays_source_loses_its_comments_only(tmp_path: Path) -> None:
    (tmp_path / "boot.py").write_text("# why\nimport gc  # here\n\n_n = 8192\ngc.threshold(_n)\n")
    assert mpy.uncommented(tmp_path / "boot.py") == b"import gc\n_n = 8192\ngc.threshold(_n)\n"


@pytest.mark.parametrize("read", [mpy.shortened, mpy.uncommented])
def test_source_that_is_no_python_is_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("def (:\n")
    with pytest.raises(mpy.MpyError, match=r"part\.py does not compile: .*line 1"):
        read(tmp_path / "part.py")


def test_what_the_compiler_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("_A = const(x)\n")
    with pytest.raises(
        mpy.MpyError, match=r"mpy-cross refuses .*part\.py: (.|\n)*SyntaxError: not a constant"
    ):
        mpy.compile_mpy(tmp_path / "part.py", tmp_path / "part.mpy", "part.py")


def test_the_names_behind_the_letters_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert mpy.main(["names", "nmea", "log"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["log", "nmea"]
    letter = next(
        short for short, long in mpy.shortened(SOURCES["nmea"])[1].items() if long == "_parse_position"
    )
    assert f"{letter} _parse_position" in said[1]
    assert mpy.main([]) == 2
