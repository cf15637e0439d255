"""
config.json -> Config, or ConfigError naming the field.

    config = load(json.load(file))       # config.broker_host, config.hold_ms ...

Unknown fields are errors: a misspelt field that is silently ignored would be a setting the family believes in.
"""

from collections import namedtuple

from micropython import const

# Between two heartbeats at night (app.py).
_NIGHT_S = const(4 * 3600)

# field, what it holds, default (none: it must be there; - for no value). broker.host is {"broker": {"host": ...}}.
# apn: of the SIM, "" for the network's own; without it the modem is not used. bands: of Cat-M, as "3,8,20".
# hold_ms 0: a touch is a press. night: when it begins and ends, in minutes of the UTC day; a heartbeat every 4 h is
# enough then. keep_alive_s is longer than the longest silence, so that the broker does not say the will meanwhile.
# broker.name: the name in the certificate where it is not the host.
FIELDS = """
board text
broker.host text
broker.port 1..65535 8883
broker.tls switch true
broker.name text -
broker.ca text /ca.der
apn name -
bands name -
wifi networks -
hold_ms 0..5000 600
discreet switch false
heartbeat_s 60..86400 600
night hours -
keep_alive_s 60..65535 18000
"""

_WORDS = {
    "text": "a text of 1 to 128 characters",
    "name": "a text of at most 100 characters without quotes",
    "switch": "true or false",
    "hours": "two minutes of the UTC day, [begin, end], each 0..1439",
    # IEEE 802.11: a name has 1 to 32 bytes; WPA: a key has 8 to 63 characters.
    "networks": 'at most 8 pairs ["name", "key"], keys of 8 to 63 characters or empty',
}


class ConfigError(Exception):
    """A field of config.json that is missing, unknown or not possible. The text names it and says what is."""


def _fits(value, kind):
    if kind == "text":
        return isinstance(value, str) and 1 <= len(value) <= 128
    if kind == "name":
        # It is said in a modem's command line, between quotes.
        return (
            isinstance(value, str)
            and len(value) <= 100
            and all([" " <= c <= "~" and c != '"' for c in value])
        )
    if kind == "switch":
        return isinstance(value, bool)
    if kind == "networks":
        return isinstance(value, list) and len(value) <= 8 and all([_network(pair) for pair in value])
    if kind == "hours":
        return isinstance(value, list) and len(value) == 2 and all([_fits(each, "0..1439") for each in value])
    lowest, highest = kind.split("..")
    return isinstance(value, int) and not isinstance(value, bool) and int(lowest) <= value <= int(highest)


def _network(pair):
    if not isinstance(pair, list) or len(pair) != 2 or not all([isinstance(part, str) for part in pair]):
        return False
    return 1 <= len(pair[0].encode()) <= 32 and len(pair[1]) in (0,) + tuple(range(8, 64))


def _default(kind, text):
    if text == "-":
        return None
    if kind == "switch":
        return text == "true"
    return text if kind == "text" else int(text)


def load(data):
    """Return the Config in `data` (what json.load gave), or raise ConfigError."""
    flat = {}
    for name in data if isinstance(data, dict) else ():
        value = data[name]
        if isinstance(value, dict) and value:
            for inner in value:
                flat["%s.%s" % (name, inner)] = value[inner]
        else:
            flat[name] = value
    config = {}
    for row in FIELDS.strip().split("\n"):
        name, kind, *default = row.split()
        if name in flat:
            value = flat.pop(name)
            if not _fits(value, kind):
                raise ConfigError("config.json: %s must be %s" % (name, _WORDS.get(kind, kind)))
        elif default:
            value = _default(kind, default[0])
        else:
            raise ConfigError("config.json: %s is missing" % name)
        config[name.replace(".", "_")] = value
    # Of the text, hence checked where that is (build.py).
    flat.pop("crc", 0)
    for name in flat:
        raise ConfigError("config.json: there is no field %s" % name)
    longest_s = max(config["heartbeat_s"], _NIGHT_S if config["night"] else 0)
    if longest_s >= config["keep_alive_s"]:
        raise ConfigError(
            "config.json: keep_alive_s must be longer than heartbeat_s, and than 4 h with a night"
        )
    return namedtuple("Config", list(config))(*config.values())
