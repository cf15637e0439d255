"""config.json: every field, what it may hold, and an error that names what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from config import FIELDS, ConfigError, load
from hypothesis import given
from hypothesis import strategies as st

LEAST: dict[str, Any] = {"board": "tag-a", "broker": {"host": "broker.example"}}
ALL = {
    "board": "lilygo-t-sim7080g",
    "broker": {
        "host": "10.0.0.1",
        "port": 1883,
        "tls": False,
        "name": "broker.example",
        "ca": "/other.der",
    },
    "apn": "iot.example",
    "bands": "3,8,20",
    "wifi": [["home", "12345678"], ["open", ""]],
    "hold_ms": 0,
    "discreet": True,
    "heartbeat_s": 14400,
    "night": [1080, 240],
    "keep_alive_s": 65535,
}


def changed(field: str, value: object) -> dict:
    """A configuration in which `field` ("broker.port") holds `value`."""
    data = json.loads(json.dumps(ALL))
    outer, _, inner = field.partition(".")
    (data[outer] if inner else data)[inner or outer] = value
    return data


def test_exactly_these_defaults() -> None:
    assert load(LEAST)._asdict() == {
        "board": "tag-a",
        "broker_host": "broker.example",
        "broker_port": 8883,
        "broker_tls": True,
        "broker_name": None,
        "broker_ca": "/ca.der",
        "apn": None,
        "bands": None,
        "wifi": None,
        "hold_ms": 600,
        "discreet": False,
        "heartbeat_s": 600,
        "night": None,
        "keep_alive_s": 18000,
    }


def test_every_field_is_taken_from_the_file() -> None:
    config = load(ALL)
    told = {**ALL, **{f"broker_{name}": value for name, value in ALL["broker"].items()}}
    del told["broker"]
    assert config._asdict() == told
    assert config.wifi[1] == ["open", ""]


def test_the_file_is_not_changed_by_reading_it() -> None:
    data = json.loads(json.dumps(ALL))
    load(data)
    assert data == ALL


@pytest.mark.parametrize("field", ["board", "broker.host"])
def test_a_field_without_a_default_must_be_there(field: str) -> None:
    data = json.loads(json.dumps(ALL))
    outer, _, inner = field.partition(".")
    del (data[outer] if inner else data)[inner or outer]
    with pytest.raises(ConfigError, match=rf"config\.json: {field} is missing"):
        load(data)


LONGEST = "x" * 128
GOOD = [
    ("board", "x"),
    ("board", LONGEST),
    ("broker.port", 1),
    ("broker.port", 65535),
    ("hold_ms", 5000),
    ("heartbeat_s", 60),
    ("keep_alive_s", 14401),
    ("wifi", [["n" * 32, "k" * 63]]),
    ("wifi", [["дім" * 5, "пароль12"]]),
    ("wifi", [["n", "12345678"]] * 8),
    ("wifi", []),
    ("night", [0, 1439]),
    ("apn", ""),
    ("apn", "x" * 100),
    ("bands", "20"),
]


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_what_is_just_possible_is_taken(field: str, value: object) -> None:
    assert getattr(load(changed(field, value)), field.replace(".", "_")) == value


TEXTS = [None, 5, True, "", LONGEST + "x", ["x"], b"x"]
SWITCHES = [None, 0, 1, "true", []]
MALFORMED = [
    *[
        (field, value, "a text of 1 to 128")
        for field in ("board", "broker.host", "broker.ca")
        for value in TEXTS
    ],
    *[("broker.name", value, "a text of 1 to 128") for value in TEXTS],
    *[(field, value, "true or false") for field in ("discreet", "broker.tls") for value in SWITCHES],
    *[("broker.port", value, "1..65535") for value in (0, -1, 65536, "8883", 8883.0, True, None, [8883])],
    # They are said to the modem between quotes, so neither may end its line or its text.
    *[
        (field, value, "a text of at most 100")
        for field in ("apn", "bands")
        for value in (None, 5, True, ["x"], "x" * 101, 'a"b', "a\rAT+CPOWD=1", "a\n", "\x7f", "дім")
    ],
    *[("hold_ms", value, "0..5000") for value in (-1, 5001, "600", 600.0, False, None)],
    *[("heartbeat_s", value, "60..86400") for value in (59, 0, 86401, "600", True, 10**30)],
    *[
        ("night", value, "two minutes of the UTC day")
        for value in (None, 5, "21:00", [], [1], [0, 1, 2], [0, 1440], [-1, 0], ["21:00", "07:00"], [True, 1])
    ],
    *[("keep_alive_s", value, "60..65535") for value in (59, 0, 65536, "18000", None)],
    *[
        ("wifi", value, "at most 8 pairs")
        for value in (
            None,
            "home",
            5,
            ["home", "12345678"],
            [["home"]],
            [["home", "12345678", ""]],
            [["home", 12345678]],
            [[5, "12345678"]],
            [["", "12345678"]],
            [["n" * 33, "12345678"]],
            [["дім" * 6, "12345678"]],
            [["home", "1234567"]],
            [["home", "k" * 64]],
            [["home", None]],
            [None],
            [["home", "12345678"], 5],
            [["home", "12345678"]] * 9,
        )
    ],
    ("hold_ms", {}, "0..5000"),
    ("discreet", {}, "true or false"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), MALFORMED, ids=lambda part: repr(part)[:40])
def test_a_wrong_field_is_named_and_what_it_may_be(field: str, value: object, allowed: str) -> None:
    with pytest.raises(ConfigError, match=rf"^config\.json: {field} must be .*{allowed}"):
        load(changed(field, value))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("hold", 600, "hold"),
        ("Board", "tag-a", "Board"),
        ("broker.user", "x", r"broker\.user"),
        ("hold_ms", {"long": 5}, r"hold_ms\.long"),
        ("wifis", {}, "wifis"),
        ("", 1, ""),
    ],
)
def test_an_unknown_field_is_named(field: str, value: object, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"^config\.json: there is no field {named}$"):
        load(changed(field, value))


@pytest.mark.parametrize("data", [None, 5, "x", [], [["board", "tag-a"]], {}, True], ids=repr)
def test_what_is_no_map_of_fields_is_a_config_error(data: object) -> None:
    with pytest.raises(ConfigError, match="board is missing"):
        load(data)


@pytest.mark.parametrize("broker", [None, 5, "broker.example", [], {}])
def test_a_broker_that_is_no_map_has_no_host(broker: object) -> None:
    with pytest.raises(ConfigError, match=r"broker\.host is missing"):
        load({**LEAST, "broker": broker})


@pytest.mark.parametrize(("heartbeat_s", "keep_alive_s"), [(600, 600), (601, 600), (86400, 65535)])
def test_a_keep_alive_not_longer_than_the_heartbeat_is_refused(heartbeat_s: int, keep_alive_s: int) -> None:
    """The broker would say the will between two heartbeats."""
    with pytest.raises(ConfigError, match="keep_alive_s must be longer than heartbeat_s"):
        load({**LEAST, "heartbeat_s": heartbeat_s, "keep_alive_s": keep_alive_s})


def test_with_a_night_the_keep_alive_is_longer_than_4_h() -> None:
    night = {**LEAST, "night": [0, 1]}
    with pytest.raises(ConfigError, match="than 4 h with a night"):
        load({**night, "keep_alive_s": 4 * 3600})
    assert load({**night, "keep_alive_s": 4 * 3600 + 1}).night == [0, 1]
    assert load({**LEAST, "keep_alive_s": 4 * 3600}).night is None


def test_a_keep_alive_just_longer_is_taken() -> None:
    assert load({**LEAST, "heartbeat_s": 600, "keep_alive_s": 601}).keep_alive_s == 601


def test_the_default_keep_alive_is_longer_than_the_longest_sleep() -> None:
    assert load(LEAST).keep_alive_s > 4 * 3600


def test_every_board_of_the_firmware_is_a_possible_value() -> None:
    for path in (Path(__file__).parents[2] / "firmware/boards").glob("*.json"):
        assert load({**LEAST, "board": path.stem}).board == path.stem


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = sorted({row.split()[0].partition(".")[0] for row in FIELDS.strip().splitlines()})


def outcome(data: object) -> tuple[Any, str | None]:
    """Return (config, None), or (None, the reason why not)."""
    try:
        return load(data), None
    except ConfigError as error:
        return None, str(error)


@given(st.one_of(JSON, st.dictionaries(st.sampled_from([*NAMES, "x"]), JSON)))
def test_any_json_is_a_config_or_a_config_error(data: object) -> None:
    _, reason = outcome(data)
    assert reason is None or reason.startswith("config.json: ")


@given(st.sampled_from(NAMES), JSON)
def test_one_field_of_anything_is_taken_as_it_is_or_named(name: str, value: object) -> None:
    data = {**ALL, name: value}
    config, reason = outcome(data)
    if reason:
        assert name in reason
    elif name != "broker":
        assert getattr(config, name) == value
        assert type(getattr(config, name)) is type(value)
