"""
The whole story on real MicroPython: each board and bearer, the embedded broker and mosquitto, without sky and clock.

The modem is quicker than a real one, so no figure is judged here.
"""

import itertools
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import cwt
import pytest

from desk.token import verify
from sim import certs
from sim.common import ROOT
from sim.demo import recording

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
# Of the emulated network.
THE_CELL = [1, 1, 0x07D0, 12024586, -89]
STEPS = [
    "pressed",
    "touch",
    "latched",
    "on flash",
    "published",
    "at the desk",
    "level 1 felt",
    "position update",
    "update at the desk",
    "taken by a person",
    "level 3 felt",
    "closed by a person",
    "closed felt",
]
FIGURES = [
    "touch_to_latched_ms",
    "latched_to_flash_ms",
    "press_to_publish_ms",
    "press_to_desk_ms",
    "press_to_ack_felt_ms",
    "link_floor_ms",
]


def demo(tmp_path: pathlib.Path, *options: str) -> dict:
    """Run `python -m sim demo`; return its JSON."""
    out = tmp_path / "demo.json"
    options = (*options, "--json", str(out), "--keep", str(tmp_path / "demo"), "--speed", "10")
    result = subprocess.run(
        [sys.executable, "-m", "sim", "demo", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(out.read_text())


def claims_of(result: dict) -> dict:
    kid = bytes.fromhex(result["keys"]["tag"]) + b"\x01"
    key = cwt.COSEKey.new({1: 4, 2: kid, 3: 5, -1: bytes.fromhex(result["keys"]["up"])})
    claims = cwt.decode(bytes.fromhex(result["token_hex"]), key)
    assert isinstance(claims, dict)
    return claims


@pytest.mark.parametrize(
    ("options", "cell", "size"),
    [
        pytest.param((), THE_CELL, 148, id="modem"),
        pytest.param(("--board", "lilygo-t-sim7080g"), THE_CELL, 148, id="shared radio"),
        pytest.param(("--bearer", "wifi"), None, 135, id="wifi"),
    ],
)
def test_the_whole_story_is_told_in_a_heap_of_192_kb(tmp_path, options, cell, size):
    result = demo(tmp_path, "--heap", str(192 * 1024), *options)
    assert result["ok"]
    assert result["verified"]
    at = {}
    for event in result["events"]:
        at.setdefault(event["what"], event["t_ms"])
    times = [at[step] for step in STEPS]
    # A pair may be seen in either order: the desk may have it before the tag's task says that it is written.
    assert all(later >= earlier - 30 for earlier, later in itertools.pairwise(times)), at
    assert all(isinstance(result[name], float) and result[name] >= 0 for name in FIGURES)
    token = bytes.fromhex(result["token_hex"])
    assert len(token) == result["token_bytes"] <= size
    claims = claims_of(result)
    assert abs(claims[6] - time.time()) < 120
    assert round(claims[264][1] * 10**7) == result["lat_e7"]
    assert round(claims[264][2] * 10**7) == result["lon_e7"]
    assert result["cell"] == claims[-65537].get(4) == cell
    played = recording(None)
    if played:
        digits = f"{abs(result['lat_e7']) // 10**7:02d}{abs(result['lat_e7']) % 10**7 * 60 // 10**7:02d}."
        assert digits.encode() in played.read_bytes()
    # The desk's own reader agrees with the library, and no bit of it may be another.
    up, kid = bytes.fromhex(result["keys"]["up"]), bytes.fromhex(result["keys"]["tag"]) + b"\x01"
    assert verify(token, up, kid).kind == 3
    commands = [said["command"] for said in result["modem_dialogue"]]
    assert any(command.startswith("AT+CAOPEN=") for command in commands) == bool(cell)
    # No part failed and began anew.
    assert (tmp_path / "demo" / "console.log").read_text().count("app: obereg") == 1


def test_without_a_sky_the_alert_arrives_without_a_place(tmp_path):
    result = demo(tmp_path, "--no-sky")
    assert result["lat_e7"] is None
    assert 264 not in claims_of(result)
    assert result["cell"] == THE_CELL


def test_from_cold_the_alert_arrives_without_iat_and_with_flag_4_and_the_start_is_told_after_it(tmp_path):
    result = demo(tmp_path, "--no-sky", "--from", "cold")
    claims = claims_of(result)
    assert 6 not in claims
    assert claims[-65537][3] & 4
    assert claims[-65537][0] == 1
    assert "heartbeat at the desk" in [event["what"] for event in result["events"]]


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)")
def test_the_story_over_mosquitto_with_tls_passwords_and_access_list(tmp_path):
    def desk(*words: str) -> None:
        command = [sys.executable, "-m", "desk", *words, "--db", f"sqlite:///{tmp_path}/export.db"]
        environment = {"OBEREG_BROKER_PASSWORD": "secret-of-the-desk", "PATH": "/usr/bin:/bin"}
        subprocess.run(command, cwd=ROOT, check=True, timeout=30, capture_output=True, env=environment)

    desk("tags", "add", "--out", str(tmp_path / "identity.json"))
    desk("tags", "export", "--mosquitto", "--desk-user", "desk", "--out", str(tmp_path / "passwords"))
    desk("tags", "export", "--acl", "--desk-user", "desk", "--out", str(tmp_path / "acl"))
    authority = certs.make_ca()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    cert, key = authority.issue("localhost").write(tmp_path / "broker")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "mosquitto.conf").write_text(
        # As root mosquitto would change to a user that cannot read this folder.
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous false\nuse_username_as_clientid false\n"
        f"password_file {tmp_path}/passwords\nacl_file {tmp_path}/acl\nset_tcp_nodelay true\n"
        f"certfile {cert}\nkeyfile {key}\n"
    )
    assert MOSQUITTO
    broker = subprocess.Popen([MOSQUITTO, "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        result = demo(
            tmp_path,
            *("--broker", f"mqtts://desk:secret-of-the-desk@localhost:{port}"),
            *("--ca", str(tmp_path / "ca.pem"), "--identity", str(tmp_path / "identity.json")),
        )
        assert result["verified"]
    finally:
        broker.terminate()
        broker.wait(10)
