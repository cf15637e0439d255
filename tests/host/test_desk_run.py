"""`python -m desk run` against a real mosquitto, and a host client that plays a tag."""

import json
import os
import queue
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from desk import token
from desk.__main__ import main
from desk.tags import registration
from sim.certs import make_ca
from tests.host.test_desk_support import KYIV, KeyTag, cti

ROOT = Path(__file__).parents[2]
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
PASSWORD = "the desk's own"
DEADLINE_S = 15

pytestmark = pytest.mark.skipif(
    not MOSQUITTO, reason="mosquitto is not installed (apt-get install mosquitto)"
)


def _until(probe: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail(f"not within {DEADLINE_S} s: {what}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@dataclass
class City:
    """A folder with a desk's database, one tag that it knows, and the broker's files made by the desk."""

    path: Path
    tag: KeyTag
    port: int = field(default_factory=_free_port)
    tls_port: int = field(default_factory=_free_port)
    broker: "subprocess.Popen[bytes] | None" = None
    desks: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def desk(self, *arguments: str) -> int:
        """Run a command in this process."""
        return main([*arguments, "--db", f"sqlite:///{self.path}/desk.db"])

    def start_broker(self) -> None:
        """Start mosquitto on both ports and wait until it listens."""
        assert MOSQUITTO
        self.broker = subprocess.Popen(
            [MOSQUITTO, "-c", str(self.path / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _until(lambda: _listens(self.port) and _listens(self.tls_port), "mosquitto listens")

    def stop_broker(self) -> None:
        """Stop it, if it runs."""
        if self.broker:
            self.broker.kill()
            self.broker.wait(DEADLINE_S)
            self.broker = None

    def run(self, url: str, password: str = PASSWORD, *more: str) -> "subprocess.Popen[bytes]":
        """Start `desk run`; its standard error goes to desk.log."""
        with open(self.path / "desk.log", "wb") as log:
            desk = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-m",
                        "desk",
                        "run",
                        "--broker",
                        url,
                        "--db",
                        str(self.path / "desk.db"),
                    ),
                    *("--events", str(self.path / "events"), *more),
                ],
                cwd=ROOT,
                env={**os.environ, "OBEREG_BROKER_PASSWORD": password},
                stderr=log,
            )
        self.desks.append(desk)
        return desk

    def stop(self) -> None:
        """Stop what still runs, also after a failed test."""
        for desk in self.desks:
            desk.kill()
            desk.wait(DEADLINE_S)
        self.stop_broker()

    def log(self) -> str:
        """What `desk run` said so far."""
        return (self.path / "desk.log").read_text()

    def events(self, *whats: str) -> list[dict[str, Any]]:
        """The events so far, of these kinds or all."""
        path = self.path / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [event for event in found if not whats or event["what"] in whats]

    def event(self, what: str, count: int = 1) -> dict[str, Any]:
        """Wait for the n-th event of a kind."""
        return _until(lambda: self.events(what)[count - 1 : count], f"{what} number {count}")[0]


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[City]:
    monkeypatch.setenv("OBEREG_BROKER_PASSWORD", PASSWORD)
    city = City(tmp_path, KeyTag())
    (tmp_path / "tag.json").write_text(json.dumps(registration(city.tag.identity)))
    assert city.desk("tags", "import", str(tmp_path / "tag.json")) == 0
    out = ("--desk-user", "desk", "--out")
    assert city.desk("tags", "export", "--mosquitto", *out, str(tmp_path / "passwords")) == 0
    assert city.desk("tags", "export", "--acl", *out, str(tmp_path / "acl")) == 0
    _make_certificates(tmp_path)
    (tmp_path / "mosquitto.conf").write_text(
        # As root mosquitto would change to a user that cannot read this folder.
        f"user root\nallow_anonymous false\npassword_file {tmp_path}/passwords\nacl_file {tmp_path}/acl\n"
        f"listener {city.port} 127.0.0.1\n"
        f"listener {city.tls_port} 127.0.0.1\ncertfile {tmp_path}/broker.crt\nkeyfile {tmp_path}/broker.key\n"
    )
    try:
        city.start_broker()
        yield city
    finally:
        city.stop()


class TagClient:
    """A host client with a tag's name and password; what comes down is in `heard`."""

    def __init__(self, city: City, ca: Path | None = None, password: str | None = None) -> None:
        self.tag = city.tag
        self.heard: queue.Queue[bytes] = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, city.tag.id)
        self.client.username_pw_set(city.tag.id, password or city.tag.registration.broker.hex())
        if ca:
            self.client.tls_set_context(ssl.create_default_context(cafile=str(ca)))
        self.client.on_message = lambda client, data, message: self.heard.put(bytes(message.payload))
        self.connected: queue.Queue[int] = queue.Queue()
        self.client.on_connect = lambda client, data, flags, code, properties: self.connected.put(code.value)
        self.client.connect("127.0.0.1", city.tls_port if ca else city.port)
        self.client.loop_start()
        self.code = self.connected.get(timeout=DEADLINE_S)
        self.client.subscribe(f"obereg/{city.tag.id}/down", 1)

    def __enter__(self) -> "TagClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def say(self, sealed: bytes) -> None:
        self.client.publish(f"obereg/{self.tag.id}/up/alert", sealed, 1)

    def hear(self) -> dict[int, Any]:
        return self.tag.hear(self.heard.get(timeout=DEADLINE_S))


def _stop(desk: "subprocess.Popen[bytes]", by: int = signal.SIGTERM) -> int:
    desk.send_signal(by)
    return desk.wait(DEADLINE_S)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_an_alert_is_acked_and_a_persons_acts_are_felt(city: City, tls: bool) -> None:
    url = f"mqtts://desk@127.0.0.1:{city.tls_port}" if tls else f"mqtt://desk@127.0.0.1:{city.port}"
    ca = city.path / "ca.pem" if tls else None
    desk = city.run(url, PASSWORD, *(["--ca", str(ca)] if ca else []))
    city.event("ready")
    alert = city.tag.say(1, 1, location=KYIV, k2=3900)
    with TagClient(city, ca) as tag:
        tag.say(alert)
        heard = tag.hear()
        assert (heard[0], heard[1], heard[2], heard[3], heard[9]) == (
            32,
            cti(1, 1),
            token.digest(alert),
            1,
            1,
        )
        assert city.desk("take", "1", "--by", "Anna") == 0
        taken = tag.hear()
        assert (taken[1], taken[2], taken[3], taken[9]) == (cti(1, 1), token.digest(alert), 3, 2)
        assert city.desk("close", "1", "--by", "Anna") == 0
        closed = tag.hear()
        assert (closed[1], closed[3], closed[9]) == (cti(1, 1), 4, 3)
        city.event("level", 2)
        with pytest.raises(queue.Empty):  # each change is said once
            tag.heard.get(timeout=0.35)
    assert _stop(desk) == 0
    assert "Traceback" not in city.log()
    events = city.events()
    assert [event["what"] for event in events] == ["ready", "stored", "rang", "acked", "level", "level"]
    assert bytes.fromhex(events[1]["token"]) == alert
    assert 0 <= events[3]["t_ms"] - events[1]["t_ms"] < 500
    assert abs(events[1]["t_ms"] - time.monotonic() * 1000) < 60_000


def test_a_running_desk_refuses_what_is_not_right(city: City) -> None:
    desk = city.run(f"mqtt://desk@127.0.0.1:{city.port}")
    city.event("ready")
    with TagClient(city) as tag:
        tag.say(b"\xd8\x3d noise")
        tag.say(KeyTag().say(1, 1))
        assert [city.event("refused", count)["reason"] for count in (1, 2)] == ["shape", "kid"]
        tag.say(city.tag.say(4, 1))
        assert tag.hear()[0] == 34
        assert city.desk("tags", "revoke", city.tag.id) == 0
        tag.say(city.tag.say(1, 2))
        assert city.event("refused", 3)["reason"] == "revoked"
        assert tag.heard.empty()
    assert _stop(desk, signal.SIGINT) == 0


def test_without_a_commit_the_running_desk_is_silent_and_goes_on(city: City) -> None:
    desk = city.run(f"mqtt://desk@127.0.0.1:{city.port}")
    city.event("ready")
    alert = city.tag.say(1, 1)
    with closing(sqlite3.connect(city.path / "desk.db")) as other, TagClient(city) as tag:
        other.execute("ALTER TABLE messages RENAME TO gone")
        tag.say(alert)
        assert city.event("refused")["reason"] == "not stored"
        _until(lambda: "AN ALERT MAY BE LOST" in city.log(), "the loud error")
        assert tag.heard.empty()
        other.execute("ALTER TABLE gone RENAME TO messages")
        tag.say(alert)
        assert tag.hear()[3] == 1
    assert _stop(desk) == 0


def test_the_desk_comes_back_with_the_broker(city: City) -> None:
    """What people did meanwhile is said then."""
    desk = city.run(f"mqtt://desk@127.0.0.1:{city.port}")
    city.event("ready")
    with TagClient(city) as tag:
        tag.say(city.tag.say(1, 1))
        assert tag.hear()[3] == 1
    city.stop_broker()
    city.event("lost_broker")
    assert city.desk("take", "1") == 0
    _until(lambda: "nothing listens" in city.log(), "the line that names the cause")
    city.start_broker()
    city.event("ready", 2)
    city.event("level")
    with TagClient(city) as tag:
        tag.say(city.tag.say(3, 2, k1=cti(1, 1)))
        assert tag.hear()[3] == 3
    assert _stop(desk) == 0
    assert "Traceback" not in city.log()


@pytest.mark.parametrize(
    ("url", "password", "ca", "words"),
    [
        ("mqtt://desk@127.0.0.1:{plain}", "wrong", None, "OBEREG_BROKER_PASSWORD"),
        ("mqtt://127.0.0.1:{plain}", "", None, "without a user name"),
        ("mqtts://desk@127.0.0.1:{tls}", PASSWORD, "other.pem", "--ca"),
        ("mqtts://desk@127.0.0.1:{tls}", PASSWORD, None, "--ca"),
        ("mqtts://desk@localhost:{tls}", PASSWORD, "ca.pem", "host name"),
        ("mqtts://desk@127.0.0.1:{tls}", PASSWORD, "passwords", "PEM"),
        ("http://desk@127.0.0.1", PASSWORD, None, "mqtts://"),
        ("mqtt://desk@127.0.0.1:{plain}", PASSWORD, "ca.pem", "mqtts://"),
    ],
    ids=["password", "anonymous", "wrong CA", "no CA", "host name", "not a CA", "scheme", "CA without TLS"],
)
def test_a_broker_that_can_never_work_ends_the_desk_with_one_line(
    city: City, url: str, password: str, ca: str | None, words: str
) -> None:
    more = ["--ca", str(city.path / ca)] if ca else []
    desk = city.run(url.format(plain=city.port, tls=city.tls_port), password, *more)
    assert desk.wait(DEADLINE_S) == 1
    (line,) = city.log().splitlines()
    assert line.startswith("desk: ")
    assert words in line


def test_mosquitto_knows_the_exported_passwords_and_no_others(city: City) -> None:
    with TagClient(city) as tag:
        assert tag.code == 0
    with TagClient(city, password="0" * 64) as tag:
        assert tag.code == 135
    assert (city.path / "passwords").stat().st_mode & 0o777 == 0o600


def test_the_exported_access_list_keeps_tags_to_their_own_topics(city: City) -> None:
    """A tag that publishes below another's id, or downward, is not heard by the desk or the other."""
    desk = city.run(f"mqtt://desk@127.0.0.1:{city.port}")
    city.event("ready")
    with TagClient(city) as tag:
        sealed = city.tag.say(4, 1)
        tag.client.publish("obereg/0000000000000000/up/alert", sealed, 1)
        tag.client.publish(f"obereg/{city.tag.id}/down", sealed, 1)
        tag.say(sealed)
        assert tag.hear()[0] == 34
        assert tag.heard.empty()
    assert _stop(desk) == 0
    assert not city.events("refused")


def _make_certificates(path: Path) -> None:
    """ca.pem, broker.crt and broker.key for 127.0.0.1, and other.pem, a CA that signed nothing."""
    ca = make_ca()
    (path / "ca.pem").write_bytes(ca.pem)
    (path / "other.pem").write_bytes(make_ca().pem)
    ca.issue("127.0.0.1").write(path / "broker")
