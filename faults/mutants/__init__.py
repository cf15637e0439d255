"""
Deliberate breaks, one file each: what a simulation must find to be worth anything.

A mutant is a docstring that says what is broken, and `EDITS`: (module, the text as it stands, what stands there
instead). apply() loads the edited modules before anybody imports them. A text that is no longer there, once and only
once, is a MutantError: the mutant must follow the code it breaks.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

import faults  # noqa: F401  the firmware's folders on the path


class MutantError(Exception):
    """The code is not as the mutant knows it. The text says which and where."""


FOLDER = Path(__file__).parent


def names() -> list[str]:
    """All mutants, sorted."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def edited(name: str) -> dict[str, str]:
    """The broken sources, by module. Raises MutantError."""
    edits = runpy.run_path(str(FOLDER / (name + ".py")))["EDITS"]
    sources: dict[str, str] = {}
    for module, old, new in edits:
        if module not in sources:
            sources[module] = _path(module).read_text(encoding="utf-8")
        if sources[module].count(old) != 1:
            raise MutantError(f"mutant {name}: {module} does not hold this once, adapt the mutant: {old}")
        sources[module] = sources[module].replace(old, new)
    return sources


def apply(name: str) -> None:
    """Break the modules of this process. They must not be imported yet. Raises MutantError."""
    for module, source in edited(name).items():
        if module in sys.modules:
            raise MutantError(f"mutant {name}: {module} is imported already")
        _load(module, source)


def _path(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MutantError(f"there is no module {module}")
    return Path(spec.origin)


def _load(name: str, source: str) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise MutantError(f"there is no module {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
