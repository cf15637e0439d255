"""
Deliberate faults of the firmware, each of which the campaigns on the interpreter must find.

    sources = broken(CUTS, "the epoch is not persisted")        # {module: its text with that fault}
"""

from collections.abc import Mapping

from tools.mpy import FIRMWARE

Table = Mapping[str, tuple[str, str, str]]

# name: module, what stands there once, what instead
CUTS: Table = {
    "a record is removed before it is written": (
        "journal",
        '            try:\n                file = open(path, "wb")',
        '            self.remove(name)\n            try:\n                file = open(path, "wb")',
    ),
    "the alert is in RAM only": ("outbox", "self.journal.put(\n", "(lambda *_: None)(\n"),
    "what was settled before its record": (
        "tag",
        '        signal = self._step(said, event) if event else ""\n',
        "        if entry and event:\n"
        "            self.outbox.settle(entry)\n"
        "            entry = None\n"
        '        signal = self._step(said, event) if event else ""\n',
    ),
    "an ack's level is not kept": (
        "tag",
        "        else:\n            self._keep(life.Incident(state, *opened[1:]))\n        return signal",
        "        else:\n            self.incident = life.Incident(state, *opened[1:])\n        return signal",
    ),
    "another press is said before it is counted": (
        "tag",
        "            self._keep(life.Incident(*opened[:4], opened.presses + 1))\n            self._say(_UPDATE, True)",
        "            self.incident = life.Incident(*opened[:4], opened.presses + 1)\n"
        "            self._say(_UPDATE, True)\n            self._keep(self.incident)",
    ),
    "an alert without a record is no incident": ("incident", "if entry.kind == 1:", "if entry.kind == 0:"),
    "the epoch is not persisted": (
        "counters",
        "                store.put(_EPOCH, pack_epoch(self.epoch))\n",
        "                pass\n",
    ),
    "the epoch is in one store": ("counters", "self._stores = (nvs, journal)", "self._stores = (nvs, nvs)"),
    "RTC memory is written at the start only": (
        "counters",
        "        self.seq += 1\n        self.save()",
        "        self.seq += 1",
    ),
    "the smaller epoch counts": ("counters", "self.epoch = max(kept) + 1", "self.epoch = min(kept) + 1"),
    "a lost store is not mended": (
        "identity",
        "            if _whole(other) is None:\n",
        "            if False:\n",
    ),
    "a start is not counted": (
        "guard",
        '            nvs.put("starts", sealed(bytes((app.starts,))))\n',
        "            pass\n",
    ),
    "why it died is forgotten before it is on flash": (
        "guard",
        "    # A wake has nothing to tell.\n",
        "    rtc.write(rtc.read()[:_RECORD])\n",
    ),
    "the incident's record is not read": ("incident", 'record = journal.get("incident")', "record = None"),
    "settings that do not belong together are used": (
        "build",
        "    if (at > 0 or crc is not None) and",
        "    if at > 9999 and",
    ),
}

DAMAGE: Table = {
    "a record has no check": ("journal", "if pack(data) == raw else None", "if data else None"),
    "there is no spare of the settings": (
        "identity",
        "        if body and body[_KEY_BYTES:] != settings",
        "        if None",
    ),
    "the spare is in NVS only": (
        "identity",
        "    for store in (nvs, journal):\n        body",
        "    for store in (nvs,):\n        body",
    ),
    "settings have no check": ("build", "    if (at > 0 or crc is not None) and", "    if at > 9999 and"),
    "a build time that is not there ends it": (
        "build",
        "    except Exception:  # noqa: BLE001 - an alert",
        "    except ZeroDivisionError:  # an alert",
    ),
    "the stores' counters are believed as they are": (
        "counters",
        '    body = unpack(data or b"")\n',
        "    body = data[4:-4] if data else None\n",
    ),
    "an epoch that is lost ends it": (
        "counters",
        "                self.epoch = 1 << 31 | random_bits(31)\n",
        "                raise ValueError\n",
    ),
    "a damaged entry of the outbox ends it": (
        "outbox",
        "            except Exception:  # noqa: BLE001 - what is here must not keep the rest from being said\n",
        "            except ZeroDivisionError:\n",
    ),
    "the key is read from NVS only": (
        "identity",
        "    for store, other in ((nvs, journal), (journal, nvs)):",
        "    for store, other in ((nvs, journal),):",
    ),
}


class BreakError(Exception):
    """A deliberate fault that the firmware's text no longer has one place for."""


def broken(table: Table, name: str | None) -> dict[str, str]:
    """Return {module: its text with that fault}, nothing without a name."""
    if name is None:
        return {}
    module, old, new = table[name]
    [path] = FIRMWARE.rglob(f"{module}.py")
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise BreakError(f"{module}.py has {text.count(old)} places for {name!r}: mend faults/breaks.py")
    return {module: text.replace(old, new)}
