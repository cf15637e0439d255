"""What a command takes: types of parameters that check themselves, as rows of the command table."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sim.modem.line import COUNT, RANGE, TYPE, AtError, split

_NUMBER = re.compile(r"-?[0-9]{1,10}")


class Arg(NamedTuple):
    """A parameter as it stood in the line, without its quotes."""

    text: str
    quoted: bool


class Int:
    """A whole number in one of the ranges low, high[, low, high ...]."""

    def __init__(self, *bounds: int) -> None:
        self._ranges = list(zip(bounds[::2], bounds[1::2], strict=True))

    def value(self, arg: Arg) -> int:
        if arg.quoted or not _NUMBER.fullmatch(arg.text):
            raise AtError(TYPE)
        number = int(arg.text)
        if not any(low <= number <= high for low, high in self._ranges):
            raise AtError(RANGE)
        return number


class Str:
    """A quoted string of so many characters. Unquoted it is refused: `CNCFG=0,1,` is an ERROR (sheet 3.3)."""

    def __init__(self, low: int = 0, high: int = 255) -> None:
        self._low, self._high = low, high

    def value(self, arg: Arg) -> str:
        if not arg.quoted:
            raise AtError(TYPE)
        if not self._low <= len(arg.text) <= self._high:
            raise AtError(RANGE)
        return arg.text


class Name(Str):
    """A file's name: quotes may be missing, as real logs show (sheet 4)."""

    def value(self, arg: Arg) -> str:
        return super().value(Arg(arg.text, True))


class Word:
    """One of some key words, with or without quotes, in either case (sheet 1 trap 5)."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def value(self, arg: Arg) -> str:
        if arg.text.upper() not in self._words:
            raise AtError(RANGE)
        return arg.text.upper()


class Rest:
    """All that is left, as it stands: the handler checks it, since it depends on a key word."""


class Opt:
    """A parameter that may be left out, and so may all behind it. Left out it is None; empty it is refused."""

    def __init__(self, inner: "Int | Str | Word") -> None:
        self._inner = inner

    def value(self, arg: Arg) -> Any:
        return self._inner.value(arg)


class Gap(Opt):
    """A parameter that may be left out and may be empty: None then."""

    def value(self, arg: Arg) -> Any:
        return None if arg == Arg("", False) else super().value(arg)


Param = Int | Str | Word | Opt | Rest


def args(text: str) -> list[Arg]:
    """Split the text behind the =. AtError when a quote is not closed."""
    found = []
    for part in split(text, ","):
        part = part.strip()
        quoted = part[:1] == '"'
        if quoted and (len(part) < 2 or part[-1] != '"'):
            raise AtError(TYPE)
        found.append(Arg(part[1:-1] if quoted else part, quoted))
    return found


def values(params: Sequence[Param], given: Sequence[Arg]) -> list[Any]:
    """Return one value per parameter (Rest: the list of what is left). AtError: too many, too few or wrong."""
    found: list[Any] = []
    for at, param in enumerate(params):
        if isinstance(param, Rest):
            return [*found, list(given[at:])]
        if at < len(given):
            found.append(param.value(given[at]))
        elif isinstance(param, Opt):
            found.append(None)
        else:
            raise AtError(COUNT)
    if len(given) > len(params):
        raise AtError(COUNT)
    return found
