"""
The demo's far side: broker and desk, programs of their own, and what they say turned into events of the story.
"""

import argparse
import asyncio
import functools
import json
import pathlib
import secrets
import socket
import ssl
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import cwt

from desk.token import digest, seal
from sim import certs
from sim.programs import DemoError, Programs
from sim.story import Story

_CTI, LOCATION, OBEREG = 7, 264, -65537
ALERT = 1
_LEVELS = {3: "taken by a person", 4: "closed by a person"}
_ANSWER_S = 20


class Broker(NamedTuple):
    """Where the broker is: url for the desk; name in its certificate; ca_pem, ca_der and context None without TLS."""

    url: str
    host: str
    port: int
    name: str
    ca_path: pathlib.Path | None = None
    ca_pem: bytes | None = None
    context: ssl.SSLContext | None = None
    foreign: bool = False

    @property
    def ca_der(self) -> bytes | None:
        return None if self.ca_pem is None else ssl.PEM_cert_to_DER_cert(self.ca_pem.decode())


def claims_of(token: str, keys: dict[str, Any]) -> dict[Any, Any]:
    """Return the claims of a token (hex), verified with the tag's `up` key by a library of somebody else."""
    kid = bytes.fromhex(keys["tag"]) + bytes([keys["generation"]])
    key = cwt.COSEKey.new({1: 4, 2: kid, 3: 5, -1: bytes.fromhex(keys["up"])})
    claims = cwt.decode(bytes.fromhex(token), key)
    return claims if isinstance(claims, dict) else {}


class FarSide:
    """start() brings broker and desk up; the programs are ended by whoever made `programs`, then stop()."""

    def __init__(
        self,
        options: argparse.Namespace,
        folder: pathlib.Path,
        story: Story,
        programs: Programs,
        keys: dict[str, Any],
    ) -> None:
        self._options, self._folder, self._story = options, folder, story
        self._programs, self._keys = programs, keys
        self._reader: asyncio.Task[None] | None = None
        self._acked: dict[str, list[float]] = {}  # digest: when the desk answered
        self._others = 0  # alerts of the scripted caller

    async def start(self) -> Broker:
        """Start both; return where the broker is. DemoError says which does not start."""
        broker = self._foreign() if self._options.broker else await self._start_broker()
        await self._start_desk(broker)
        return broker

    async def stop(self) -> None:
        if self._reader:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def desk(self, *words: str) -> str:
        """Run a command of the desk, as a person there does; return what it printed."""
        return await self._programs.call("desk", *words, "--db", self._db())

    async def another(self, alert: dict[str, Any], say: Callable[[bytes], Awaitable[float]]) -> float:
        """
        Say an alert like this one; return the ms from what `say` returns to the desk's answer.

        The same claims under another cti, so that the desk has the same work: a repeat it would not write to disk.
        """
        epoch = int.from_bytes(alert["claims"][_CTI][:4], "big") + 1
        self._others += 1
        cti = epoch.to_bytes(4, "big") + self._others.to_bytes(4, "big")
        kid = bytes.fromhex(self._keys["tag"]) + bytes([self._keys["generation"]])
        token = seal({**alert["claims"], _CTI: cti}, bytes.fromhex(self._keys["up"]), kid)
        answers = self._acked.setdefault(digest(token).hex(), [])
        began_ms = await say(token)
        enough = functools.partial(bool, answers)
        await self._story.until(enough, _ANSWER_S, "the desk does not answer the scripted caller")
        return answers[0] - began_ms

    def _db(self) -> str:
        return f"sqlite:///{self._folder.resolve()}/desk.db"

    async def _start_broker(self) -> Broker:
        authority = certs.make_ca()
        ca_path = self._folder / "ca.pem"
        ca_path.write_bytes(authority.pem)
        cert, key = authority.issue("localhost", "127.0.0.1").write(self._folder / "broker")
        password, port = secrets.token_hex(16), _free_port()
        users = self._folder / "users.txt"
        users.touch(0o600)
        users.write_text(f"desk:{password}\n{self._keys['tag']}:{self._keys['broker']}\n")
        program = await self._programs.start(
            *("sim", "broker", "--listen", f"127.0.0.1:{port}", "--users", str(users)),
            *("--cert", cert, "--key", key),
        )
        await self._programs.first_line(program, "broker")
        return Broker(
            url=f"mqtts://desk:{password}@localhost:{port}",
            host="127.0.0.1",
            port=port,
            name="localhost",
            ca_path=ca_path,
            ca_pem=authority.pem,
            context=ssl.create_default_context(cadata=authority.pem.decode()),
        )

    def _foreign(self) -> Broker:
        url = urllib.parse.urlsplit(self._options.broker)
        if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
            raise DemoError(f"--broker {self._options.broker}: say mqtt[s]://user:password@host:port")
        port = url.port or (8883 if url.scheme == "mqtts" else 1883)
        broker = Broker(self._options.broker, url.hostname, port, url.hostname, foreign=True)
        if url.scheme == "mqtt":
            return broker
        if not self._options.ca:
            raise DemoError("--broker mqtts:// needs --ca FILE: the tag trusts no other CA")
        path = pathlib.Path(self._options.ca)
        try:
            pem = path.read_text()
            ssl.PEM_cert_to_DER_cert(pem)
            context = ssl.create_default_context(cadata=pem)
        except (OSError, ValueError) as error:
            raise DemoError(f"--ca {self._options.ca}: {error}")
        return broker._replace(ca_path=path, ca_pem=pem.encode(), context=context)

    async def _start_desk(self, broker: Broker) -> None:
        keys = self._folder / "registration.json"
        keys.touch(0o600)
        keys.write_text(json.dumps(self._keys))
        await self.desk("tags", "import", str(keys))
        ca = ("--ca", str(broker.ca_path)) if broker.ca_path else ()
        program = await self._programs.start(
            "desk", "run", "--db", self._db(), "--broker", broker.url, *ca, "--events", "-"
        )
        self._event(await self._programs.first_line(program, "desk"))
        self._reader = asyncio.create_task(self._read(program))

    async def _read(self, program: asyncio.subprocess.Process) -> None:
        while program.stdout and (line := await program.stdout.readline()):
            self._event(line)

    def _event(self, line: bytes) -> None:
        event = json.loads(line)
        story, t_ms = self._story, event["t_ms"]
        if self._others and event["what"] != "acked":
            return  # the tag is off; what the scripted caller says is no part of the story
        if event["what"] == "ready":
            story.add("the desk is ready", t_ms)
        elif event["what"] == "stored":
            event["claims"] = claims_of(event["token"], self._keys)
            story.stored.append(event)
            if event["kind"] == ALERT:
                story.add("at the desk", t_ms, f"alert, {len(event['token']) // 2} bytes")
            elif event["kind"] == 3:
                place = event["claims"].get(LOCATION)
                story.add("update at the desk", t_ms, f"{place[1]:.7f} {place[2]:.7f}" if place else "")
            elif event["kind"] == 4:
                story.add("heartbeat at the desk", t_ms)
        elif event["what"] == "acked":
            answers = self._acked.setdefault(event["digest"], [])
            if event["kind"] == ALERT and not answers and not self._others:
                story.add("answered by the desk", t_ms)
            answers.append(t_ms)
        elif event["what"] == "level" and event["level"] in _LEVELS:
            story.add(_LEVELS[event["level"]], t_ms)
        elif event["what"] == "refused" and event.get("kind") == 7:
            # Sealed when the session opened, said by the broker when the tag went off: older than all that was said.
            story.add("the will, void", t_ms)
        elif event["what"] == "refused":
            story.add("refused by the desk", t_ms, event.get("reason", ""))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
