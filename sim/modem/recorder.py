"""The dialogue on the wire, as it was: times, directions, bytes; and as exchanges for a report."""

from typing import Any, NamedTuple

HOST, MODEM, MARK = "host", "modem", "mark"
_MAX_ENTRIES = 100_000


class Entry(NamedTuple):
    """at_ms: modem time since start. who: host, modem or mark (a remark such as a supply cut). raw: payload."""

    at_ms: float
    who: str
    data: bytes
    raw: bool = False


class Recorder:
    """Keeps the first 100,000 entries and counts what came after."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.dropped = 0

    def add(self, at_ms: float, who: str, data: bytes, raw: bool = False) -> None:
        if len(self.entries) >= _MAX_ENTRIES:
            self.dropped += 1
            return
        self.entries.append(Entry(at_ms, who, data, raw))

    def exchanges(self) -> list[dict[str, Any]]:
        """
        Return [{at_ms, command, answer, took_ms}] in order, ready for JSON.

        answer: the text lines until the next command; payload stands as <n bytes>. took_ms: from the command to the
        first final result, None when there was none. command is "" for what came before the first command.
        """
        found: list[dict[str, Any]] = []
        current: dict[str, Any] = {"at_ms": 0, "command": "", "answer": [], "took_ms": None}
        for entry in self.entries:
            if entry.who == HOST and not entry.raw:
                if current["command"] or current["answer"]:
                    found.append(current)
                text = _text(entry.data)
                current = {"at_ms": round(entry.at_ms), "command": text, "answer": [], "took_ms": None}
                continue
            for line in [f"<{len(entry.data)} bytes>"] if entry.raw else _text(entry.data).split("\n"):
                if line:
                    current["answer"].append(line if entry.who != MARK else f"<{line}>")
            final = entry.data.endswith((b"OK\r\n", b"ERROR\r\n")) or b"+CME ERROR:" in entry.data
            if entry.who == MODEM and final and current["took_ms"] is None:
                current["took_ms"] = round(entry.at_ms - current["at_ms"])
        found.append(current)
        return found


def _text(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace").replace("\r", "\n").strip("\n")
