"""The tag of a dialogue: the firmware's own app, tag, link and modem driver on flash in memory, and who wears it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import app
import clock
import journal
from at_socket import AtSocket
from link import Dial, Link
from log import Log
from sim7080 import SIM7080

from faults.dialogue.authority import CA_DER, HOST
from faults.dialogue.far import PORT
from faults.world.body import HOLD_MS
from faults.world.flash import NVS, Disk, Power, RTCMemory
from tests.host.fakes import RTC, ButtonPin
from tests.host.joined import Stores, join_app

_KEEP_ALIVE_S = 18000
_HEARTBEAT_S = 600
# Coarser than the tag's own (200 and 10 ms), so that a run costs less.
_TICK_MS = 1000
_BUTTON_MS = 100


class Worn:
    """
    `task` is the running app; `strange`: why sessions have ended that should not; `told`: that the app has ended.

    `powered`: the modem's supply is on already.
    """

    def __init__(self, world: Any, powered: bool) -> None:
        self.world = world
        self.strange: list[str] = []
        self.told = False
        self.task: asyncio.Task[Any]
        self._key = False
        self.power = Power(lambda: None)
        self.power.restore()
        disk = Disk(self.power, lambda path, content: None)
        rtc = RTC(world.now)
        clock.ticks_ms = world.now.ticks_ms
        clock.time = rtc
        journal.os = disk  # type: ignore[attr-defined]
        journal.open = disk.open  # type: ignore[attr-defined]
        app.gc = SimpleNamespace(collect=lambda: None)  # type: ignore[assignment]  # CPython's takes 20 ms
        app._TICK_MS, app._BUTTON_MS = _TICK_MS, _BUTTON_MS
        self.pin = ButtonPin(world.now)
        self._build(disk, rtc, powered)

    def _build(self, disk: Disk, rtc: RTC, powered: bool) -> None:
        """As build.py does."""
        world = self.world
        records, messages = journal.Journal("/data"), journal.Journal("/data/outbox")
        stores = Stores(NVS(self.power), records, messages, RTCMemory(self.power))
        stores.provision(0)
        ca = world.folder / "ca.der"
        ca.write_bytes(CA_DER)
        self.log = log = Log(world.now.ticks_ms, lambda line: world.log("tag", "%s", line.split(" ", 1)[1]))
        self.app = firmware = app.App(log)
        firmware.hold_ms, firmware.heartbeat_s = HOLD_MS, _HEARTBEAT_S
        firmware.board = SimpleNamespace(
            button=self.pin, charging=lambda: False, start_reason=lambda: "power on"
        )
        firmware.haptics = SimpleNamespace(feel=lambda signal: None, run=_for_ever)
        firmware.sky = SimpleNamespace(power=lambda on: None, fix=lambda: None, run=lambda tag: _for_ever())
        self.tag = tag = join_app(firmware, stores, rtc, world.dice.getrandbits, log)
        wire = world.wire
        self.modem = firmware.modem = SIM7080(
            wire,
            wire.write,
            self._supply,
            powered,
            self._pwrkey,
            "obereg",
            None,
            tag.utc.fields,
            firmware.on_utc,
            log,
        )
        bearer = AtSocket(self.modem, str(ca), HOST, log)
        dial = Dial(HOST, PORT, tag.me.tag, tag.me.password, _KEEP_ALIVE_S)
        self.link = firmware.link = tag.link = Link(
            [bearer], dial, tag.outbox, tag.will, tag.on_down, tag.on_trouble, log, world.dice.getrandbits
        )
        end = self.link._end
        self.link._end = lambda session, why: (self._ended(why), end(session, why))[1]

    def start(self) -> None:
        self.task = asyncio.create_task(self.app.run())

    def _ended(self, why: Any) -> None:
        if not self.world.expected(why):
            self.strange.append(f"{type(why).__name__}: {why}")

    def _supply(self, on: bool) -> None:
        self.world.log("tag", "supply %s", "on" if on else "off")
        self.world.modem.supply(on)
        if not on:
            self.world.tap.supply_cut()

    def _pwrkey(self, on: bool) -> None:
        self._key = on
        self.world.modem.pwrkey_level(on)

    # -------------------------------------------------------------------------------------------------- what happens

    def press(self) -> float:
        """Touch, hold, let go; return when."""
        loop = asyncio.get_running_loop()
        self.world.log("child", "presses")
        self.pin.move(True)
        loop.call_later((HOLD_MS + 100) / 1000, self.pin.move, False)
        return loop.time()

    def open(self) -> bool:
        """Whether a session lives."""
        return any(session.ready and not session.over for session in self.link._sessions)

    def undelivered(self) -> bool:
        """Whether a press waits for its ack."""
        return any(entry.pressed for entry in self.tag.outbox.pending())

    def busy(self) -> str:
        """What is held or left although nothing goes on; "" is nothing."""
        sessions = [session for session in self.link._sessions if not session.over]
        held = [
            (self.task.done(), "the app has ended"),
            (self.modem.line.lock.locked(), "the line is held"),
            (self.modem.radio.locked(), "the radio is held"),
            (self._key, "PWRKEY is held"),
            (self.tag.outbox.pending(), "the outbox is not empty"),
            (any(session.task.done() for session in sessions), "a session's task has ended"),
            (len(self.modem.sockets) != len(sessions), "a socket has no session"),
        ]
        return ", ".join(why for is_so, why in held if is_so)


async def _for_ever() -> None:
    await asyncio.Event().wait()
