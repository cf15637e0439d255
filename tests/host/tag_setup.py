"""A tag of real parts on fake hardware: all but the link, the receiver and the motor is the firmware's own."""

from typing import Any

import clock
from gnss import Fix
from log import Log
from outbox import Entry

from desk.claims import Claims
from tests.host.fakes import RTC, FakeDesk, FakeNVS, FakeRTCMemory, Flash, Now
from tests.host.joined import ROOT, TAG_ID, Stores, join_tag

KYIV = (504501000, 305234000)


class FakeLink:
    """Stands where the link does and only remembers. At each kick it looks at what is on flash."""

    def __init__(self, calls: list[Any]) -> None:
        self._calls = calls
        self.state: bytes | None = None

    def kick(self) -> None:
        self._calls.append(("kick",))

    def urgent(self, on: bool) -> None:
        self._calls.append(("urgent", on))


class Worn:
    """
    A tag and the child that wears it.

    `calls` is what happened to its surroundings, in order: ("feel", signal), ("flash", name), ("kick",),
    ("urgent", on), ("gnss", on). `fix` is what the receiver says, `sky` a receiver instead of that (fix(), power(on)).
    `restart()` is a reset; `cut()` takes the power with it.
    """

    def __init__(self, monkeypatch: Any, folder: Any) -> None:
        self.now = Now()
        self.rtc = RTC(self.now)
        monkeypatch.setattr(clock, "ticks_ms", self.now.ticks_ms)
        monkeypatch.setattr(clock, "time", self.rtc)
        self.calls: list[Any] = []
        self.nvs = FakeNVS()
        self.rtc_memory = FakeRTCMemory()
        self.journal = Flash(folder / "data", self.calls)
        self.messages = Flash(folder / "data" / "outbox", self.calls)
        self.stores = Stores(self.nvs, self.journal, self.messages, self.rtc_memory)
        self.stores.provision(40)
        self.desk = FakeDesk(TAG_ID, ROOT, 1)
        self.fix: Fix | None = None
        self.sky: Any = None
        self.cell: list[int] | None = None
        self.flags = 0
        self.restart()

    def restart(self) -> None:
        """A reset: RAM is gone, RTC memory and flash stay."""
        self.log = Log(self.now.ticks_ms, lambda line: None)
        self.tag = join_tag(
            self.stores,
            self.rtc,
            lambda bits: 7,
            self.log,
            fix=lambda: self.sky.fix() if self.sky else self.fix,
            feel=lambda signal: self.calls.append(("feel", signal)),
            hurry=self._gnss_power,
            cell=lambda: self.cell,
            flags=self.flags,
        )
        self.tag.link = FakeLink(self.calls)
        self.calls.clear()

    def _gnss_power(self, on: bool) -> None:
        self.calls.append(("gnss", on))
        if self.sky:
            self.sky.power(on)

    def cut(self) -> None:
        """The power goes: RTC memory and the clock's time are lost as well."""
        self.rtc_memory.data = b""
        self.rtc.__init__(self.now)  # type: ignore[misc]
        self.restart()

    # ---------------------------------------------------------------------------------------------- what a child does

    def touch(self) -> None:
        self.tag.on_button("touch", self.now.ticks_ms())

    def press(self) -> None:
        """Touch, hold for 600 ms, let go."""
        self.touch()
        self.now.s += 0.6
        self.tag.on_button("pressed", self.now.ticks_ms())
        self.tag.on_button("released", self.now.ticks_ms())

    def hold(self) -> None:
        """Touch and hold for 5 s."""
        self.touch()
        self.now.s += 0.6
        self.tag.on_button("pressed", self.now.ticks_ms())
        self.now.s += 4.4
        self.tag.on_button("long", self.now.ticks_ms())
        self.tag.on_button("released", self.now.ticks_ms())

    def wait(self, seconds: float, live: bool = False, step_s: float = 0.2) -> None:
        """Let time pass with the app's tick; `live`: the receiver makes a new fix at each."""
        for _ in range(round(seconds / step_s)):
            self.now.s += step_s
            if live:
                self.see()
            self.tag.tick(self.now.ticks_ms())

    def see(self, accuracy_m: int | None = None, age_s: float = 0) -> None:
        """The receiver has a fix, `age_s` old."""
        if accuracy_m is None:
            accuracy_m = self.fix.accuracy_m if self.fix else 12
        self.fix = Fix(*KYIV, accuracy_m, None, clock.later(self.now.ticks_ms(), int(-1000 * age_s)))

    # ------------------------------------------------------------------------------------------------ what came of it

    def felt(self) -> list[str]:
        """Signals since the last look, without the touches."""
        signals = [call[1] for call in self.calls if call[0] == "feel" and call[1] != "touch"]
        self.calls.clear()
        return signals

    def pending(self) -> list[Entry]:
        return self.tag.outbox.pending()

    def said(self) -> list[Claims]:
        """What waits to be sent, oldest first, as the desk reads it."""
        return sorted(
            (self.desk.hear(entry.token) for entry in self.pending()), key=lambda claims: claims.cti
        )

    def state(self) -> Claims:
        """The state message that waits to be sent."""
        return self.desk.hear(self.tag.link.state)

    def hear(self, token: bytes, level: int, rev: int) -> None:
        """A right ack of that message arrives."""
        self.tag.on_down(self.desk.ack(token, level, rev))

    def settle(self, level: int = 1, rev: int = 1) -> None:
        """Right acks of everything that waits arrive."""
        for entry in self.pending():
            self.hear(entry.token, level, rev)
