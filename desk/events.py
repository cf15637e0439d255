"""What happens at the desk, one JSON line each, for programs that watch it (`run --events`)."""

import json
import logging
import sys
import time
from typing import Any, TextIO

_log = logging.getLogger("desk")

Event = dict[str, Any]


def stamp(what: str, **fields: Any) -> Event:
    """An event of this moment: `t_ms` is the machine's monotonic clock, `unix_ms` the wall's."""
    return {
        "t_ms": round(time.monotonic() * 1000, 3),
        "unix_ms": time.time_ns() // 1_000_000,
        "what": what,
        **fields,
    }


class Events:
    """Writes events to a file (appended), to standard output (`-`) or nowhere (None). May raise OSError."""

    def __init__(self, path: str | None) -> None:
        self._out: TextIO | None = None
        if path == "-":
            self._out = sys.stdout
        elif path is not None:
            self._out = open(path, "a", encoding="utf-8")  # noqa: SIM115  it lives as long as the desk

    def write(self, event: Event) -> None:
        """Write one line. A full disk ends the events, never the desk."""
        if self._out is None:
            return
        try:
            self._out.write(json.dumps(event) + "\n")
            self._out.flush()
        except OSError as error:
            self._out = None
            _log.error("no more events are written: %s", error)

    def close(self) -> None:
        """Close the file."""
        if self._out not in (None, sys.stdout):
            self._out.close()
