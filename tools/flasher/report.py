"""
The tray report: one row for each time a board went through `all`, in tray.json and, for a spreadsheet, in tray.csv.

    report = Report("tray")
    row = report.begin(port)               # on disk at once, as "unfinished"
    row["tag"] = ...; report.keep(row)     # after each step

Both files are replaced whole, by several programs if need be: Ctrl-C, a crash or a cut leave the last row that was
kept. Never a key in it: what looks like one is not written.
"""

import csv
import fcntl
import io
import json
import os
import pathlib
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tools.flasher.errors import FlashError

SERVICE, REFUSED, UNFINISHED, STOPPED = "in service", "refused", "unfinished", "stopped"
STEPS = ("burn", "install", "provision", "desk", "check", "commission", "label")
_HEAD = (
    *("number", "result", "tag", "mac", "iccid", "imei", "chip", "board", "micropython", "obereg", "modem"),
    *("port", "started", "seconds"),
)
_TAIL = ("step", "error", "status", "reason", "answers", "figures")
# 32 bytes in hex or base64: as long as a key, hence not for a report. An ICCID has 20 digits, a version fewer.
_KEY = re.compile(r"[0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}=|[A-Za-z0-9_-]{43,}")


def scrub(text: str) -> str:
    """Return `text` without anything that is as long as a key."""
    return _KEY.sub("(left out)", text)


class Report:
    """The report in `folder`, which is made. Safe from several threads and programs. FlashError: report."""

    def __init__(self, folder: str | pathlib.Path) -> None:
        self.folder = pathlib.Path(folder)
        self.json, self.csv = self.folder / "tray.json", self.folder / "tray.csv"
        self._mine: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows, oldest first."""
        try:
            found = json.loads(self.json.read_text())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise FlashError("report", path=self.json, text=error) from None
        if not isinstance(found, list) or not all(isinstance(row, dict) and "number" in row for row in found):
            raise FlashError("report", path=self.json, text="it is no list of rows")
        return found

    def begin(self, port: str) -> dict[str, Any]:
        """Make a row, unfinished."""
        with self._locked() as rows:
            row: dict[str, Any] = {
                "number": max((each["number"] for each in rows), default=0) + 1,
                "result": UNFINISHED,
                "port": port,
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "steps": {},
                "figures": {},
                "answers": [],
            }
            self._mine[row["number"]] = row
            self._write([*rows, row])
        return row

    def keep(self, row: dict[str, Any]) -> None:
        """Write a row's present state."""
        with self._locked() as rows:
            self._write([row if each["number"] == row["number"] else each for each in rows])

    def drop(self, row: dict[str, Any]) -> None:
        """Take a row out: nothing was done."""
        with self._locked() as rows:
            self._mine.pop(row["number"], None)
            self._write([each for each in rows if each["number"] != row["number"]])

    def stop(self) -> None:
        """Say of every row that this program has left unfinished that it was stopped here."""
        for row in self._mine.values():
            if row["result"] == UNFINISHED:
                row["result"] = STOPPED
                self.keep(row)

    @contextmanager
    def _locked(self) -> Iterator[list[dict[str, Any]]]:
        with self._lock:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with (self.folder / ".lock").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    yield self.rows()
            except OSError as error:
                raise FlashError("report", path=self.folder, text=error.strerror) from None

    def _write(self, rows: list[dict[str, Any]]) -> None:
        text = "[\n" + ",\n".join(scrub(json.dumps(row)) for row in rows) + "\n]\n"
        self._replace(self.json, text)
        self._replace(self.csv, table(rows))

    def _replace(self, path: pathlib.Path, text: str) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=".", delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as CSV."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow([*_HEAD, *(f"{step}_s" for step in STEPS), *_TAIL])
    for row in rows:
        steps = row.get("steps", {})
        cells = [row.get(name) for name in _HEAD]
        cells += [steps[step]["s"] if step in steps else None for step in STEPS]
        cells += [row.get(name) for name in _TAIL[:4]]
        cells.append("; ".join(f"{question} {answer}" for question, answer in row.get("answers", [])))
        cells.append("; ".join(_flat(row.get("figures", {}))))
        write.writerow(["" if cell is None else scrub(str(cell)) for cell in cells])
    return out.getvalue()


def _flat(figures: dict[str, Any]) -> Iterator[str]:
    for part, values in figures.items():
        for name, value in values.items() if isinstance(values, dict) else (("", values),):
            yield f"{part}.{name}={value}".replace(".=", "=")
