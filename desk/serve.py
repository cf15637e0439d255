"""
The running desk: MQTT in, signed answers out, for ever (`python -m desk run`).

One worker thread owns the database, so a commit never blocks the loop. Messages are taken in the order they
come.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import aiomqtt

from desk.broker import Broker, BrokerError, explain
from desk.events import Event, Events, stamp
from desk.intake import Answer, Intake
from desk.show import printable, utc
from desk.store import Store, StoreError, unix_ms

_log = logging.getLogger("desk")

_FILTER = "obereg/+/up/#"
_KEEP_ALIVE_S = 15
_BROKER_TIMEOUT_S = 10.0
_POLL_S = 0.1
_SILENCE_POLL_S = 30.0
# A broker that was away for less has not kept a heartbeat from us: its tags say it again.
_AWAY_MS = 60_000
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MAX_S = 1.0  # while the desk is away the broker throws alerts away
_REFUSALS_A_MINUTE = 30
_MANY_ACKS_IN_FLIGHT = 1000  # aiomqtt warns above this; ten, its default, is one busy moment

T = TypeVar("T")


class Server:
    """Joins broker, store and events. `run` ends by cancellation, or with BrokerError at the start."""

    def __init__(self, broker: Broker, store: Store, events: Events) -> None:
        self.refused: Counter[str] = Counter()
        self._broker = broker
        self._intake = Intake(store)
        self._events = events
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._ever_ready = False
        self._ready = False
        self._listening_ms = self._lost_ms = 0  # since when we listen; when we last ceased to
        self._minute = 0
        self._told_this_minute = 0

    async def run(self) -> None:
        """Serve, and come back whenever the broker does."""
        delay_s = _BACKOFF_FIRST_S
        told = ""
        while True:
            problem = explain(await self._session(), self._broker)
            if self._ready:
                self._ready = False
                self._lost_ms = unix_ms()
                self._events.write(stamp("lost_broker", reason=problem.text))
                delay_s, told = _BACKOFF_FIRST_S, ""
            if problem.fatal and not self._ever_ready:
                raise BrokerError(problem.text)
            if problem.text != told:
                _log.error("%s; trying again until it works", problem.text)
                told = problem.text
            await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))
            delay_s = min(delay_s * 2, _BACKOFF_MAX_S)

    def close(self) -> None:
        """Wait for the last commit."""
        self._worker.shutdown()
        if self.refused:
            _log.info("refused: %s", ", ".join(f"{count} {why}" for why, count in self.refused.items()))

    async def _session(self) -> aiomqtt.MqttError:
        """One connection, from CONNECT to its end; returns why it ended."""
        ended: aiomqtt.MqttError | None = None
        try:
            async with self._client() as client:
                await client.subscribe(_FILTER, qos=1)
                self._ready = self._ever_ready = True
                if unix_ms() - self._lost_ms > _AWAY_MS:
                    self._listening_ms = unix_ms()
                _log.info("ready at %s", self._broker)
                self._events.write(stamp("ready", broker=str(self._broker)))
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._watch(client))
                    tasks.create_task(self._watch_silence())
                    async for message in client.messages:
                        answer = await self._take(message)
                        if answer and answer.token is not None:
                            tasks.create_task(self._publish(client, answer))
        except* aiomqtt.MqttError as errors:
            ended = _first(errors)
        return ended or aiomqtt.MqttError("the connection ended")

    def _client(self) -> aiomqtt.Client:
        client = aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.user,
            password=self._broker.password,
            identifier=f"obereg-desk-{secrets.token_hex(4)}",  # two desks must not throw each other out
            tls_context=self._broker.tls,
            keepalive=_KEEP_ALIVE_S,
            timeout=_BROKER_TIMEOUT_S,
            # An ack follows a PUBACK; Nagle would hold it back for the peer's delayed TCP ACK, 40 ms.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        client.pending_calls_threshold = _MANY_ACKS_IN_FLIGHT
        return client

    async def _in_worker(self, call: Callable[..., T], *values: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call, *values)

    async def _take(self, message: aiomqtt.Message) -> Answer | None:
        topic, payload = str(message.topic), message.payload
        try:
            answer = await self._in_worker(self._intake.handle, topic, payload)
        except StoreError as error:
            self._refuse(stamp("refused", tag=topic.split("/")[1], reason="not stored", text=str(error)))
            _log.critical("AN ALERT MAY BE LOST: %s. The tag gets no ack and says it again", error)
            return None
        except Exception:  # noqa: BLE001  a bug met by one tag's message must not silence the other children
            self._refuse(stamp("refused", tag=topic.split("/")[1], reason="bug"))
            _log.exception("a message on %s could not be taken", topic)
            return None
        for event in answer.events:
            if event["what"] == "refused":
                self._refuse(event)
            else:
                self._tell(event)
        return answer

    async def _publish(self, client: aiomqtt.Client, answer: Answer) -> bool:
        events = [stamp(**event) for event in answer.sent]
        try:
            await client.publish(answer.topic, answer.token, qos=1)
        except aiomqtt.MqttError as error:
            _log.warning("not sent to %s (%s): the tag asks again", answer.topic, error)
            return False
        for event in events:
            self._tell(event)
        return True

    async def _watch(self, client: aiomqtt.Client) -> None:
        """Say each change of level that people make in the store."""
        told = ""
        while True:
            try:
                for answer in await self._in_worker(self._intake.changes):
                    if await self._publish(client, answer):
                        await self._in_worker(self._intake.said, answer)
                told = ""
            except StoreError as error:
                if str(error) != told:
                    told = str(error)
                    _log.critical("no level is said: %s", error)
            await asyncio.sleep(_POLL_S)

    async def _watch_silence(self) -> None:
        """Say which tags have missed three heartbeats."""
        while True:
            await asyncio.sleep(_SILENCE_POLL_S)
            try:
                for event in await self._in_worker(self._intake.silences, self._listening_ms):
                    self._tell(event)
            except StoreError as error:
                _log.critical("no silent tag is looked for: %s", error)

    def _tell(self, event: Event) -> None:
        self._events.write(event)
        if event["what"] == "silent":
            heard = utc(event["heard_unix_ms"] // 1000)
            _log.error(
                "tag %s (%s) is silent: it has missed 3 heartbeats, last heard %s. Call the family: it may be empty,"
                " broken, or out of reach",
                *(event["tag"], printable(event["name"]) or "no name", heard),
            )
        elif event["what"] == "heard_again":
            _log.warning("tag %s is heard again after %d min", event["tag"], event["silent_ms"] // 60_000)
        elif event["what"] == "rang":
            test = " (a TEST)" if event["test"] else ""
            _log.warning(
                "incident %d rings: %s, tag %s%s", event["incident"], event["reason"], event["tag"], test
            )

    def _refuse(self, event: Event) -> None:
        """Count every refusal; tell of so many a minute only, because anybody may cause them."""
        self.refused[event["reason"]] += 1
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._told_this_minute = minute, 0
        self._told_this_minute += 1
        if self._told_this_minute <= _REFUSALS_A_MINUTE:
            self._events.write({**event, "count": self.refused[event["reason"]]})
            _log.warning("refused a message of %s: %s", event["tag"][:32], event.get("text", event["reason"]))


async def serve(broker: Broker, store: Store, events: Events) -> None:
    """Run until SIGTERM or Ctrl-C. Raises BrokerError when the first connection can never work."""
    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)  # type: ignore[union-attr]
    server = Server(broker, store, events)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await server.run()
    finally:
        server.close()


def _first(errors: "BaseExceptionGroup[aiomqtt.MqttError]") -> aiomqtt.MqttError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, aiomqtt.MqttError) else aiomqtt.MqttError(str(error))
