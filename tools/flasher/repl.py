"""
The tag's prompt: scripts of tools/flasher/tag/ sent over MicroPython's raw REPL, by mpremote's transport.

    with Repl(port) as tag:
        tag.call("state")                        # runs tag/state.py, returns what its main() returned
        tag.call("write", "/stage/app.mpy", ...)

Every wait has a deadline. `sent` and `trips` count bytes to the tag and executions.
"""

import ast
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import serial
from mpremote import transport_serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from tools.flasher import ports
from tools.flasher.errors import FlashError
from tools.mpy import PARSING

_SCRIPTS = pathlib.Path(__file__).parent / "tag"
_MARK = "\x1e"  # begins the line that holds a script's result; logs may come between
_PROMPT_S = 8.0  # a chip boots in one; a computer has other things to do, too
_BLANK = b"invalid header: 0xffffffff"  # says the ROM of a chip without an interpreter, for ever
_KNOCK_S = 0.25
_RAW_S = 10.0
_LEAVE_S = 1.0
# It shows what it did not understand on standard output, which is ours: lines of JSON, perhaps.
vars(transport_serial)["print"] = lambda *_: None
_CALL_S = 20.0
_READ_S = 5.0  # for the two bytes that say whether raw paste is there: mpremote gives up behind it

Lines = Callable[[str], None]


def script(name: str) -> str:
    """Return a script's source without its comments and docstrings: they cost time on the cable."""
    with PARSING:
        tree = ast.parse((_SCRIPTS / f"{name}.py").read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    return ast.unparse(tree)


class Repl:
    """
    The prompt of the tag at `port`. Entering resets it softly: memory is clean, its application does not run.

    Leaving it, the tag starts again. FlashError: port-*, no-answer (it has no prompt, or its window is closed).
    """

    def __init__(self, port: str) -> None:
        self.port = port
        self.sent = self.trips = 0
        self._loaded: set[str] = set()
        self._transport: SerialTransport | None = None

    def __enter__(self) -> "Repl":
        entered = False
        try:
            self._transport = self._open()
            self._knock()
            self._soft_reset()
            entered = True
        except (TransportError, OSError, serial.SerialException) as error:
            raise ports.explain(self.port, error) from None
        finally:
            if not entered:
                self._close()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._transport is not None:
                self.serial.write(b"import machine\nmachine.reset()\x04")
                # It says so when it has it: a port that is closed at once may lose what it still holds.
                self._transport.read_until(1, b"OK", timeout_overall=_LEAVE_S)
        except OSError:
            pass
        finally:
            self._close()

    @property
    def serial(self) -> Any:
        """The open port. FlashError when it is not open."""
        if self._transport is None:
            raise FlashError("port-gone", port=self.port)
        return self._transport.serial

    def run(self, code: str, deadline_s: float = _CALL_S, on_line: Lines | None = None) -> str:
        """Execute `code`, return what it printed; `on_line` gets each line. FlashError: port-gone, tag-failed."""
        transport = self._transport
        if transport is None:
            raise FlashError("port-gone", port=self.port)
        out, rest = bytearray(), bytearray()
        end_s = time.monotonic() + deadline_s

        def consume(data: bytes) -> None:
            out.extend(data)
            rest.extend(data)
            while on_line and b"\n" in rest:
                line, _, tail = bytes(rest).partition(b"\n")
                rest[:] = tail
                on_line(line.decode(errors="replace").rstrip("\r\x04"))
            if time.monotonic() > end_s:
                raise FlashError("tag-failed", text=f"no end after {deadline_s:g} s")

        self.trips += 1
        self.sent += len(code.encode())
        try:
            transport.exec_raw_no_follow(code)
            _, error = transport.follow(deadline_s, consume)
        except (TransportError, OSError, serial.SerialException, IndexError) as problem:
            if isinstance(problem, TransportError) and self._alive():
                raise FlashError("tag-failed", text=f"no answer within {deadline_s:g} s") from None
            raise FlashError("port-gone", port=self.port) from None
        if error:
            lines = error.decode(errors="replace").strip().splitlines()
            raise FlashError("tag-failed", text=lines[-1] if lines else "no reason given")
        return out.decode(errors="replace").replace("\x04", "").replace("\r\n", "\n")

    def call(
        self, name: str, *arguments: object, deadline_s: float = _CALL_S, on_line: Lines | None = None
    ) -> Any:
        """Run main(*arguments) of tag/NAME.py on the tag; return its result. FlashError as run()."""
        code = ""
        if name not in self._loaded:
            # One name per script, so that several can stay loaded.
            code = script(name).replace("def main(", f"def {name}_main(") + "\nimport json\n"
            self._loaded.add(name)
        code += f"print({_MARK!r} + json.dumps({name}_main({', '.join(map(repr, arguments))})))"
        hear = on_line and (lambda line: None if line.startswith(_MARK) else on_line(line))
        for line in reversed(self.run(code, deadline_s, hear).split("\n")):
            if line.startswith(_MARK):
                return json.loads(line[1:])
        raise FlashError("tag-failed", text=f"{name} gave no result")

    def soft_reset(self) -> None:
        """Start the interpreter again: boot.py runs, the application does not. FlashError."""
        try:
            self.serial.write(b"\r\x01")
            self._soft_reset()
        except (TransportError, OSError, serial.SerialException) as error:
            raise ports.explain(self.port, error) from None

    def _open(self) -> SerialTransport:
        end_s = time.monotonic() + ports.BUSY_S
        while True:
            ports.probe(self.port)
            try:
                return SerialTransport(self.port, baudrate=115200, timeout=_READ_S)
            except TransportError:
                # It does not say why; the probe will.
                if time.monotonic() > end_s:
                    raise FlashError("port-busy", port=self.port) from None

    def _knock(self) -> None:
        """Ctrl-C until a prompt shows. FlashError: no-answer."""
        seen = b""
        end_s = time.monotonic() + _PROMPT_S
        while time.monotonic() < end_s:
            # Ctrl-C ends what runs, Ctrl-B a raw prompt, which would stay silent.
            self.serial.write(b"\r\x03\x02")
            knock_s = time.monotonic() + _KNOCK_S
            while time.monotonic() < knock_s:
                seen += self.serial.read(self.serial.in_waiting or 0)
                if seen.endswith((b">>> ", b"\r\n>", b"exit\r\n>")):
                    self.serial.write(b"\r\x01")
                    return
                time.sleep(0.01)
            if _BLANK in seen:
                break
        raise FlashError("no-answer", port=self.port)

    def _soft_reset(self) -> None:
        transport = self._transport
        if transport is None:
            raise FlashError("port-gone", port=self.port)
        self._loaded.clear()
        for said, then in ((b"raw REPL; CTRL-B to exit\r\n>", b"\x04"), (b"soft reboot\r\n", b"")):
            if not transport.read_until(1, said, timeout_overall=_RAW_S).endswith(said):
                raise FlashError("no-answer", port=self.port)
            self.serial.write(then)
        said = b"raw REPL; CTRL-B to exit\r\n"
        if not transport.read_until(1, said, timeout_overall=_RAW_S).endswith(said):
            raise FlashError("no-answer", port=self.port)
        transport.in_raw_repl = True

    def _alive(self) -> bool:
        try:
            _ = self.serial.in_waiting
        except OSError:
            return False
        return True

    def _close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            try:
                transport.close()
            except OSError:
                pass
