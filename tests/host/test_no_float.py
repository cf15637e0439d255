"""
No float stands between a receiver's sentence and the signed bytes of an alert.

On the ESP32 a float has 24 bits and a longitude in one is off by up to 1.7 m; on this computer it has 53 and
every result would look right. So the whole path is traced for float values, and read for what makes them.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import alert
import cbor
import cbor2
import envelope
import gnss
import nmea
import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
LINES = (
    b"$GNRMC,171926.00,A,4404.14063,N,12118.85478,W,0.117,,180315,,,A*76\r\n"
    b"$GPGGA,161224.89,4629.8922698,N,00734.0836864,E,1,06,1.49,1330.28,M,45.589,M,,*53\r\n"
    b"$GNGSA,A,3,67,83,76,82,68,,,,,,,,1.56,0.91,1.27*1D\r\n"
    b"$GNZDA,000941.00,10,01,2017,00,00*70\r\n"
    b"$GNGLL,4404.14066,N,12118.85481,W,171926.00,A,A*65\r\n"
    b"$GNGNS,053232.438,3114.8789,N,12135.2442,E,ANNA,07,1.2,153.8,8.3,,0000*5F\r\n"
)


class Trace:
    """What the firmware did: the functions that ran, and every float in a local or a returned value."""

    def __init__(self) -> None:
        self.floats: list[str] = []
        self.ran: set[str] = set()

    def on_call(self, frame: FrameType, event: str, value: Any) -> Callable[..., Any] | None:
        if not self.is_firmware(frame.f_code):
            return None
        self.ran.add(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        return self.on_line

    def on_line(self, frame: FrameType, event: str, value: Any) -> Callable[..., Any]:
        where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
        for name, local in frame.f_locals.items():
            if name != "self" and holds_float(local):
                self.floats.append(f"{where}: {name} = {local!r}")
            elif name == "self" and holds_float(list(getattr(local, "__dict__", {}).values())):
                self.floats.append(f"{where}: in {vars(local)!r}")
        if event == "return" and holds_float(value):
            self.floats.append(f"{where}: returns {value!r}")
        return self.on_line

    @staticmethod
    def is_firmware(code: CodeType) -> bool:
        return Path(code.co_filename).is_relative_to(FIRMWARE)


def holds_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(holds_float(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple, set)):
        return any(holds_float(item) for item in value)
    return isinstance(value, (float, complex))


@contextmanager
def traced() -> Iterator[Trace]:
    trace = Trace()
    before = sys.gettrace()
    sys.settrace(trace.on_call)
    try:
        yield trace
    finally:
        sys.settrace(before)


def test_no_float_from_the_sentence_to_the_signed_bytes() -> None:
    kid, key, cti = bytes(range(9)), bytes(32), bytes(8)
    tokens = []
    with traced() as trace:
        receiver = gnss.Receiver()
        for now_ms, line in enumerate(LINES.splitlines(keepends=True)):
            receiver.feed(line, now_ms)
            fix = receiver.fix()
            place = alert.Location(fix.lat_e7, fix.lon_e7, fix.accuracy_m, 7)
            claims = alert.up_claims(1, cti, receiver.utc(), place, battery_mv=3900)
            tokens.append(envelope.seal(claims, key, kid))
    assert trace.floats == []
    assert trace.ran >= {
        "nmea.feed", "nmea.parse", "nmea.checksum_right", "nmea._parse_position", "nmea.degrees_e7",
        "nmea._fixed", "nmea._day", "gnss.feed", "gnss._take_position", "gnss._take_gsa",
        "gnss._take_hdop", "gnss._nearest", "gnss.fix", "gnss.utc", "alert.up_claims", "cbor.float64",
        "cbor.encode", "envelope.seal",
    }  # fmt: skip
    # The path ended where it should: in the place of the last sentence.
    location = cbor2.loads(cbor2.loads(tokens[-1]).value.value[2])[264]
    assert (location[1], location[2]) == (31.2479817, 121.5874033)


CONTROLS = {
    "a float in a local": "def f(e7):\n    degrees = e7 / 10000000\n    return int(degrees)",
    "a float that is returned": "def f(e7):\n    return e7 / 10000000",
    "a float in a tuple in a list": "def f(e7):\n    parts = [(1, e7 * 1e-7)]\n    return len(parts)",
    "a float in a dict": "def f(e7):\n    return {1: {2: float(e7)}}",
    "a float in an object": "class C:\n    def g(self, e7):\n        self.lat = e7 / 2\nf = C().g",
}


@pytest.mark.parametrize("code", CONTROLS.values(), ids=CONTROLS.keys())
def test_the_tracer_sees(code: str) -> None:
    space: dict[str, Any] = {}
    exec(compile(code, str(FIRMWARE / "lib" / "control.py"), "exec"), space)
    with traced() as trace:
        space["f"](1511234567)
    assert trace.floats


def float_makers(code: str) -> list[str]:
    """Return what in `code` can make a float that is never in a local: `/`, `float`, a literal, a module."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            found.append(f"line {node.lineno}: /")
        elif isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)):
            found.append(f"line {node.lineno}: {node.value}")
        elif isinstance(node, ast.Name) and node.id in ("float", "round", "complex", "eval", "exec"):
            found.append(f"line {node.lineno}: {node.id}")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            )
            found += [f"line {node.lineno}: {name}" for name in names if name in ("math", "cmath", "struct")]
    return found


@pytest.mark.parametrize("module", [nmea, gnss, alert, cbor, envelope], ids=lambda module: module.__name__)
def test_nothing_on_the_path_can_make_a_float(module: Any) -> None:
    assert float_makers(Path(module.__file__).read_text()) == []


@pytest.mark.parametrize(
    "code",
    [
        "int(a / 2)",
        "a /= 2",
        "int(a * 0.5)",
        "int(float(a))",
        "round(a)",
        "import math",
        "from math import pi",
    ],
)
def test_what_makes_a_float_is_found(code: str) -> None:
    assert float_makers(code)
