"""
config.json -> Config, or ConfigError naming the field.

    config = load(json.load(file))

Unknown fields are errors: a misspelt field that is silently ignored would be a setting the family believes in.
"""

from collections import namedtuple


class ConfigError(Exception):
    """A field of config.json that is missing, unknown or not possible. The text names it and says what is."""


def _text(value):
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        return "a text of 1 to 128 characters"
    return None


def _switch(value):
    return None if isinstance(value, bool) else "true or false"


def _whole(lowest, highest):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            return "a whole number from %d to %d" % (lowest, highest)
        return None

    return check


def _networks(value):
    """Known Wi-Fi networks: [[name, key], ...]; an empty key for an open network."""
    if not isinstance(value, list) or len(value) > 8:
        return 'a list of at most 8 ["name", "key"] pairs'
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            return 'a list of at most 8 ["name", "key"] pairs'
        # IEEE 802.11: a name has 1 to 32 bytes; WPA: a key has 8 to 63 characters.
        if not 1 <= len(pair[0].encode()) <= 32 or not (pair[1] == "" or 8 <= len(pair[1]) <= 63):
            return "names of 1 to 32 bytes and keys of 8 to 63 characters (or empty)"
    return None


_NEEDED = "needed"

# field: (check, default); in nested form "broker.host" is {"broker": {"host": ...}}
_FIELDS = (
    ("board", _text, _NEEDED),
    ("broker.host", _text, _NEEDED),
    ("broker.port", _whole(1, 65535), 8883),
    ("broker.tls", _switch, True),
    # The name in the broker's certificate, where it is not `host` (an address, say).
    ("broker.name", _text, None),
    ("broker.ca", _text, "/ca.der"),
    ("wifi", _networks, _NEEDED),
    # 0: a touch is a press. More than 5 s no small child holds.
    ("hold_ms", _whole(0, 5000), 600),
    ("discreet", _switch, False),
    ("heartbeat_s", _whole(60, 86400), 600),
    # Longer than the longest sleep (DESIGN: 4 h at night), so that the broker does not publish the will meanwhile.
    ("keep_alive_s", _whole(60, 65535), 18000),
)

Config = namedtuple("Config", [name.replace(".", "_") for name, _, _ in _FIELDS])


def _flat(data):
    """One level of nesting, as names with a dot."""
    flat = {}
    for name in data:
        value = data[name]
        if isinstance(value, dict):
            for inner in value:
                flat["%s.%s" % (name, inner)] = value[inner]
        else:
            flat[name] = value
    return flat


def load(data):
    """Return the Config in `data` (what json.load gave), or raise ConfigError."""
    if not isinstance(data, dict):
        raise ConfigError("config.json must hold an object, {...}")
    flat = _flat(data)
    values = []
    for name, check, default in _FIELDS:
        if name in flat:
            value = flat.pop(name)
            wrong = check(value)
            if wrong:
                raise ConfigError("config.json: %s must be %s" % (name, wrong))
        elif default is _NEEDED:
            raise ConfigError("config.json: %s is missing" % name)
        else:
            value = default
        values.append(value)
    for name in flat:
        raise ConfigError(
            "config.json: %s is not a field; there are %s" % (name, ", ".join([f[0] for f in _FIELDS]))
        )
    config = Config(*values)
    if config.heartbeat_s >= config.keep_alive_s:
        raise ConfigError("config.json: keep_alive_s must be longer than heartbeat_s")
    return config
