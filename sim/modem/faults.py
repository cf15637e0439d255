"""
What goes wrong on purpose, by a file or at run time.

A file has one fault a line, as JSON; empty lines and lines beginning with # are remarks:

    {"fault": "late", "on": "+CSQ", "ms": 3000}
    {"fault": "no_coverage", "at_ms": 60000}

On answers (`on`: a command's name or *; `count`: how often, 1 unless told, 0 = always; `skip`: not the first n):
  no_answer           executed, but nothing is said
  late                ms: the answer comes so much later
  cut                 keep: bytes of the answer that arrive
  garbled             index: which byte of the answer is another
  doubled             the answer comes twice
  out_of_order        the answer comes after that of the next command
  error               ERROR instead, nothing is executed; code: of +CME ERROR
  urc                 text inserted; where: before, middle or after
  reset               the modem restarts by itself in the place of the answer
  no_prompt           CASEND, CFSWFILE: no prompt and no answer; the payload is taken for commands
  prompt_cut          CASEND: ERROR after `keep` bytes of payload; the rest is taken for commands
  caopen_mute         ms (75000): CAOPEN says nothing, then result 2
  close_while_sending the peer is gone when the payload is there
On the data: cadataind_lost (count).
On the context: pdp_refused (count).
States, until cleared: no_coverage, denied, sim_absent and sim_pin (seen at the next start, removal at once), dead
  (until the supply is cut), gnss_run_zero.
Events: pdp_drop, sim_restart, and reset or urc without `on`.
`at_ms`: modem time since start at which the line takes effect; at once without it.
"""

import json
import math
import pathlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from sim.common import SimError

ANSWERS = {
    "no_answer": (),
    "late": ("ms",),
    "cut": ("keep",),
    "garbled": ("index",),
    "doubled": (),
    "out_of_order": (),
    "error": ("code",),
    "urc": ("text", "where"),
    "reset": (),
    "no_prompt": (),
    "prompt_cut": ("keep",),
    "caopen_mute": ("ms",),
    "close_while_sending": (),
}
COUNTED = {"cadataind_lost": (), "pdp_refused": ()}
STATES = {"no_coverage": (), "denied": (), "sim_absent": (), "sim_pin": (), "dead": (), "gnss_run_zero": ()}
EVENTS = {"pdp_drop": (), "sim_restart": (), "reset": (), "urc": ("text",)}
_COMMON = ("fault", "at_ms", "on", "count", "skip")
_ON = {
    "no_prompt": "*",
    "prompt_cut": "+CASEND",
    "caopen_mute": "+CAOPEN",
    "close_while_sending": "+CASEND",
}
VOLTAGE = "OVER-VOLTAGE WARNNING"  # the double N is real, sheet 2.5
_PLACES = ("before", "middle", "after")


class FaultError(SimError):
    """A fault that does not exist or a file that cannot be read."""


def bare(command: str) -> str:
    """Return a command's name without what comes before it: CSQ for AT+CSQ, +CSQ and csq."""
    return command.upper().removeprefix("AT").lstrip("+*")


class Fault:
    """One fault. left: how often it will still act, None = always."""

    def __init__(self, fault: str, **options: Any) -> None:
        known = {**EVENTS, **STATES, **COUNTED, **ANSWERS}
        if fault not in known:
            raise FaultError(f"no fault {fault!r}. There are: {', '.join(sorted(known))}")
        for key in options:
            if key not in known[fault] and key not in _COMMON:
                raise FaultError(
                    f"{fault} takes no {key!r}. It takes: {', '.join((*known[fault], *_COMMON))}"
                )
        for key in ("at_ms", "count", "skip", "ms", "keep", "index", "code"):
            if type(options.get(key, 0)) not in (int, float) or not 0 <= options.get(key, 0) < math.inf:
                raise FaultError(f"{fault}: {key} is a number, not {options[key]!r}")
        if options.get("where", "middle") not in _PLACES:
            raise FaultError(f"{fault}: where is one of {', '.join(_PLACES)}")
        self.kind = fault
        on = options.get("on", _ON.get(fault))
        if not isinstance(on, str | None):
            raise FaultError(f"{fault}: on is a command or *, not {on!r}")
        # A name is given as in the line (AT+CSQ) or as in the sheet (CSQ, +CSQ).
        self.on = on if on in (None, "*") else bare(on)
        self.event = fault in EVENTS and self.on is None
        if fault in ANSWERS and self.on is None and not self.event:
            raise FaultError(f'{fault} needs "on": a command or *')
        count = options.get("count", 1)
        self.left: int | None = None if count == 0 or fault in STATES else int(count)
        self.skip = int(options.get("skip", 0))
        self.at_ms: float | None = options.get("at_ms")
        self.options = options

    def number(self, key: str, default: int) -> int:
        return int(self.options.get(key, default))


class Faults:
    """Those in force. acted: how often each kind did something. changed: called when states come or go."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.acted: Counter[str] = Counter()
        self.changed: Callable[[], None] = lambda: None

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)
        self.changed()

    def clear(self, kind: str | None = None) -> None:
        """Take away all of a kind, or all."""
        self._faults = [fault for fault in self._faults if kind not in (None, fault.kind)]
        self.changed()

    def has(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self._faults)

    def take(self, kinds: Iterable[str], command: str | None = None) -> Fault | None:
        """Return the first fault of these kinds that applies to a command (None: to no command) and count it."""
        for fault in self._faults:
            if fault.kind not in kinds or fault.on not in (None, "*", command and bare(command)):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.left is not None:
                fault.left -= 1
                if not fault.left:
                    self._faults.remove(fault)
            self.acted[fault.kind] += 1
            return fault
        return None


def parse(line: str) -> Fault:
    """Return the fault of a line of JSON. FaultError says what is wrong with it."""
    try:
        options = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FaultError(f"not JSON: {line!r} ({error})")
    if not isinstance(options, dict) or not isinstance(options.get("fault"), str):
        raise FaultError(f'a fault is an object with a "fault": {line!r}')
    return Fault(**options)


def load(path: str | pathlib.Path) -> list[Fault]:
    """Read a file of faults. FaultError names the line."""
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except (OSError, ValueError) as error:
        raise FaultError(f"cannot read the faults {path}: {error}")
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            found.append(parse(line))
        except FaultError as error:
            raise FaultError(f"{path}, line {number}: {error}")
    return found


def spoil(fault: Fault | None, info: bytes, final: bytes) -> bytes:
    """Return an answer as it arrives: cut, garbled, doubled, with a URC in it, or as it is."""
    whole = info + final
    if fault is None or not whole:
        return whole
    if fault.kind == "cut":
        return whole[: fault.number("keep", len(whole) // 2)]
    if fault.kind == "garbled":
        index = fault.number("index", len(whole) // 2) % len(whole)
        return whole[:index] + bytes([whole[index] ^ 0xA5]) + whole[index + 1 :]
    if fault.kind == "doubled":
        return whole + whole
    if fault.kind == "urc":
        text = b"\r\n" + str(fault.options.get("text", VOLTAGE)).encode("latin-1") + b"\r\n"
        at = {"before": 0, "middle": len(info), "after": len(whole)}[fault.options.get("where", "middle")]
        return whole[:at] + text + whole[at:]
    return whole
