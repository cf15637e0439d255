"""A link with its outbox on real files, its bearers and a broker in memory, all in virtual time."""

import pathlib
import random
from collections.abc import Callable, Iterable
from typing import Any

from journal import Journal
from link import Dial, Link
from log import Log
from outbox import Entry, Outbox

from tests.host.fakes import Now, beside, digest, run
from tests.host.loop_broker import FakeBearer, FakeStream, LoopBroker

TAG = "0123456789abcdef"
DIAL = Dial("broker.example", 8883, TAG, "ab" * 32, 18000)


class Setup:
    """
    `bearers`, of these names, the preferred one first; `bearer` is that one. `troubles` is what the link told of
    sessions that could not be opened. Times are in seconds from the moment the link began to run.
    """

    def __init__(self, now: Now, folder: pathlib.Path, *names: str) -> None:
        self.now = now
        self.began_s = now.s
        self.log = Log(now.ticks_ms, lambda line: None)
        self.outbox = Outbox(Journal(str(folder)), digest, self.log)
        self.broker = LoopBroker(now)
        self.bearers = [FakeBearer(self.broker, name) for name in names or ("fake",)]
        self.bearer = self.bearers[0]
        self.downs: list[bytes] = []
        self.troubles: list[str] = []
        self.wills = 0
        self.open_streams: list[FakeStream] = []  # at the end of run()
        self.link = Link(
            self.bearers,
            DIAL,
            self.outbox,
            self.will,
            self.downs.append,
            self.troubles.append,
            self.log,
            random.Random(1).getrandbits,
        )

    def will(self) -> bytes:
        self.wills += 1
        return b"will %d" % self.wills

    def add(self, token: bytes = b"alert", kind: int = 1, pressed: bool = True) -> Entry:
        cti = len(self.outbox.pending()).to_bytes(8, "big")
        entry = Entry(cti, kind, cti, pressed, token, digest(token))
        self.outbox.add(entry)
        self.link.kick()
        return entry

    def at_s(self, times: Iterable[float]) -> list[float]:
        """Times of the fakes as seconds since the beginning, to tenths."""
        return [round(at_s - self.began_s, 1) for at_s in times]

    def attached_s(self) -> list[tuple[float, str]]:
        """When which bearer was asked to attach, in order."""
        return sorted(
            (at_s, bearer.name) for bearer in self.bearers for at_s in self.at_s(bearer.times("attach"))
        )

    def said_s(self, token: bytes = b"alert") -> list[float]:
        """When the broker heard that payload."""
        return self.at_s(published.at_s for published in self.broker.published if published.payload == token)

    def said_over(self, token: bytes = b"alert") -> list[str]:
        """Over which bearers the broker heard that payload, in order."""
        return [
            published.connection.bearer.name
            for published in self.broker.published
            if published.payload == token
        ]

    def run(self, *steps: float | Callable[[], Any], urgent: bool = True) -> None:
        """Run the link; `steps` are seconds to let pass and functions to call in between."""

        async def main() -> None:
            self.link.urgent(urgent)
            # A tag whose link has died restarts.
            await beside(self.link.run(), *steps)
            self.open_streams = [
                stream for bearer in self.bearers for stream in bearer.streams if not stream.closed
            ]

        run(self.now, main())

    def warnings(self) -> str:
        return "\n".join(line for line in self.log.lines if " W " in line)
