"""
firmware/build.py: what is joined to what by the configuration and the board, and how it says what is missing.

On this interpreter, with a board in memory and the tag's "/" in a folder. Settings that are wrong, on the real one:
test_bad_input.py.
"""

import builtins
import json
import pathlib
import sys
import types

import clock
import config
import counters
import identity
import pytest
from app import App
from config import ConfigError
from log import Log

from sim.provision import config_file
from tests.host.fakes import BUILT_S, FakeNVS, FakeRTCMemory, Now, ticking
from tests.host.joined import ROOT, TAG_ID

BROKER = {"host": "broker.example", "tls": False}
WIFI = [["home", "12345678"]]


class BoardError(Exception):
    pass


class Board:
    """What board.py shows of a board; `claimed` says when its pins were touched."""

    modem = True
    receiver = True
    claimed = 0

    def __init__(self, name, ticks_ms) -> None:
        if name != "tag-a":
            raise BoardError(f"config.json: board {name} is unknown; there is: tag-a")
        Board.claimed += 1
        self.ticks_ms = ticks_ms
        self.nvs = sys.modules["board"].NVS()
        self.rtc_memory = FakeRTCMemory()
        self.modem_uart = types.SimpleNamespace(write=lambda data: None) if self.modem else None
        self.gnss_uart = object() if self.receiver else None
        self.modem_powered = False
        self.stations = 0
        self.lights: list[bool] = []

    def station(self) -> object:
        self.stations += 1
        return object()

    def light(self, on: bool) -> None:
        self.lights.append(on)

    vibration = gnss_power = modem_power = modem_pwrkey = light

    @staticmethod
    def set_rtc(*fields) -> None:
        pass

    @staticmethod
    def battery_mv() -> int:
        return 3900


class Setup:
    """The tag's "/" in `root`; `settings` is its config.json. `build` is the module under test."""

    def __init__(self, monkeypatch, root: pathlib.Path) -> None:
        ticking(monkeypatch, Now())
        self.root = root
        board = types.ModuleType("board")
        board.Board = Board  # type: ignore[attr-defined]
        self.nvs = FakeNVS()
        self.nvs.put("identity", identity.pack(TAG_ID, ROOT, 1))
        self.nvs.put("epoch", counters.pack_epoch(40))
        board.NVS = lambda: self.nvs  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "board", board)
        # It forgets these two when all is joined, and is forgotten itself.
        for name in ("config", "identity"):
            monkeypatch.setitem(sys.modules, name, sys.modules[name])
        monkeypatch.delitem(sys.modules, "build", raising=False)
        import build

        self.build = build
        monkeypatch.setattr(build, "open", self.open, raising=False)
        real = build.Journal
        monkeypatch.setattr(build, "Journal", lambda path: real(str(self.at(path))))
        # CPython's reader wants a loop and a limit; MicroPython's a stream.
        monkeypatch.setattr(build, "asyncio", types.SimpleNamespace(StreamReader=lambda uart: uart))
        monkeypatch.setattr(Board, "claimed", 0)
        self.monkeypatch = monkeypatch
        self.settings = {"board": "tag-a", "broker": dict(BROKER), "wifi": WIFI}
        self.put("/build.json", json.dumps({"built_s": BUILT_S}).encode())
        self.app = App(Log(clock.ticks_ms, lambda line: None))

    def at(self, path: str) -> pathlib.Path:
        return self.root / path.lstrip("/")

    def open(self, path: str, mode: str):
        return builtins.open(self.at(path), mode)

    def put(self, path: str, data: bytes) -> None:
        self.at(path).write_bytes(data)

    def board_has(self, modem: bool, receiver: bool) -> None:
        self.monkeypatch.setattr(Board, "modem", modem)
        self.monkeypatch.setattr(Board, "receiver", receiver)

    def run(self) -> App:
        self.put("/config.json", json.dumps(self.settings).encode())
        self.build.begin(self.app)
        self.build.join(self.app)
        return self.app

    def again(self) -> None:
        """A second start with the same flash."""
        self.app = App(Log(clock.ticks_ms, lambda line: None))
        sys.modules["config"], sys.modules["identity"] = config, identity

    def bearers(self) -> list[str]:
        return [bearer.name for bearer in self.run().link._bearers]


@pytest.fixture
def setup(monkeypatch, tmp_path) -> Setup:
    return Setup(monkeypatch, tmp_path)


# ------------------------------------------------------------------------------------------------ the ways to the desk


@pytest.mark.parametrize(
    ("apn", "wifi", "modem", "expected"),
    [
        ("internet", None, True, ["modem"]),
        ("", None, True, ["modem"]),
        (None, WIFI, True, ["wifi"]),
        ("internet", WIFI, True, ["modem", "wifi"]),
        ("internet", WIFI, False, ["wifi"]),
    ],
    ids=str,
)
def test_the_modem_is_used_when_there_is_an_apn_and_the_board_has_one_and_it_comes_first(
    setup, apn, wifi, modem, expected
):
    setup.board_has(modem, receiver=True)
    setup.settings = {"board": "tag-a", "broker": BROKER}
    setup.settings |= {} if apn is None else {"apn": apn}
    setup.settings |= {} if wifi is None else {"wifi": wifi}
    assert setup.bearers() == expected
    assert (setup.app.modem is not None) == ("modem" in expected)
    assert setup.app.board.stations == expected.count("wifi")


@pytest.mark.parametrize(("apn", "modem"), [(None, True), (None, False), ("internet", False)])
@pytest.mark.parametrize("wifi", [None, []])
def test_no_way_to_the_desk_is_said_with_what_is_missing(setup, apn, modem, wifi):
    setup.board_has(modem, receiver=True)
    setup.settings = {"board": "tag-a", "broker": BROKER}
    setup.settings |= {} if apn is None else {"apn": apn}
    setup.settings |= {} if wifi is None else {"wifi": wifi}
    with pytest.raises(setup.build.BuildError, match=r"neither apn \(and a board with a modem\) nor wifi"):
        setup.run()


def test_without_a_modem_none_of_its_code_is_loaded(setup, monkeypatch):
    for name in ("sim7080", "at_socket", "at_gnss", "shared_sky"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    setup.run()
    assert not {"sim7080", "at_socket", "at_gnss", "shared_sky"} & set(sys.modules)


def test_without_wifi_none_of_its_code_is_loaded_and_no_driver_is_started(setup, monkeypatch):
    monkeypatch.delitem(sys.modules, "wifi", raising=False)
    setup.settings = {"board": "tag-a", "broker": BROKER, "apn": "internet"}
    setup.run()
    assert "wifi" not in sys.modules
    assert setup.app.board.stations == 0


# -------------------------------------------------------------------------------------------------------- the sky


def test_a_board_with_a_receiver_listens_to_that(setup):
    assert type(setup.run().sky).__name__ == "OwnSky"


@pytest.mark.parametrize("apn", [None, "internet"])
def test_a_board_without_one_listens_to_the_modems_if_that_is_used(setup, apn):
    setup.board_has(modem=True, receiver=False)
    setup.settings |= {} if apn is None else {"apn": apn}
    sky = setup.run().sky
    assert type(sky).__name__ == "SharedSky"
    assert sky._modem is setup.app.modem
    assert (sky._modem is None) == (apn is None)


# ------------------------------------------------------------------------------------------------------ what is joined


def test_link_and_tag_know_each_other_and_the_configuration_has_arrived(setup):
    setup.settings |= {"hold_ms": 250, "heartbeat_s": 60, "night": [1, 2], "discreet": True}
    (setup.root / "data").mkdir(exist_ok=True)
    (setup.root / "data" / "service").write_text("2 0")
    app = setup.run()
    assert app.tag.link is app.link
    assert (app.hold_ms, app.heartbeat_s, app.night, app.haptics.discreet) == (250, 60, [1, 2], True)
    assert app.in_service
    assert app.link._dial[:3] == ("broker.example", 8883, TAG_ID.hex())
    app.tag.heartbeat("hello")
    assert app.link.state is not None


def test_a_tag_that_is_not_in_service_has_its_light_even_if_it_is_to_be_discreet(setup):
    setup.settings["discreet"] = True
    app = setup.run()
    assert not app.in_service
    assert not app.haptics.discreet


def test_the_identity_in_nvs_is_mended_on_flash_and_an_epoch_is_opened(setup):
    setup.run()
    assert (setup.root / "data" / "identity").exists()
    assert (setup.root / "data" / "epoch").exists()
    assert setup.app.board.nvs.get("epoch") == counters.pack_epoch(41)


def test_nothing_that_only_builds_is_kept(setup):
    app = setup.run()
    assert not hasattr(app, "config")
    assert not {"config", "identity"} & set(sys.modules)


# ---------------------------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    ("data", "said"),
    [(None, "is missing: install this tag again"), (b"{", "is not JSON"), (b"", "is not JSON")],
    ids=["missing", "cut", "empty"],
)
def test_settings_that_are_missing_or_damaged_are_named(setup, data, said):
    if data is not None:
        setup.put("/config.json", data)
    with pytest.raises(setup.build.BuildError) as caught:
        setup.build.begin(setup.app)
    assert str(caught.value) == f"/config.json {said}"


@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b'{"built_s": "soon"}'], ids=repr)
def test_without_a_build_time_the_clock_has_a_floor_all_the_same(setup, data):
    """TLS needs a year that is plausible."""
    if data is None:
        setup.at("/build.json").unlink()
    else:
        setup.put("/build.json", data)
    assert setup.run().tag.utc.fields()[0] >= 2026


@pytest.mark.parametrize("data", [None, b"", b"{", b'{"board": "tag-a"}'], ids=repr)
def test_after_a_good_start_damaged_settings_are_taken_from_the_spare_and_said(setup, data):
    setup.run()
    setup.again()
    if data is None:
        setup.at("/config.json").unlink()
    else:
        setup.put("/config.json", data)
    setup.build.begin(setup.app)
    setup.build.join(setup.app)
    assert setup.app.link._dial[0] == "broker.example"
    assert "/config.json" in setup.app.note or "config.json:" in setup.app.note
    assert [line for line in setup.app.log.lines if "the last good settings are used" in line]


CA = b"0the CA"


def with_tls(setup) -> None:
    """TLS, a CA, and settings whose check covers both; a first good start."""
    setup.monkeypatch.setattr("wifi.tls_context", lambda ca: ("context of", ca))
    setup.settings["broker"] = {"host": "broker.example", "ca": str(setup.at("/ca.der"))}
    setup.text = config_file(setup.settings, CA)
    setup.write_settings = lambda: (
        setup.put("/config.json", setup.text),
        setup.at("/ca.der").write_bytes(CA),
    )
    setup.write_settings()
    setup.monkeypatch.setattr(setup, "at", lambda path: setup.root / path.lstrip("/").rpartition("/")[2])
    setup.build.begin(setup.app)
    setup.build.join(setup.app)


@pytest.mark.parametrize(
    "damage",
    [
        lambda setup: setup.put("/config.json", setup.text.replace(b"broker.", b"brokes.")),
        lambda setup: setup.put("/config.json", setup.text.replace(b'"crc"', b'"crd"')),
        lambda setup: setup.put("/config.json", setup.text.replace(b', "crc"', b',  "crc"')),
        lambda setup: setup.put("/ca.der", b"0the Ca"),
        lambda setup: setup.put("/ca.der", b""),
        lambda setup: setup.at("/ca.der").unlink(),
    ],
    ids=["a letter", "the check's name", "the check's place", "the CA", "no CA", "the CA is gone"],
)
def test_damage_that_still_looks_like_settings_is_known_by_the_check(setup, damage):
    with_tls(setup)
    setup.again()
    damage(setup)
    setup.build.begin(setup.app)
    setup.build.join(setup.app)
    assert setup.app.note
    assert setup.app.link._dial[0] == "broker.example"
    assert setup.app.link._bearers[0]._context == ("context of", CA)
    # For a modem, which is given the file.
    assert setup.at("/ca.der").read_bytes() == CA


def test_settings_that_were_changed_by_hand_need_no_check(setup):
    with_tls(setup)
    setup.again()
    setup.put("/config.json", json.dumps({**setup.settings, "hold_ms": 10}).encode())
    setup.build.begin(setup.app)
    assert (setup.app.hold_ms, setup.app.note) == (10, "")


def test_a_missing_ca_is_named_and_never_means_no_tls(setup):
    setup.settings["broker"] = {"host": "broker.example"}
    with pytest.raises(setup.build.BuildError, match=r"/ca\.der is missing"):
        setup.run()


def test_a_wrong_configuration_touches_no_pin(setup):
    setup.settings["holdms"] = 3
    with pytest.raises(ConfigError, match="there is no field holdms"):
        setup.run()
    assert Board.claimed == 0


def test_an_unknown_board_is_named(setup):
    setup.settings["board"] = "tag-z"
    with pytest.raises(BoardError, match="tag-z is unknown"):
        setup.run()


def test_a_tag_that_was_never_provisioned_opens_no_epoch(setup, monkeypatch):
    monkeypatch.setattr(FakeNVS, "get", lambda self, name: None)
    with pytest.raises(identity.IdentityError, match="must be provisioned"):
        setup.run()
    assert not (setup.root / "data" / "epoch").exists()
    # The light can say it: the board was known before.
    assert setup.app.haptics is not None


def test_no_way_to_the_desk_is_known_before_anything_is_sent(setup):
    """Flash has its epoch, the haptics their board: the technician reads the line, mends config.json, starts again."""
    setup.settings = {"board": "tag-a", "broker": BROKER}
    with pytest.raises(setup.build.BuildError):
        setup.run()
    assert setup.app.haptics is not None
    assert setup.app.tag is None
