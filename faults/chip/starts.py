"""
The starts of a World's tag, as guard.py must count them, and what a life that ended leaves for the next to tell.

    starts = Starts(world)
    starts.before(); guard.begin(app); starts.after()      # Violation
    starts.well(); starts.die()                            # 10 good minutes; a part raises
"""

from files import Violation


class Starts:
    def __init__(self, world):
        self._world = world
        self._count = self._next = 0  # as NVS said that it has it; and the one being written
        self._safe = False
        self.crash = None  # what the life before has left to tell
        self._trying = self._told = False  # a start has begun to tell it; and an earlier one, perhaps

    def copy(self, world):
        twin = Starts(world)
        for name in ("_count", "_next", "crash", "_trying"):
            setattr(twin, name, getattr(self, name))
        return twin

    def _kept(self):
        from counters import whole

        return (whole(self._world.records.get("starts"), 1) or b"\0")[0]

    def before(self):
        """Which count a cut has left, and which one this start will keep."""
        kept = self._kept()
        if kept not in (self._count, self._next) and not self._world.rotten:
            raise Violation("the count of starts is %d: neither %d nor %d" % (kept, self._count, self._next))
        self._count = kept
        self._safe = 3 <= kept < 128
        self._next = kept if self._safe else min(kept % 128 + 1, 127)
        self._told, self._trying = self._trying, self.crash is not None

    def after(self):
        """Every start is counted but those in safe mode, and what the last one left is told, and on flash."""
        from journal import Journal

        w = self._world
        if w.app.safe != self._safe:
            raise Violation("safe mode %s after %d starts that failed" % (w.app.safe, self._count))
        if self._kept() != self._next:
            raise Violation("the count of starts is %d, not %d" % (self._kept(), self._next))
        self._count = self._next
        crash, self.crash, self._trying = self.crash, None, False
        if crash and not w.rotten:
            record = (Journal("/data").get("crash") or b"").decode()
            if crash not in record or not (self._told or crash in w.app.note):
                raise Violation("%s is not told: %r, %r" % (crash, w.app.note, record))

    def well(self):
        """10 minutes: the log is kept, and this start counts as a good one."""
        app = self._world.app
        app.feed = int
        self._next = self._count % 128 + 128 if app.safe else 0
        if app.safe and (app.tag.incident or not app.tag.settled()):
            # Leaving safe mode is put off.
            self._next = self._count
        app.watch(600000)
        if self._kept() != self._next:
            raise Violation("after a good start the count is %d, not %d" % (self._kept(), self._next))
        self._count = self._next

    def die(self):
        """A part raises; the app keeps why, and restarts."""
        self._world.app.keep("ValueError in nmea: bad")
        self.crash = "ValueError in nmea: bad"
        self._world.power_on()
