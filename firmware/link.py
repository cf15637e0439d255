"""
Delivers the outbox: attach, connect, publish, await the ack.

    link = Link(bearer, dial, outbox, make_will, on_down, clock, log, random_bits)
    link.kick()                   # something new to say, or to hurry for
    link.urgent(True)             # an incident is open: reconnect freely
    await link.run()

A `Session` is one MQTT session over one stream. Usually there is one. When it is silent (no CONNACK or PUBACK within
3 s) it may be half open, so a second one is opened beside it and whichever is answered first wins.

A PUBACK settles nothing: it says only that the session lives. What settles a message is a right ack, which
`on_down(token)` judges. Nothing here waits without a deadline, and nothing is dropped without a counter.
"""

import asyncio

import clock
from backoff import Backoff
from mqtt import Connack, Message, MQTTError, MQTTSession, Suback

# Wi-Fi association and DHCP take 1-4 s; past this another attempt does better.
ATTACH_MS = 20000
# TCP and TLS: at 30 % loss connections were seen to succeed after 48 s (security reference 3.4), so a
# slow opening is not given up early; others are opened beside it.
OPEN_MS = 60000
# No CONNACK or PUBACK within this: the session may be half open.
SILENT_MS = 3000
# A write that the stream does not take.
WRITE_MS = 5000
# The same bytes again at 0, 2, 5, 10, 20, 30 s after the first time, then every 60 s +- 20 %, without end.
RESEND_MS = (2000, 3000, 5000, 10000, 10000)
RESEND_TAIL_MS = 60000
# How long to wait before opening a session again: calm, and while an incident is open.
CALM_MS = (5000, 30000, 120000)
CALM_TAIL_MS = 600000
URGENT_MS = (300, 700, 1500, 3000, 5000, 10000)
URGENT_TAIL_MS = 15000
# Networks reject who reconnects more often (field reference 1.1).
CALM_OPENS_PER_HOUR = 6
_HOUR_MS = 3600000

_CONNACK_REASONS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it refuses this client id",
    3: "it is not available",
    4: "it refuses the user name or password",
    5: "it refuses this tag: is the tag imported, and its password given to the broker?",
}


class Dial:
    """Whom to call and as whom: broker address, TLS, topics, MQTT credentials."""

    def __init__(self, host, port, context, server_name, tag, password, keep_alive_s):
        self.host = host
        self.port = port
        self.context = context
        self.server_name = server_name
        self.tag = tag
        self.password = password
        self.keep_alive_s = keep_alive_s
        self.alert_topic = "obereg/%s/up/alert" % tag
        self.state_topic = "obereg/%s/up/state" % tag
        self.down_topic = "obereg/%s/down" % tag


class Session:
    """One MQTT session over one stream, from its opening to its end."""

    def __init__(self, opened_ms):
        self.opened_ms = opened_ms
        self.mqtt = None
        self.stream = None
        self.task = None
        self.ready = False  # the broker has said yes
        self.over = False
        # When what is unanswered was said; None: nothing is. A CONNECT is unanswered from the start.
        self.waiting_since_ms = opened_ms
        # How long that may last: joining a network takes longer than an answer.
        self.patience_ms = ATTACH_MS
        self.state_sent = None
        self.fresh = 0  # messages put into the session for the first time, not yet written


class Link:
    """`bearer` has attach(ms) and open(host, port, context, server_name, ms); `make_will()` returns sealed bytes."""

    def __init__(self, bearer, dial, outbox, make_will, on_down, log, random_bits):
        self._bearer = bearer
        self._dial = dial
        self._outbox = outbox
        self._make_will = make_will
        self._on_down = on_down
        self._log = log
        self._random_bits = random_bits
        self._sessions = []  # oldest first
        self._kicked = asyncio.Event()
        self._attaching = asyncio.Lock()
        self._calm = Backoff(CALM_MS, CALM_TAIL_MS, 20, random_bits)
        self._hurry = Backoff(URGENT_MS, URGENT_TAIL_MS, 20, random_bits)
        self._urgent = False
        self._open_at_ms = None  # None: at once
        self._opens_ms = []
        self._state = None
        # Why the last session could not be had; for the technician and the state message
        self.trouble = ""

    def kick(self):
        """Look at once: there is something to say."""
        self._kicked.set()

    def urgent(self, on):
        """While an incident is open (or a finger is on the button) reconnecting is free and quick."""
        if on and not self._urgent:
            self._hurry.reset()
            self._open_at_ms = None
        self._urgent = on
        self.kick()

    def say_state(self, token):
        """Say a state message once in each session until `state_settled`; a newer one replaces it."""
        self._state = token
        self.kick()

    def state_settled(self):
        self._state = None

    def ready(self):
        """Whether a session stands that the broker has accepted and that is not silent."""
        return any(s.ready and s.waiting_since_ms is None for s in self._sessions)

    async def run(self):
        """Deliver, for ever."""
        while True:
            now_ms = clock.ticks_ms()
            self._sessions = [session for session in self._sessions if not session.over]
            wait_ms = self._keep_sessions(now_ms)
            session = self._speaker()
            if session is not None:
                wait_ms = min(wait_ms, await self._speak(session))
            try:
                await asyncio.wait_for(self._kicked.wait(), wait_ms / 1000)
            except asyncio.TimeoutError:
                pass
            self._kicked.clear()

    def _speaker(self):
        """The session to speak over: the newest that the broker has accepted."""
        for session in reversed(self._sessions):
            if session.ready:
                return session
        return None

    def _keep_sessions(self, now_ms):
        """Open a session where one is missing or silent; return the ms until that should be looked at again."""
        patience_ms = _HOUR_MS
        for session in self._sessions:
            if session.waiting_since_ms is None:
                return patience_ms
            left_ms = session.patience_ms - clock.since(now_ms, session.waiting_since_ms)
            if left_ms > 0:
                return left_ms
        # Here: none, or all are silent. A silent one may still answer, so it is kept beside the new one.
        if self._open_at_ms is not None:
            left_ms = clock.since(self._open_at_ms, now_ms)
            if left_ms > 0:
                return left_ms
        if not self._urgent:
            self._opens_ms = [t for t in self._opens_ms if clock.since(now_ms, t) < _HOUR_MS]
            if len(self._opens_ms) >= CALM_OPENS_PER_HOUR:
                return _HOUR_MS - clock.since(now_ms, self._opens_ms[0])
        while len(self._sessions) >= 2:
            self._end(self._sessions.pop(0), "silent, and a newer one stands beside it")
        self._open(now_ms)
        return SILENT_MS

    def _open(self, now_ms):
        self._opens_ms = self._opens_ms[1 - CALM_OPENS_PER_HOUR :] + [now_ms]
        backoff = self._hurry if self._urgent else self._calm
        self._open_at_ms = clock.later(now_ms, max(SILENT_MS if self._sessions else 0, backoff.delay_ms()))
        session = Session(now_ms)
        self._sessions.append(session)
        session.task = asyncio.create_task(self._live(session))

    def _end(self, session, why):
        """End a session for good; its own task closes the stream."""
        if session.over:
            return
        session.over = True
        self._log.info("link", "session ended: %s" % why)
        if session.task is not asyncio.current_task():
            session.task.cancel()

    async def _live(self, session):
        """The life of one session: open, listen, end."""
        left_ms = OPEN_MS
        try:
            await self._open_stream(session)
            while not session.over:
                # A heartbeat is answered well within the keep-alive (config.py sees to it).
                left_ms = self._dial.keep_alive_s * 1000 if session.ready else OPEN_MS
                data = await asyncio.wait_for(session.stream.read(512), left_ms / 1000)
                if not data:
                    raise OSError("the broker closed the connection")
                for event in session.mqtt.receive(data):
                    self._on_event(session, event)
                # What umqtt answered by itself: PUBACKs of downlinks.
                await self._flush(session)
        except asyncio.TimeoutError:
            self._failed(session, "no answer within %d s" % (left_ms // 1000))
        except Exception as error:  # noqa: BLE001 - OSError, ValueError of TLS, WifiError, MQTTError: it is over
            self._failed(session, str(error) or repr(error))
        finally:
            session.over = True
            if session.stream is not None:
                await session.stream.close()

    async def _open_stream(self, session):
        dial = self._dial
        async with self._attaching:
            await self._bearer.attach(ATTACH_MS)
        session.waiting_since_ms = clock.ticks_ms()
        session.patience_ms = SILENT_MS
        session.stream = await self._bearer.open(
            dial.host, dial.port, dial.context, dial.server_name, OPEN_MS
        )
        will = (dial.state_topic, self._make_will())
        session.mqtt = MQTTSession(dial.tag, dial.tag, dial.password, dial.keep_alive_s, will)
        session.mqtt.connect()
        session.mqtt.subscribe(dial.down_topic)
        # CONNECT, SUBSCRIBE and what is due leave together: waiting for the CONNACK would cost a round trip.
        self._publish_due(session, clock.ticks_ms())
        await self._flush(session)

    def _failed(self, session, why):
        self._log.count("link.failed")
        if why != self.trouble and not self.ready():
            self.trouble = why
            self._log.warning("link", why)
        self._end(session, why)
        self.kick()

    def _on_event(self, session, event):
        if isinstance(event, Connack):
            if event.code:
                raise MQTTError("the broker refuses us: %s" % _CONNACK_REASONS.get(event.code, event.code))
            session.ready = True
            self.trouble = ""
            self._hurry.reset()
            self._calm.reset()
            self._log.info("link", "session open")
            self.kick()
        elif isinstance(event, Suback):
            if not event.granted:
                raise MQTTError("the broker does not let us listen to our own topic")
        elif isinstance(event, Message):
            if event.topic == self._dial.down_topic.encode():
                self._on_down(event.payload)
            else:
                self._log.count("link.foreign_topic")
        # Whatever came, the path lives both ways: it answers bytes that we have sent.
        session.waiting_since_ms = None

    async def _speak(self, session):
        """Publish what is due; return the ms until something is due again."""
        now_ms = clock.ticks_ms()
        if self._publish_due(session, now_ms):
            if session.waiting_since_ms is None:
                session.waiting_since_ms = now_ms
            try:
                await self._flush(session)
            except Exception as error:  # noqa: BLE001 - the stream is gone, however it says so
                self._failed(session, str(error) or repr(error))
        wait_ms = _HOUR_MS if session.waiting_since_ms is None else SILENT_MS
        for entry in self._outbox.pending():
            # None: added while we wrote.
            wait_ms = min(wait_ms, 0 if entry.due_ms is None else max(0, clock.since(entry.due_ms, now_ms)))
        return wait_ms

    def _publish_due(self, session, now_ms):
        """Put every message that is due into the session, alerts first; return how many."""
        count = 0
        for entry in self._outbox.pending():
            # Another session has not seen it: its schedule says when to repeat, not when to change horses.
            if entry.session is session and clock.since(entry.due_ms, now_ms) > 0:
                continue
            if entry.backoff is None:
                entry.backoff = Backoff(RESEND_MS, RESEND_TAIL_MS, 20, self._random_bits)
                session.fresh += 1
            entry.session = session
            entry.due_ms = clock.later(now_ms, entry.backoff.delay_ms())
            session.mqtt.publish(self._dial.alert_topic, entry.token)
            count += 1
        if self._state is not None and session.state_sent is not self._state:
            session.state_sent = self._state
            session.mqtt.publish(self._dial.state_topic, self._state)
            count += 1
        return count

    async def _flush(self, session):
        data = session.mqtt.to_send()
        if data:
            session.stream.write(data)
            # The first write carries the TCP and TLS handshakes with it.
            await asyncio.wait_for(session.stream.drain(), (WRITE_MS if session.ready else OPEN_MS) / 1000)
            while session.fresh:
                session.fresh -= 1
                self._log.mark("published")
