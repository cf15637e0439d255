"""
Deliberate faults, on this interpreter, that flips, replays, fuzz and soak must find.

    plant(FLIPS, "the MAC is not checked")      # before anybody imports the module that it breaks
"""

import importlib.util
import sys
from collections.abc import Mapping

import faults  # noqa: F401  the firmware's folders on the path

Table = Mapping[str, tuple[str, str, str]]

_MAC_NOT_CHECKED = (
    "envelope",
    "    if not equal(mac, _mac(key, protected, payload)):\n",
    "    if not equal(mac, mac):\n",
)

# name: module, what stands there once, what instead
FLIPS: Table = {
    "the tag does not check the MAC": _MAC_NOT_CHECKED,
    "the tag compares half of the MAC": (
        "envelope",
        "    if not equal(mac, _mac(key, protected, payload)):\n",
        "    if not equal(mac[:16], _mac(key, protected, payload)[:16]):\n",
    ),
    "the tag takes any unprotected header": ("envelope", " or unprotected != {}", ""),
    "the tag takes any tag number": (
        "envelope",
        "if not isinstance(value, cbor.Tag) or value.number != number:",
        "if not isinstance(value, cbor.Tag):",
    ),
    "the desk does not check the MAC": (
        "desk.token",
        '        raise TokenError("mac", "the mac is wrong: another key, or the bytes were changed") from None\n',
        '        payload = match["claims"]\n',
    ),
    "the desk takes any tag number": (
        "desk.token",
        '    rb"\\xd8\\x3d\\xd1\\x84"  # 61',
        '    rb"..\\xd1\\x84"  # 61',
    ),
}

REPLAYS: Table = {
    "the tag does not look at the key's generation": (
        "envelope",
        "    if protected != _protected(kid):\n",
        "    if len(protected) != 14:\n",
    ),
    "a level is felt again": ("incident", "    if rev > incident.rev:\n", "    if True:\n"),
    "the nonce of any ack is taken": (
        "tag",
        "        if ack.level == 0 or entry or ack.rev > opened.rev:\n",
        "        if True:\n",
    ),
    "an ack of a state message is not bound to it": (
        "tag",
        "            right = self._state_id == (ack.of, ack.digest)",
        "            right = self._state_id is not None",
    ),
    "a signed time sets the clock back": (
        "clock",
        "            if utc_s < self._floor_s - _SLACK_S or (self.trust > 1 and ahead_s < -_SLACK_S):\n"
        "                return False\n",
        "",
    ),
    "the desk takes a repeat for a new message": (
        "desk.incidents",
        "        return REPEAT if seen else REUSE\n",
        "        return NEW\n",
    ),
    "the desk rings for a repeat": (
        "desk.incidents",
        "        return REPEAT if seen else REUSE\n",
        "        pass\n",
    ),
    "the desk does not look at the key's generation": (
        "desk.intake",
        "token.verify(payload, registration.up, registration.kid)",
        "token.verify(payload, registration.up, None)",
    ),
}

FUZZ: Table = {
    "a line grows for ever": ("at", "                if len(line) > _MAX_LINE or ", "                if "),
    "a payload of any length is awaited": ("at", " or self._left > _MAX_DATA:", ":"),
    "a fix may be anywhere": (
        "at_gnss",
        "    if abs(lat_e7) > 900000000 or abs(lon_e7) > 1800000000:\n        return None\n",
        "",
    ),
    "an odd number comes out of a fix": ("at_gnss", "    except ValueError:\n", "    except KeyError:\n"),
    "an odd number comes out of a sentence": (
        "nmea",
        '        raise NMEAError("number")\n',
        "        pass\n",
    ),
    "CBOR is nested without end": ("cbor", "    if depth > _MAX_DEPTH:", "    if depth > 99999:"),
    "text of any bytes is decoded": (
        "cbor",
        "        except ValueError:  # UnicodeError is one",
        "        except KeyError:",
    ),
    "keys in any order": ("cbor", "        if raw <= last:", "        if raw == last:"),
    "an ack's parts are of any type": (
        "alert",
        "    if not isinstance(value, bytes) or len(value) != 8:",
        "    if not value:",
    ),
    "the desk leaks what its library raises": (
        "desk.token",
        "    except Exception as error:  # noqa: BLE001  cbor2 knows tags",
        "    except cbor2.CBORDecodeError as error:  #",
    ),
    "a packet of any length is awaited": ("mqtt", "if length > _MAX_BYTES or (", "if ("),
    "a topic may be longer than its packet": ("mqtt", "len(body) < end + 2 * qos or ", ""),
    "settings of any type": (
        "config",
        "        return isinstance(value, str) and 1 <= len(value) <= 128",
        "        return 1 <= len(value) <= 128",
    ),
    "a record of any form": (
        "incident",
        "    except (cbor.CBORError, IncidentError, TypeError):",
        "    except (cbor.CBORError, IncidentError):",
    ),
    "who hears the modem dies of an odd time": (
        "sim7080",
        "        if len(digits) > 5:",
        "        if len(digits) > 2:",
    ),
}

SOAK: Table = {
    "ticks are compared without their ring": (
        "clock",
        "    return (now_ms - then_ms + _HALF) % _RING - _HALF\n",
        "    return now_ms - then_ms\n",
    ),
    "the packet id does not wrap": ("mqtt", "if client.pid >= 65535:", "if client.pid >= 99999:"),
    "the epoch starts over": (
        "counters",
        "                self.epoch = 1 << 31 | random_bits(31)\n",
        "                self.epoch = 1\n",
    ),
    "the receiver's time is believed": (
        "clock",
        "        elif self._refusing or ahead_s < -_SLACK_S or utc_s > self._floor_s + _UNSIGNED_AHEAD_S:\n"
        "            return False\n",
        "",
    ),
    "the clock ends in 2038": (
        "clock",
        "        self._set_rtc(*time.gmtime(utc_s - _EPOCH_S)[:6])\n",
        "        self._set_rtc(*time.gmtime(min(utc_s, 0x7FFFFFFF) - _EPOCH_S)[:6])\n",
    ),
    "packet ids that were answered are kept": ("mqtt", "        self._waiting.remove(packet_id)\n", ""),
    "openings are remembered for ever": (
        "reopening",
        " if clock.since(now_ms, t) < _HOUR_MS][-_OPENS_PER_HOUR:]\n",
        "] + [now_ms]\n",
    ),
}

MODEM: Table = {
    "a command has no deadline": (
        "at_line",
        "            if left_ms <= 0:\n                raise ModemError(what)\n",
        "            left_ms = max(left_ms, 1000)\n",
    ),
    "the line is not freed after a refusal": (
        "at_line",
        "        async with self.lock:\n            if self.stale:\n                await self._resync()\n"
        "            return await self.say(text, deadline_ms, payload)\n",
        "        await self.lock.acquire()\n        if self.stale:\n            await self._resync()\n"
        "        said = await self.say(text, deadline_ms, payload)\n        self.lock.release()\n        return said\n",
    ),
    "a refusal is an OK": (
        "at_line",
        '        if self._final != "OK":\n            raise ModemError(',
        "        if not self._final:\n            raise ModemError(",
    ),
    "the ladder ends with CFUN": (
        "sim7080",
        "        elif self.failures == _RESTART:\n",
        "        elif self.failures >= _RESTART:\n",
    ),
    "settings are read once": ("sim7080", "_DOUBT_MS = const(60000)", "_DOUBT_MS = const(99999999)"),
    "CADATAIND is trusted for ever": (
        "at_socket",
        "            if not self._waiting:\n                try:\n"
        "                    poll_s = _POLL_S if self._asked else _IDLE_POLL_S\n",
        "            while not (self._waiting or self.over):\n                self._news.clear()\n"
        "                try:\n                    poll_s = 99999\n",
    ),
    "a socket that fails is not given back": (
        "at_socket",
        "        except ModemError:\n            modem.failures += 1\n            modem.sockets.pop(cid)\n",
        "        except ModemError:\n            modem.failures += 1\n",
    ),
}


class PlantError(Exception):
    """A deliberate fault that the code no longer has one place for."""


def plant(table: Table, name: str | None) -> None:
    """Break a module of this process; nothing without a name. PlantError if it has changed or is in use already."""
    if name is None:
        return
    module, old, new = table[name]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or module in sys.modules:
        raise PlantError(f"{module} is not there, or imported already")
    with open(spec.origin, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        raise PlantError(f"{module} has {text.count(old)} places for {name!r}: mend faults/planted.py")
    made = importlib.util.module_from_spec(spec)
    sys.modules[module] = made
    exec(compile(text.replace(old, new), spec.origin, "exec"), made.__dict__)
    parent, _, child = module.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, made)
