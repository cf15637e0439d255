"""esp32.NVS, kept in a host file by commit()."""

import binascii
import json

import simhost
from micropython import const

_MAX_NAME = const(15)


def _error(code, name):
    return OSError(-code, name)


def _load():
    data = simhost.read(simhost.wiring["nvs"])
    return json.loads(data) if data else {}


_store = _load()  # "namespace/key" -> int, or the hex of a blob


class NVS:
    """Values set are seen at once by this process; only commit() makes them survive."""

    def __init__(self, namespace):
        if len(namespace) > _MAX_NAME:
            raise _error(0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
        self._namespace = namespace

    def _name(self, key):
        if len(key) > _MAX_NAME:
            raise _error(0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
        return self._namespace + "/" + key

    def _get(self, key, kind):
        value = _store.get(self._name(key))
        if not isinstance(value, kind):
            raise _error(0x1102, "ESP_ERR_NVS_NOT_FOUND")
        return value

    def set_i32(self, key, value):
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("overflow converting long int to machine word")
        _store[self._name(key)] = value

    def get_i32(self, key):
        return self._get(key, int)

    def set_blob(self, key, value):
        _store[self._name(key)] = binascii.hexlify(value).decode()

    def get_blob(self, key, buffer):
        """Fill `buffer`; return the length. A buffer too small is an error, as on the chip."""
        value = binascii.unhexlify(self._get(key, str))
        if len(value) > len(buffer):
            raise _error(0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        name = self._name(key)
        if name not in _store:
            raise _error(0x1102, "ESP_ERR_NVS_NOT_FOUND")
        del _store[name]

    def commit(self):
        simhost.write(simhost.wiring["nvs"], json.dumps(_store).encode())
