"""
A tag's stores, lives and history on real MicroPython: the firmware's own modules on LittleFS in memory.

    world = World(seed)
    world.power_on()             # mount, boot.py, build.py, the tag's start: a new life on the stores as they are
    world.press()                # ... and whatever else a child, the desk or a technician does

What passes is noted over all lives, for judge.py.
"""

import gc
import os
import sys

import stand_ins
import vfs
from files import SETTINGS, STATIC, Bits, Violation, static, write
from stand_ins import now
from starts import Starts
from stores import BLOCK, NVS, Flash, Power, RTCMemory

_UNIT = 32  # the ESP32 port's read and program size
# Small enough that blocks are used again.
_BLOCKS = 48
_UTC_S = 1_795_000_000
TAG_ID = bytes.fromhex("0123456789abcdef")
ROOT = bytes(range(32))
_OBEREG = -65537


class World:
    """`settings` is (config.json, ca.der), `boot` the compiled boot.py. `seed` None: no stores yet."""

    _installed = False
    boot = None
    settings = (b"", b"")

    def __init__(self, seed):
        stand_ins.world = self
        self.random = Bits(seed or 1)
        self.image = bytearray(b"\xff" * (BLOCK * _BLOCKS))
        self.records = {}
        self.kept_rtc = [b""]
        self.me = self.power = None
        self.supply()
        # The history, over all lives
        self.tokens = {}  # cti -> the bytes that were sealed with it
        self.claims = {}  # cti -> their claims
        self.returned = {}  # cti -> bytes that flash said it has
        self.answered = {}  # cti -> level of the ack that was delivered for it
        self.levels = {}  # cti of an incident -> levels delivered, with their rev
        self.kept = b""  # the incident's record that flash said it has (b"": none), and the one being written
        self.doing = None
        self.rev = 0
        self.cause = "power on"
        self.starts = Starts(self)
        self.rotten = False  # whether what flash holds is no longer what was written
        self.settings_right = {World.settings}  # the pairs that a technician has written
        if not World._installed:
            World._installed = True
            stand_ins.install()
        import identity

        if seed is not None:
            now.ms, now.offset_s = (1 << 30) - 4000, 0
            self.me = identity.derive(TAG_ID, ROOT, 1)
            self._format()

    def _format(self):
        import counters
        import identity
        from journal import Journal

        flash = Flash(self.image, self.power)
        vfs.VfsLfs2.mkfs(flash, readsize=_UNIT, progsize=_UNIT, lookahead=_UNIT)
        self._mount()
        for path in ("/lib", "/boards"):
            os.mkdir(path)
        for path, size in STATIC.items():
            write(path, static(path, size))
        journal = Journal("/data")
        journal.put("identity", identity.pack(TAG_ID, ROOT, 1))
        journal.put("epoch", counters.pack_epoch(0))
        for path, data in zip(SETTINGS, World.settings):
            write(path, data)
        write("/build.json", b'{"built_s": %d}' % _UTC_S)

    def copy(self):
        """Return another world of the same stores and history, switched off."""
        twin = World(None)
        for name in ("me", "rev", "kept", "doing"):
            setattr(twin, name, getattr(self, name))
        for name in ("tokens", "claims", "returned", "answered", "records", "settings_right"):
            setattr(twin, name, getattr(self, name).copy())
        twin.starts = self.starts.copy(twin)
        twin.levels = {cti: rows[:] for cti, rows in self.levels.items()}
        twin.random = Bits(self.random.state)
        twin.image[:] = self.image
        twin.kept_rtc = self.kept_rtc[:]
        now.ms, now.offset_s = self.paused
        return twin

    def pause(self):
        """Note what time it is, for the copies."""
        self.paused = now.ms, now.offset_s

    def _mount(self):
        vfs.umount("/")
        flash = Flash(self.image, self.power)
        try:
            file_system = vfs.VfsLfs2(flash, readsize=_UNIT, progsize=_UNIT, lookahead=_UNIT)
        except OSError as error:
            # Where _boot.py would say "the filesystem appears to be corrupted" and wait for ever.
            raise Violation("does not mount: %r" % error)
        vfs.mount(file_system, "/")
        os.chdir("/")

    # ------------------------------------------------------------------------------------------------- what may happen

    def supply(self, fuse=None, tear=""):
        """Put in a new supply, and new device objects with it: of the old ones nothing may write any more."""
        self.image = bytearray(self.image)
        if self.power:
            self.power.gone = True
        self.power = Power(fuse, tear, self.random.getrandbits)
        self.nvs = NVS(self.records, self.power)
        self.rtc = RTCMemory(self.kept_rtc, self.power)
        self.app = None

    def power_on(self):
        """Start as the chip does."""
        from app import App
        from log import Log

        # Its close() in passing is the old life's, on a dead supply.
        self._mount()
        exec(World.boot, {"__name__": "__main__", "print": quiet})
        # boot.py has it collect every 8 KB, which here only costs time.
        gc.threshold(8 << 20)
        import build
        import clock
        import config
        import guard

        # RAM is gone: nobody of the last life is waited for, nor held by that.
        clock.due.clear()
        import identity

        self.cause = "hard reset" if self.kept_rtc[0] else "power on"
        self.app = app = App(Log(now.ticks_ms, quiet))
        self.starts.before()
        guard.begin(app)
        self.starts.after()
        build.begin(app)
        build.join(app)
        # It forgets them to spare heap; reading them again at each start would only cost time here.
        sys.modules["config"] = config
        sys.modules["identity"] = identity
        self._see_record()
        app.tag.start(self.cause + app.note)

    def _see_record(self):
        """Which of the incident's records a cut has left: the one that was there, or the one that was being written."""
        from journal import Journal

        record = Journal("/data").get("incident") or b""
        if record not in (self.kept, self.doing) and not self.rotten:
            raise Violation("the incident's record is neither the old nor the new one")
        self.kept, self.doing = record, None

    def lose_rtc(self):
        self.kept_rtc[0] = b""
        self.starts.crash = None

    def wait(self, ms):
        """Let time pass with the app's ticks."""
        for _ in range(max(1, ms // 5000)):
            now.ms += min(ms, 5000)
            self.app.tag.tick(now.ticks_ms())

    def press(self):
        tag = self.app.tag
        tag.on_button("touch", now.ticks_ms())
        now.ms += 600
        tag.on_button("pressed", now.ticks_ms())
        tag.on_button("released", now.ticks_ms())

    def hold(self):
        tag = self.app.tag
        tag.on_button("touch", now.ticks_ms())
        now.ms += 5000
        tag.on_button("long", now.ticks_ms())
        tag.on_button("released", now.ticks_ms())

    def answer_state(self):
        if self.app.link.state:
            token = self.app.link.state
            self._down(token, {0: 34, 1: self.cti(token)})

    def answer(self, level, newest=False):
        """The desk answers what waits (only the newest of it, if so said) with the incident's `level`."""
        pending = self.app.tag.outbox.pending()
        self.rev += 1
        for entry in pending[-1:] if newest else pending:
            self._say(entry.cti, entry.token, entry.incident, level)

    def unasked(self, level):
        """The desk says the incident's new level by its first alert."""
        opened = self.app.tag.incident
        if opened:
            self.rev += 1
            self._say(opened.cti, self.tokens[opened.cti], opened.cti, level)

    def _say(self, cti, token, incident, level):
        # From here on it may be settled and its level believed, whatever else happens.
        self.answered[cti] = level
        self.levels.setdefault(incident, []).append((self.rev, level))
        self._down(token, {0: 32, 1: cti, 3: level, 9: self.rev})
        self.levels[incident].append((self.rev, level, "done"))

    def _down(self, token, said):
        self.app.tag.on_down(self.ack(token, said))

    def ack(self, token, said):
        """Return a right downward message that names `token`; `said`: the rest of its claim."""
        import envelope

        said[2] = envelope.digest(token)
        said[4] = self.random.getrandbits(30).to_bytes(8, "big")
        claims = {6: _UTC_S + 1000 + now.ms // 1000 - (1 << 20), _OBEREG: said}
        return envelope.seal(claims, self.me.down, self.me.kid)

    def open(self, token):
        """Return the claims of a message of this tag."""
        import envelope

        return envelope.open(token, self.me.up, self.me.kid)

    def cti(self, token):
        return self.open(token)[7]

    def change_settings(self, settings):
        """A technician's cable: each file written aside and moved."""
        self._unstage()
        self.settings_right.add(settings)
        for path, data in zip(SETTINGS, settings):
            write(path + ".new", data)
            os.rename(path + ".new", path)

    def stage(self, settings):
        """The same by way of /stage, which boot.py moves into place at the next start."""
        self._unstage()
        self.settings_right.add(settings)
        try:
            os.mkdir("/stage")
        except OSError:
            pass
        for path, data in zip(SETTINGS, settings):
            write("/stage" + path, data)
        write("/stage/ready", "\n".join(SETTINGS).encode())

    @staticmethod
    def _unstage():
        """What was staged before is withdrawn first."""
        try:
            os.remove("/stage/ready")
        except OSError:
            pass

    def wear(self, times):
        """Age the file system by records that come and go."""
        from journal import Journal

        journal = Journal("/data/outbox")
        for n in range(times):
            journal.put("%016x" % n, bytes(150 + n % 60))
            if n > 3:
                journal.remove("%016x" % (n - 3))
        for name in journal.names():
            journal.remove(name)

    # ----------------------------------------------------------------------------------------------------- the history

    def sealed(self, claims, token):
        cti = claims[7]
        if self.tokens.setdefault(cti, token) != token:
            raise Violation("%s names two messages" % cti.hex())
        self.claims[cti] = claims


def quiet(line):
    pass
