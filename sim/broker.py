"""
An MQTT 3.1.1 broker inside Python (amqtt), for the demo and the tests: nothing else has to be installed.

It knows passwords and the access list of docs/protocol.md §1: a tag writes obereg/<its name>/up/# and reads
obereg/<its name>/down; the user `desk` reads obereg/+/up/# and writes obereg/+/down. There are no anonymous
clients. Nothing is kept over a restart.

A client without the right password can end the session of one that has it, by its client id (amqtt forgets the
old session before it looks at the password): in the field use a real broker.

    python -m sim broker --listen 127.0.0.1:1883 --users users.txt
"""

import argparse
import asyncio
import hmac
import pathlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import amqtt.broker
from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.contexts import Action, BaseContext
from amqtt.errors import AMQTTError
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from amqtt.session import Session

from sim.common import SimError, listen_problem, parse_address

DESK = "desk"
_CONNECT_S = 10.0  # for the CONNECT packet after the TCP connection
_LISTENER = "obereg"


class BrokerError(SimError):
    """The broker cannot start: address, certificate or users file."""


class Passwords(BaseAuthPlugin):
    """amqtt plugin: user name and password must both be there, and right."""

    @dataclass
    class Config:
        users: dict[str, str] = field(default_factory=dict)
        file: str = ""

    async def authenticate(self, *, session: Session) -> bool | None:
        users = self.config.users
        if self.config.file:
            # Each time anew, so that a tag that is registered meanwhile is known.
            try:
                users = read_users(self.config.file)
            except BrokerError:
                return False
        expected = users.get(session.username) if session.username else None
        # Compared even for an unknown user; and an absent password must not equal an absent user.
        same = hmac.compare_digest((session.password or "").encode(), (expected or "").encode())
        return bool(expected) and bool(session.password) and same


class AccessList(BaseTopicPlugin):
    """amqtt plugin: who may say and hear what."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        user = session.username if session else None
        return bool(user and topic) and allowed(str(user), str(topic), action == Action.PUBLISH)


def allowed(user: str, topic: str, write: bool) -> bool:
    """Say whether `user` may write to, or read (topic or filter), `topic`."""
    levels = topic.split("/")
    # A user whose name is a wildcard would hear everybody.
    if len(levels) < 3 or levels[0] != "obereg" or any(sign in user for sign in "+#/"):
        return False
    up = levels[2] == "up" and len(levels) > 3
    down = levels[2:] == ["down"]
    if user == DESK:
        return down if write else up
    return levels[1] == user and (up if write else down)


class _Subscriptions(dict[str, Any]):
    """amqtt walks over these and waits while others subscribe; a plain dict ends that walk: a lost message."""

    def items(self) -> Any:
        return list(super().items())

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().__iter__()))


class _Connection:
    """One client: what amqtt leaves out, the end of a keep-alive (MQTT 3.1.1 §3.1.2.10)."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._transport = writer.transport
        self._timer: asyncio.TimerHandle | None = None
        self.idle_s = _CONNECT_S
        self.peer = writer.get_extra_info("peername")[:2]

    def hang_up(self) -> None:
        """Let amqtt see the end of the connection; it publishes the will."""
        self.stop()
        self._transport.abort()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def touch(self) -> None:
        """Something was heard: begin to count again. idle_s = 0 never ends."""
        self.stop()
        if self.idle_s:
            self._timer = asyncio.get_running_loop().call_later(self.idle_s, self.hang_up)


class _Reader(StreamReaderAdapter):
    def __init__(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        super().__init__(reader)
        self._connection = connection

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(n)
        self._connection.touch()
        return data


class Sessions(BasePlugin[BaseContext]):
    """amqtt plugin: tells the Broker that a session has begun."""

    @dataclass
    class Config:
        broker: Any = None

    async def on_broker_client_connected(self, client_id: str, client_session: Session) -> None:
        self.config.broker._session_began(client_id, client_session)


class Broker:
    """
    The broker. users: name to password, or a file of them that is read at each connect. tls: (certificate, key) as
    paths of PEM files, or None.

    address: (host, port) after start(). connections: how many were accepted.
    """

    def __init__(
        self,
        host: str,
        port: int,
        users: Mapping[str, str] | pathlib.Path,
        tls: tuple[str, str] | None = None,
    ) -> None:
        self.address = (host, port)
        self.connections = 0
        if isinstance(users, pathlib.Path):
            read_users(users)
            self._users: dict[str, Any] = {"file": str(users)}
        else:
            self._users = {"users": dict(users)}
        self._tls = tls
        self._amqtt: amqtt.broker.Broker | None = None
        self._server: asyncio.Server | None = None
        self._open: dict[tuple[str, int], _Connection] = {}
        self._clients: dict[str, _Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; port 0 takes a free one, `address` says which. BrokerError when it cannot."""
        context = None
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                context.load_cert_chain(*self._tls)
            except OSError as error:
                raise BrokerError(f"cannot use certificate {self._tls[0]} with key {self._tls[1]}: {error}")
        config = {
            "listeners": {"default": {"type": "external"}, _LISTENER: {"type": "external"}},
            "plugins": {
                f"{__name__}.Passwords": self._users,
                f"{__name__}.AccessList": {},
                f"{__name__}.Sessions": {"broker": self},
            },
        }
        self._amqtt = amqtt.broker.Broker(config)
        self._amqtt._subscriptions = _Subscriptions()
        await self._amqtt.start()
        try:
            self._server = await asyncio.start_server(self._accept, *self.address, ssl=context)
        except OSError as error:
            await self.stop()
            raise BrokerError(listen_problem(*self.address, error))
        self.address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Close the listener and every connection. Nothing is kept."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()
        for connection in list(self._open.values()):
            connection.hang_up()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        for task in list(self._tasks):
            task.cancel()
        core, self._amqtt = self._amqtt, None
        if core is not None:
            await core.shutdown()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        core = self._amqtt
        if core is None:
            writer.close()
            return
        connection = _Connection(writer)
        self._open[connection.peer] = connection
        connection.touch()
        try:
            await core.external_connected(_Reader(reader, connection), StreamWriterAdapter(writer), _LISTENER)
        except (AMQTTError, OSError):
            pass  # the client broke off or spoke no MQTT; amqtt's log says which
        finally:
            connection.stop()
            self._open.pop(connection.peer, None)
            writer.close()

    def _session_began(self, client_id: str, session: Session) -> None:
        connection = self._open.get((session.remote_address or "", session.remote_port or 0))
        if connection is None:
            return
        connection.idle_s = 1.5 * (session.keep_alive or 0)
        connection.touch()
        # A client that comes again takes the place of its old connection (MQTT 3.1.1 §3.1.4).
        old = self._clients.get(client_id)
        if old is not None and old is not connection:
            old.hang_up()
        self._clients[client_id] = connection


def read_users(path: str | pathlib.Path) -> dict[str, str]:
    """Read `name:password` lines, without empty ones and remarks (#). BrokerError names the wrong line."""
    users = {}
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerError(f"cannot read the users file {path}: {error}")
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.strip().partition(":")
        if not (name and colon and password):
            raise BrokerError(f"{path}, line {number}: say name:password")
        users[name] = password
    return users


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--users", required=True, metavar="FILE", help="name:password, one per line")
    parser.add_argument("--cert", metavar="FILE", help="PEM; with --key the broker speaks TLS")
    parser.add_argument("--key", metavar="FILE", help="PEM")


async def run(arguments: argparse.Namespace) -> None:
    if bool(arguments.cert) != bool(arguments.key):
        raise BrokerError("--cert and --key belong together")
    tls = (arguments.cert, arguments.key) if arguments.cert else None
    broker = Broker(*parse_address(arguments.listen), pathlib.Path(arguments.users), tls)
    await broker.start()
    print(f"broker at {broker.address[0]}:{broker.address[1]}{' with TLS' if tls else ''}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await broker.stop()
