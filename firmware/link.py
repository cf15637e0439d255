"""
Delivers the outbox: attach, connect, publish, await the ack.

    link = Link(bearers, dial, outbox, make_will, on_down, log, random_bits)
    link.kick()                   # there is something new to say
    link.urgent(True)             # an incident is open: reconnect freely
    await link.run()

A session is one MQTT session over one stream of one bearer. Usually there is one. When it is silent (no CONNACK or
PUBACK within 3 s) it may be half open, so a second one is opened beside it, over another bearer if there is one, and
whichever is answered first wins.

A PUBACK settles nothing: it says only that the session lives. What settles a message is a right ack, which
`on_down(token)` judges. Nothing here waits without a deadline, and nothing is dropped without a counter.
"""

import asyncio
from collections import namedtuple

import clock
from backoff import Backoff
from micropython import const
from mqtt import MQTTError, MQTTSession
from reopening import Reopening

# No CONNACK or PUBACK within this: the session may be half open.
_SILENT_MS = const(3000)
# A write that the stream does not take.
_WRITE_MS = const(3000)
_HOUR_MS = const(3600000)
# Attaching that takes longer is worth a word; a radio that is lent to the sky is back before.
_LONG_MS = const(90000)
_SPARE_S = const(5)
# How long a round of run() takes at most (the app kicks it, a modem may be mute), and an opening in all its steps.
_ROUND_MS = const(240000)
_OPENING_MS = const(1200000)
# The same bytes again at 0, 2, 5, 10, 20, 30 s after the first time, then every 60 s +- 20 %, without end.
_RESEND_MS = (2000, 3000, 5000, 10000, 10000)
_RESEND_TAIL_MS = const(60000)
# Said that often (20 s after the first time, in one session) and answered by nobody: that is a trouble, too.
_UNANSWERED = const(4)
# Messages in one write: a child may have pressed twenty times, and the heap must hold what is written.
_BATCH = const(4)
_JITTER_PERCENT = const(20)

# Whom to call and as whom. `tag`: 16 hex digits, MQTT user and client id.
Dial = namedtuple("Dial", ("host", "port", "tag", "password", "keep_alive_s"))


class _Session:
    """One MQTT session over one stream of `bearer`, from its opening to its end."""

    def __init__(self, bearer, now_ms):
        self.bearer = bearer
        self.mqtt = self.stream = self.task = self.state = None
        # Joining a network takes longer than an answer.
        self.attaching = True
        self.ready = False  # the broker has said yes
        self.over = False
        # When what is unanswered was said; None: nothing is. A CONNECT is unanswered from the start.
        self.asked_ms = now_ms
        self.fresh = 0  # messages said for the first time and not yet written
        # MicroPython's drain() writes bytes twice when two tasks drain one stream.
        self.writing = asyncio.Lock()


class Link:
    """
    `bearers`, the preferred one first: each has a `name`, attach(ms), open(host, port, ms), and how long these two may
    take: `attach_ms`, `open_ms`. `make_will()` returns sealed bytes, `on_down(token)` takes a payload,
    `on_trouble(why)` is called when a session opens after others could not.
    """

    def __init__(self, bearers, dial, outbox, make_will, on_down, on_trouble, log, random_bits):
        self._bearers = bearers
        self._dial = dial
        self._topic = "obereg/%s/" % dial.tag
        self._outbox = outbox
        self._make_will = make_will
        self._on_down = on_down
        self._on_trouble = on_trouble
        self._log = log
        self._random_bits = random_bits
        self._sessions = []  # oldest first
        self._kicked = asyncio.Event()
        self._locks = [asyncio.Lock() for _ in bearers]  # one attaches at a time
        # Why no session could be opened; None: one is open, or none was tried.
        self.trouble = None
        self._probe = False  # ask whether the session lives
        self._reopening = Reopening(random_bits)
        # The newest state message until its ack: said once in each session.
        self.state = None

    def kick(self):
        """Look at once: there is something to say."""
        self._kicked.set()

    def urgent(self, on):
        """While an incident is open (or a finger is on the button) reconnecting is free and quick."""
        if on != self._reopening.urgent:
            self._reopening.hurry(on)
            if on:
                # The finger is down: a dead session shows before there is an alert to lose in it, and a radio that
                # sleeps wakes up.
                self._probe = True
        self.kick()

    async def run(self):
        """Deliver, for ever."""
        while True:
            clock.expect("link", _ROUND_MS)
            now_ms = clock.ticks_ms()
            self._sessions = [session for session in self._sessions if not session.over]
            wait_ms = self._keep_sessions(now_ms)
            # The newest that the broker has accepted.
            for session in reversed(self._sessions):
                if session.ready:
                    wait_ms = min(wait_ms, await self._speak(session, now_ms))
                    break
            # Not wait_for: MicroPython's takes five turns of the loop to hand the kick on, 7 ms of a press.
            alarm = asyncio.create_task(self._ring(wait_ms))
            try:
                await self._kicked.wait()
            finally:
                alarm.cancel()
            self._kicked.clear()

    async def _ring(self, wait_ms):
        await asyncio.sleep(wait_ms / 1000)
        self.kick()

    def _keep_sessions(self, now_ms):
        """Open a session where one is missing or silent; return the ms until that should be looked at again."""
        reopening = self._reopening
        reopening.tidy(now_ms)
        for session in self._sessions:
            if session.asked_ms is None:
                return _HOUR_MS
            patience_ms = _SILENT_MS
            # In an incident the other bearer does not wait for this one; outside it would only cost current.
            if session.attaching and not (reopening.urgent and len(self._bearers) > 1):
                patience_ms = session.bearer.attach_ms
            silent_ms = clock.since(now_ms, session.asked_ms)
            left_ms = patience_ms - silent_ms
            if left_ms > 0:
                if session.attaching and silent_ms >= _LONG_MS and not self.trouble:
                    self.trouble = session.bearer.name + ": no network yet"
                return min(left_ms, _LONG_MS)
        # Here: none, or all are silent. A silent one may still answer, so it is kept beside the new one.
        # A press that waits has no time for calm, although its incident may be closed by now.
        hurried = reopening.urgent or any([entry.urgent() for entry in self._outbox.pending()])
        left_ms = reopening.left_ms(now_ms, hurried)
        if left_ms:
            return left_ms
        if len(self._sessions) == 2:
            older, newer = self._sessions
            keep = self._opening(older, now_ms)
            if keep and self._opening(newer, now_ms) and (older.attaching or newer.attaching):
                # Over different bearers; joining a network anew would only take longer.
                return _SILENT_MS
            # A slow opening is not given up early: it is the newer one that is exchanged beside it.
            self._end(self._sessions.pop(1 if keep else 0), "silent")
        used = [session.bearer for session in self._sessions]
        free = [bearer for bearer in self._bearers if bearer not in used] or self._bearers
        session = _Session(free[reopening.attempt % len(free)], now_ms)
        reopening.opens(now_ms, hurried)
        self._sessions.append(session)
        session.task = asyncio.create_task(self._live(session))
        return _SILENT_MS

    @staticmethod
    def _opening(session, now_ms):
        """Whether it is being opened, and may yet be."""
        return not session.ready and (
            session.attaching or clock.since(now_ms, session.asked_ms) < session.bearer.open_ms
        )

    async def _live(self, session):
        """The life of one session: open, listen, end."""
        try:
            await self._open(session)
            while not session.over:
                # A heartbeat is answered well within the keep-alive (config.py sees to it).
                left_ms = self._dial.keep_alive_s * 1000 if session.ready else session.bearer.open_ms
                clock.expect(session, left_ms + _ROUND_MS)
                data = await asyncio.wait_for(session.stream.read(512), left_ms / 1000)
                if not data:
                    raise OSError("the broker closed the connection")
                for event, value in session.mqtt.receive(data):
                    self._on_event(session, event, value)
                # What umqtt answered by itself: PUBACKs of downlinks.
                await self._flush(session)
        except asyncio.TimeoutError:
            self._end(session, "no answer in time")
        except Exception as error:  # noqa: BLE001 - OSError, ValueError of TLS, WifiError, MQTTError: it is over
            self._end(session, error)
        finally:
            session.over = True
            clock.due.pop(session, None)
            if session.stream:
                await session.stream.close()

    async def _open(self, session):
        dial, bearer = self._dial, session.bearer
        clock.expect(session, _OPENING_MS)
        async with self._locks[self._bearers.index(bearer)]:
            # It has the deadline; this one is for a bearer that forgets it.
            await asyncio.wait_for(bearer.attach(bearer.attach_ms), bearer.attach_ms / 1000 + _SPARE_S)
        session.asked_ms = clock.ticks_ms()
        session.attaching = False
        # run() waits by the old patience.
        self.kick()
        session.stream = await bearer.open(dial.host, dial.port, bearer.open_ms)
        session.mqtt = MQTTSession(
            dial.tag, dial.tag, dial.password, dial.keep_alive_s, self._topic + "up/state", self._make_will()
        )
        session.mqtt.connect()
        session.mqtt.subscribe(self._topic + "down")
        # CONNECT, SUBSCRIBE and what is due leave together: waiting for the CONNACK would cost a round trip.
        self._publish_due(session, clock.ticks_ms())
        await self._flush(session)

    def _end(self, session, why):
        """End a session for good; its own task closes the stream."""
        if not session.over:
            session.over = True
            self._log.count("link.ended")
            why = "%s: %s" % (session.bearer.name, str(why).strip() or repr(why))
            if not any([each.ready for each in self._sessions + [session]]):
                self.trouble = why
            self._log.say("W", "link: session ended: " + why)
            if all([each.over for each in self._sessions]):
                self._reopening.failed(clock.ticks_ms())
            if session.task is not asyncio.current_task():
                session.task.cancel()
            self.kick()

    def _on_event(self, session, event, value):
        if event == "connack":
            if value:
                raise MQTTError("CONNACK %d: the broker does not know this tag or its password" % value)
            session.ready = True
            # This was the answer.
            self._probe = False
            # The broker ends an older one: both have one client id (MQTT 3.1.1, section 3.1.4). The CONNECT of a newer
            # one may be on its way there, and then it is the one that stays.
            newer = False
            for other in list(self._sessions):
                if other is session:
                    newer = True
                elif not newer or not other.mqtt:
                    self._end(other, "another one is open")
            self._reopening.worked()
            self._log.say("I", "link: session open over " + session.bearer.name)
            why = session.stream.warning or self.trouble
            if why:
                self._tell(why)
            self.kick()
        elif event == "message":
            self._on_down(value[1])
            if self.trouble and session.ready:
                self._tell(self.trouble)
        # Whatever came, the path lives both ways: it answers bytes that we have sent.
        session.asked_ms = None

    def _tell(self, why):
        self.trouble = None
        self._on_trouble(why)

    async def _speak(self, session, now_ms):
        """Publish what is due; return the ms until something is due again."""
        if self._probe:
            session.mqtt.ping()
        if self._publish_due(session, now_ms) or self._probe:
            self._probe = False
            if session.asked_ms is None:
                session.asked_ms = now_ms
            try:
                await self._flush(session)
            except Exception as error:  # noqa: BLE001 - the stream is gone, however it says so
                self._end(session, error)
        wait_ms = _HOUR_MS if session.asked_ms is None else _SILENT_MS
        for entry in self._outbox.pending():
            # Another session: added while we wrote, or of the next batch.
            wait_ms = min(
                wait_ms, max(0, clock.since(entry.due_ms, now_ms)) if entry.session is session else 0
            )
        return wait_ms

    def _publish_due(self, session, now_ms):
        """Put messages that are due into the session, a batch, alerts first; return how many there were."""
        said = 0
        for entry in self._outbox.pending():
            if said == _BATCH:
                break
            # What this session has not said yet is due at once: the schedule is about repeating.
            if entry.session is session and clock.since(entry.due_ms, now_ms) > 0:
                continue
            if entry.backoff is None:
                entry.backoff = Backoff(_RESEND_MS, _RESEND_TAIL_MS, _JITTER_PERCENT, self._random_bits)
                session.fresh += 1
            elif entry.session is not session and not entry.session.ready:
                # A session that was refused said it to nobody: the schedule begins anew.
                entry.backoff.reset()
            entry.session = session
            if entry.backoff.attempt == _UNANSWERED and not self.trouble:
                # The broker takes it, and that is all: the desk is down, or an access list is wrong.
                self.trouble = "the desk does not answer"
            entry.due_ms = clock.later(now_ms, entry.backoff.delay_ms())
            session.mqtt.publish(self._topic + "up/alert", entry.token)
            said += 1
        if self.state and session.state is not self.state:
            session.state = self.state
            session.mqtt.publish(self._topic + "up/state", self.state)
            said += 1
        return said

    async def _flush(self, session):
        async with session.writing:
            data = session.mqtt.to_send()
            if data:
                session.stream.write(data)
                # The first write carries the TCP and TLS handshakes with it.
                wait_ms = _WRITE_MS if session.ready else session.bearer.open_ms
                await session.stream.drain(wait_ms)
                for _ in range(session.fresh):
                    self._log.mark("published")
                session.fresh = 0
