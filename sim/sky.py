"""
The GNSS receiver: a PTY on which a recording plays, byte for byte, at the pace of its own fixes.

Before the time to first fix it says each second that it has none. `--as-of now` sets the recorded times to
the present, because a tag must refuse a clock that runs backwards; positions stay as recorded. Without --nmea
a walk is made up. Lines beginning with # at the start of a recording are remarks and are not played.

    python -m sim sky --pty build/gnss --nmea recording.log --ttff 5
"""

import argparse
import asyncio
import datetime
import itertools
import pathlib

from sim import nmea_play
from sim.common import SimError, stdin_lines
from sim.pty_line import CHUNK, PtyLine

BAUD = 9600
_BITS = 10  # of a byte on the wire


class SkyError(SimError):
    """A setting that makes no sense."""


class Sky:
    """
    The receiver. start() makes the PTY and its link, stop() removes them; power() switches the supply.

    link: path of the symlink to make. nmea: a recording, None = a made-up walk. ttff_s: from each power-on.
    speed: > 1 plays faster. as_of: "now" or "recorded". baud: the wire's pace; an epoch that needs more than
    its time at that rate is sent faster. When the reader is slow bytes are dropped and counted.
    """

    def __init__(
        self,
        link: str | pathlib.Path,
        nmea: str | pathlib.Path | bytes | None = None,
        *,
        ttff_s: float = 5.0,
        speed: float = 1.0,
        as_of: str = "now",
        powered: bool = True,
        baud: int = BAUD,
    ) -> None:
        if as_of not in ("now", "recorded"):
            raise SkyError(f"--as-of is now or recorded, not {as_of!r}")
        if speed <= 0 or ttff_s < 0:
            raise SkyError("speed must be above 0, ttff not below")
        self._line = PtyLine(link, self._listen)
        self.sent = 0  # bytes
        self.received = 0  # bytes from the tag, read and forgotten
        self.fixes = 0  # epochs played
        self._ttff_s = ttff_s
        self._speed = speed
        self._as_of = as_of
        self._powered = powered
        self._baud = baud
        self._epochs = nmea_play.walk() if nmea is None else itertools.cycle(nmea_play.load(nmea))
        self._task: asyncio.Task[None] | None = None

    @property
    def link(self) -> pathlib.Path:
        return self._line.link

    @property
    def dropped(self) -> int:
        """Bytes the reader was too slow for."""
        return self._line.dropped

    async def start(self) -> None:
        """Make the PTY and the link; play if the supply is on. LineError when the link cannot be made."""
        self._line.open()
        if self._powered:
            self._task = asyncio.create_task(self._play())

    async def stop(self) -> None:
        """End playing; remove the PTY and the link."""
        await self._silence()
        self._line.close()

    async def power(self, on: bool) -> None:
        """Switch the supply: off is silence, on searches for `ttff_s` and then goes on in the recording."""
        if on == self._powered:
            return
        self._powered = on
        await self._silence()
        if on and self._line.is_open:
            self._task = asyncio.create_task(self._play())

    async def _silence(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass

    def _listen(self, data: bytes) -> None:
        self.received += len(data)

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time()
        found = at + self._ttff_s / self._speed
        while at < found:
            await self._send(nmea_play.no_fix(), 1.0)
            at = min(at + 1.0 / self._speed, found)
            await asyncio.sleep(at - loop.time())
        for epoch in self._epochs:
            data = epoch.data
            if self._as_of == "now":
                now = datetime.datetime.now(datetime.UTC)
                if epoch.gap_s >= 1:
                    now = now.replace(microsecond=0)
                data = nmea_play.retime(data, now)
            self.fixes += 1
            await self._send(data, epoch.gap_s)
            at += epoch.gap_s / self._speed
            await asyncio.sleep(at - loop.time())

    async def _send(self, data: bytes, gap_s: float) -> None:
        """Write at the pace of the wire."""
        loop = asyncio.get_running_loop()
        byte_s = min(_BITS / self._baud, 0.9 * gap_s / len(data)) / self._speed
        at = loop.time()
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            self.sent += self._line.write(chunk)
            at += len(chunk) * byte_s
            await asyncio.sleep(at - loop.time())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pty", required=True, metavar="LINK", help="the link to make; a tag takes it as --gnss"
    )
    parser.add_argument("--nmea", metavar="FILE", help="a recording; none = a walk made up here")
    parser.add_argument(
        "--ttff", type=float, default=5.0, metavar="S", help="time to first fix (default: %(default)s)"
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="play X times as fast")
    parser.add_argument(
        "--as-of", choices=("now", "recorded"), default="now", help="times (default: %(default)s)"
    )
    parser.add_argument("--baud", type=int, default=BAUD, help="the wire's pace (default: %(default)s)")
    parser.add_argument(
        "--stdin", action="store_true", help="the supply is off; lines `on` and `off` switch it"
    )


async def run(arguments: argparse.Namespace) -> None:
    sky = Sky(
        arguments.pty,
        arguments.nmea,
        ttff_s=arguments.ttff,
        speed=arguments.speed,
        as_of=arguments.as_of,
        powered=not arguments.stdin,
        baud=arguments.baud,
    )
    await sky.start()
    print(
        f"sky at {sky.link}: {arguments.nmea or 'no --nmea, so a walk made up around 50.4501 30.5234'}",
        flush=True,
    )
    try:
        if arguments.stdin:
            async for line in stdin_lines():
                if line in ("on", "off"):
                    await sky.power(line == "on")
                elif line:
                    print(f"not understood: {line}. Say on or off", flush=True)
        await asyncio.Event().wait()
    finally:
        await sky.stop()
