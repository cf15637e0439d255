"""
Many boards: one after the other at each port, several ports at the same time.

A board is new when its port has been away for 3 s: a chip with USB of its own takes its port away when it starts.
"""

import glob
import threading
import time

from tools.flasher import firmware, ports, rom
from tools.flasher.errors import FlashError
from tools.flasher.report import SERVICE, Report
from tools.flasher.show import Screen
from tools.flasher.site import Site
from tools.flasher.whole import Job, Options

STOPPED = 130
_AWAY_S = 3.0
_LOOK_S = 0.2
_END_S = 3.0


class _Place:
    """A port, and the board at it. `away_s`: since when it is not there."""

    def __init__(self, port: str) -> None:
        self.port = port
        self.away_s: float | None = None
        self.thread: threading.Thread | None = None

    def busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def new(self) -> bool:
        """Whether a board is there that was not worked at."""
        now_s = time.monotonic()
        if self.busy() or not ports.there(self.port):
            # While it is worked at nobody says that it went.
            self.away_s = None if self.busy() else self.away_s or now_s
            return False
        back = self.away_s is not None and now_s - self.away_s > _AWAY_S
        self.away_s = None
        return self.thread is None or back


def run(
    given: list[str], count: int | None, site: Site, screen: Screen, report: Report, options: Options
) -> int:
    """
    Take boards through all steps; return 0, the status of what went wrong first, or 130 after Ctrl-C.

    count: None: one board at each port that is there now. Else new boards are waited for until so many have been worked
    at, 0: for ever. FlashError: no-port (without a count), not-compiled, site-bad, report.
    """
    firmware.files(site.board)  # once, and what is wrong with it is said before anything is touched
    report.rows()
    tray = _Tray(site, screen, report, options)
    try:
        if count is None:
            tray.once(ports.find(given))
        else:
            tray.follow(given, count)
    except KeyboardInterrupt:
        tray.stop()
        screen.say("", f"stopped; {tray.words()}")
        return STOPPED
    screen.say("", tray.words(), report=str(report.csv))
    return next((error.status for error in tray.errors if error), 0)


def give_up(screen: Screen, threads: list[threading.Thread]) -> None:
    """After Ctrl-C: end what runs in these threads, and give them 3 s."""
    screen.stopped.set()
    rom.stop()
    end_s = time.monotonic() + _END_S
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))


class _Tray:
    def __init__(self, site: Site, screen: Screen, report: Report, options: Options) -> None:
        self._parts = (site, screen, report, options)
        self._screen, self._report = screen, report
        self._places: dict[str, _Place] = {}
        self._lock = threading.Lock()
        self.errors: list[FlashError | None] = []
        self._ended: dict[str, str] = {}  # chip, or port: how it ended
        self._before = 0  # that were in service when they came

    def once(self, found: list[str]) -> None:
        for port in found:
            self._start(self._place(port))
        for place in self._places.values():
            while place.busy():
                time.sleep(_LOOK_S)  # a join would keep Ctrl-C waiting

    def follow(self, given: list[str], count: int) -> None:
        self._screen.say("", "waiting for boards; Ctrl-C ends")
        while not count or len(self._ended) < count or any(p.busy() for p in self._places.values()):
            for port in _there(given):
                self._place(port)
            for place in self._places.values():
                working = sum(each.busy() for each in self._places.values())
                if (not count or len(self._ended) + working < count) and place.new():
                    self._start(place)
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """Nobody waits any more: end what runs, and say so in the report."""
        self._report.stop()  # at once: who is in a hurry presses Ctrl-C again
        give_up(self._screen, [place.thread for place in self._places.values() if place.thread])
        self._report.stop()

    def words(self) -> str:
        """Return how many ended how."""
        good = sum(how == SERVICE for how in self._ended.values())
        before = f", {self._before} before" if self._before else ""
        return f"{good} in service{before}, {len(self._ended) - good} refused; report {self._report.csv}"

    def _place(self, port: str) -> _Place:
        return self._places.setdefault(port, _Place(port))

    def _start(self, place: _Place) -> None:
        # Daemons: after Ctrl-C nothing waits for what hangs at a port.
        place.thread = threading.Thread(target=self._work, args=(place.port,), daemon=True)
        place.thread.start()

    def _work(self, port: str) -> None:
        job = Job(port, *self._parts)
        try:
            error = job.run()
        except FlashError as problem:  # the report itself
            error = problem
        except Exception as problem:  # noqa: BLE001 - the other boards go on, and nobody takes this one for done
            error = FlashError("tag-failed", text=f"{type(problem).__name__}: {problem}")
        with self._lock:
            self.errors.append(error)
            if job.already:
                self._before += 1
            else:
                self._ended[job.row.get("mac") or port] = job.row.get("result", "")
        if error:
            self._screen.fail(port, error)


def _there(given: list[str]) -> list[str]:
    """Return the ports that are named, or that look like a board now."""
    if given:
        return [path for each in given for path in (sorted(glob.glob(each)) or [each])]
    try:
        return ports.find([])
    except FlashError:
        return []
