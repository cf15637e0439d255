"""
The panel: what a person and the world do to the tag, and what the tag lets a person feel.

A TCP server; the tag connects to it at every start. The protocol is lines of text, values are logical
(1 = pressed, on, plugged in, whatever the pin's level is):

    tag → panel     hello BOARD              first, at every start; all outputs are off then
                    out NAME 0|1             an output changed: vibration, light, gnss (its supply), ...
                    rail NAME 0|1            a rail of the board's power chip changed: modem (its supply), ...
    panel → tag     in button 0|1            in charger 0|1            in battery MILLIVOLTS
                    air off                  no network is in the air
                    air wifi SSID [KEY]      this network is in the air too; no KEY = open
                    ready                    ends the replay of the state that follows a hello
    other → panel   watch                    from then on, and for all that is on now: out NAME 0|1 (the modem asks so)

An output falls when the tag restarts or dies, a rail does not: the power chip holds it. The tag says its rails again at
every start, and its supervisor that they fell with the tag's power, on a connection of its own.

SSID and KEY hold no blanks.

    python -m sim panel --listen 127.0.0.1:7000
"""

import argparse
import asyncio
import time
from collections.abc import Callable

from sim.common import SimError, listen_problem, parse_address, stdin_lines

Output = Callable[[str, int, int], None]  # name, value, ms on the clock of time.monotonic

HELP = """\
press            press for 0.8 s             hold MS        press for MS milliseconds
tap N            N short presses             button on|off  press or release
battery MV       the battery's voltage       charger on|off
wifi on|off      the known network           wifi SSID KEY  another network, and on
help             this list                   quit"""
PRESS_MS = 800
_TAP_MS, _TAP_GAP_MS = 120, 250
_LIMITS = {"button": 1, "charger": 1, "battery": 6000}


class PanelError(SimError):
    """A value that the panel cannot pass on, or an address where it cannot listen."""


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Panel:
    """
    The server. State that is set before the tag connects, or while it restarts, is replayed to it.

    inputs: name to logical value. outputs: as the tag last said, the rails among them; while no tag is
    connected all but the rails are 0.
    """

    def __init__(self) -> None:
        self.inputs = {"button": 0, "charger": 0, "battery": 3900}
        self.outputs: dict[str, int] = {}
        self._rails: set[str] = set()
        self.networks: dict[str, str] = {}
        self.board = ""  # of the tag that said hello last
        self.hellos = 0
        self.malformed = 0  # lines of the tag that were dropped
        self.address = ("", 0)
        self._callbacks: list[Output] = []
        self._server: asyncio.Server | None = None
        self._tag: asyncio.StreamWriter | None = None
        self._watchers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. `address` says which. PanelError when it cannot."""
        try:
            self._server = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            raise PanelError(listen_problem(host, port, error))
        self.address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Stop listening and drop the tag's connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def connected(self, timeout_s: float = 10.0) -> None:
        """Wait until a tag has said hello. PanelError when none does within `timeout_s`."""
        try:
            await asyncio.wait_for(self._connected.wait(), timeout_s)
        except TimeoutError:
            raise PanelError(f"no tag said hello within {timeout_s:g} s")

    def on_output(self, callback: Output) -> None:
        """Call `callback(name, value, t_ms)` at each change of an output."""
        self._callbacks.append(callback)

    def set(self, name: str, value: int) -> None:
        """Set an input: button, charger (0 or 1), battery (mV). PanelError when there is no such thing."""
        if name not in _LIMITS:
            raise PanelError(f"no input {name!r}; there are: {', '.join(_LIMITS)}")
        if not 0 <= value <= _LIMITS[name]:
            raise PanelError(f"{name} goes from 0 to {_LIMITS[name]}, not {value}")
        self.inputs[name] = int(value)
        self._send(f"in {name} {int(value)}")

    def wifi(self, ssid: str, key: str = "") -> None:
        """Put a network into the air, beside those that are there."""
        if not ssid or " " in ssid + key:
            raise PanelError("the simulator's networks have a name, and no blanks in name or key")
        self.networks[ssid] = key
        self._send(f"air wifi {ssid} {key}".strip())

    def wifi_off(self) -> None:
        """Take every network out of the air."""
        self.networks.clear()
        self._send("air off")

    async def press(self, hold_ms: int = PRESS_MS) -> None:
        """Press the button, release it after `hold_ms`."""
        self.set("button", 1)
        await asyncio.sleep(hold_ms / 1000)
        self.set("button", 0)

    async def tap(self, times: int) -> None:
        """Press shortly, several times."""
        for left in range(times, 0, -1):
            await self.press(_TAP_MS)
            if left > 1:
                await asyncio.sleep(_TAP_GAP_MS / 1000)

    def _send(self, line: str) -> None:
        if self._tag is not None:
            self._tag.write(line.encode() + b"\n")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: one that asyncio.start_server made reports its cancellation as an error.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self._line(line.decode(errors="replace").split(), writer)
        except (OSError, ValueError):
            pass  # reset by the tag's death, or a line without an end: in both cases this connection is over
        finally:
            if self._tag is writer:
                self._tag = None
                self._connected.clear()
                self._all_off()
            self._watchers.discard(writer)
            writer.close()

    def _line(self, words: list[str], writer: asyncio.StreamWriter) -> None:
        if len(words) == 2 and words[0] == "hello":
            if self._tag is not None:
                self._tag.close()
            self._tag = writer
            self.board = words[1]
            self.hellos += 1
            self._all_off()
            self._replay()
            self._connected.set()
        elif words == ["watch"]:
            self._watchers.add(writer)
            for name, value in self.outputs.items():
                if value:
                    writer.write(f"out {name} 1\n".encode())
        elif len(words) == 3 and words[0] == "out" and words[2] in ("0", "1") and self._tag is writer:
            self._rails.discard(words[1])  # another board has it on a pin
            self._output(words[1], int(words[2]))
        elif len(words) == 3 and words[0] == "rail" and words[2] in ("0", "1"):
            self._rails.add(words[1])
            self._output(words[1], int(words[2]))
        else:
            self.malformed += 1

    def _replay(self) -> None:
        for name, value in self.inputs.items():
            self._send(f"in {name} {value}")
        self._send("air off")
        for ssid, key in self.networks.items():
            self._send(f"air wifi {ssid} {key}".strip())
        self._send("ready")

    def _all_off(self) -> None:
        # A chip that dies or restarts lets go of its pins; the rails are not its own.
        for name, value in list(self.outputs.items()):
            if value and name not in self._rails:
                self._output(name, 0)

    def _output(self, name: str, value: int) -> None:
        if self.outputs.get(name, 0) == value:
            return
        self.outputs[name] = value
        now_ms = _now_ms()
        for callback in self._callbacks:
            callback(name, value, now_ms)
        for watcher in self._watchers:
            watcher.write(f"out {name} {value}\n".encode())


class Printer:
    """Say outputs in words: a vibration as its length, and the pause before it within a pattern."""

    def __init__(self) -> None:
        self._on_ms = 0
        self._off_ms = -10_000

    def __call__(self, name: str, value: int, t_ms: int) -> None:
        if name != "vibration":
            print(f"{name} {'on' if value else 'off'}", flush=True)
        elif value:
            self._on_ms = t_ms
        else:
            pause_ms = self._on_ms - self._off_ms
            after = f" (after a pause of {pause_ms} ms)" if pause_ms < 1000 else ""
            print(f"vibration {t_ms - self._on_ms} ms{after}", flush=True)
            self._off_ms = t_ms


async def command(panel: Panel, words: list[str], known: tuple[str, str]) -> None:
    """Carry out one line of the command line (HELP lists them). PanelError when it is none of them."""
    verb, arguments = words[0], words[1:]
    switches = {"on": 1, "off": 0}
    number = int(arguments[0]) if len(arguments) == 1 and arguments[0].isdigit() else None
    switch = switches.get(arguments[0]) if len(arguments) == 1 else None
    if verb == "press" and not arguments:
        await panel.press()
    elif verb == "hold" and number is not None:
        await panel.press(number)
    elif verb == "tap" and number is not None:
        await panel.tap(number)
    elif verb == "battery" and number is not None:
        panel.set("battery", number)
    elif verb in ("charger", "button") and switch is not None:
        panel.set(verb, switch)
    elif verb == "wifi" and switch == 0:
        panel.wifi_off()
    elif verb == "wifi" and (switch == 1 or len(arguments) == 2):
        panel.wifi(*(known if switch else (arguments[0], arguments[1])))
    elif verb == "help":
        print(HELP, flush=True)
    else:
        raise PanelError(f"not understood: {' '.join(words)}. `help` lists the commands")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where tags connect")
    parser.add_argument(
        "--ssid", default="home", help="the known network of `wifi on` (default: %(default)s)"
    )
    parser.add_argument("--key", default="home-key", help="its key (default: %(default)s)")
    parser.epilog = "Commands on stdin:\n" + HELP


async def run(arguments: argparse.Namespace) -> None:
    panel = Panel()
    panel.on_output(Printer())
    await panel.start(*parse_address(arguments.listen))
    print(f"panel at {panel.address[0]}:{panel.address[1]}; `help` lists the commands", flush=True)
    try:
        async for line in stdin_lines():
            if line == "quit":
                return
            try:
                if line:
                    await command(panel, line.split(), (arguments.ssid, arguments.key))
            except PanelError as error:
                print(error, flush=True)
        await asyncio.Event().wait()  # stdin ended: go on serving
    finally:
        await panel.stop()
