"""What the technician sees: steps and progress bars (Rich), or JSON for a script."""

import json
import os
import select
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from tools.flasher.errors import FlashError

_LOOK_S = 0.2


class Screen:
    """
    Shared by all ports that are worked at. `as_json`: one JSON object per event on standard output, nothing else.

    Whoever calls must never hand over a key: what goes in here is shown and logged. `answers`: what the technician
    said, [question, answer] per port. `stopped`: set it, and nobody waits for an answer any more.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.answers: dict[str, list[list[str]]] = {}
        self.stopped = threading.Event()
        self._typed = b""
        self._lock = threading.Lock()
        self._questions = threading.Lock()
        self._console = Console(highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=self._console,
            transient=True,
            disable=as_json or not self._console.is_terminal,
        )

    def __enter__(self) -> "Screen":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, port: str, text: str, /, **facts: Any) -> None:
        """Say one thing that was done or found."""
        with self._lock:
            if self.as_json:
                print(json.dumps({"said": text, **facts, "port": port}), flush=True)
            else:
                self._console.print(f"{port}  {text}" if port else text, markup=False)

    def fail(self, port: str, error: FlashError) -> None:
        """Say what went wrong and what to do."""
        with self._lock:
            if self.as_json:
                print(
                    json.dumps(
                        {
                            "port": port,
                            "error": error.kind,
                            "status": error.status,
                            "text": error.text,
                            "cure": error.cure,
                        }
                    ),
                    flush=True,
                )
            else:
                print(
                    f"{port}: {error.text}. {error.cure}" if port else f"{error.text}. {error.cure}",
                    file=sys.stderr,
                )

    def ask(self, port: str, question: str, first: Callable[[], object] | None = None) -> bool:
        """
        Ask the technician; one question at a time, whatever port it comes from. No answer means no.

        `first`: what the question is about, done when it is this one's turn. FlashError: stopped.
        """
        with self._questions:
            if first:
                first()
            self.say(port, f"{question} [y/n]", question=question)
            yes = self._line().strip().lower() in ("y", "yes")
            self.answers.setdefault(port, []).append([question, "yes" if yes else "no"])
            return yes

    def wait(self, port: str, what: str) -> bool:
        """Ask the technician to do something and to press Enter. False: there is nobody. FlashError: stopped."""
        with self._questions:
            self.say(port, f"{what} Then press Enter.", question=what)
            done = bool(self._line())
            self.answers.setdefault(port, []).append([what, "done" if done else "no answer"])
            return done

    def _line(self) -> str:
        """The next line that is typed, "" at the end of the input."""
        while b"\n" not in self._typed:
            if self.stopped.is_set():
                raise FlashError("stopped")
            if select.select([sys.stdin], [], [], _LOOK_S)[0]:
                piece = os.read(sys.stdin.fileno(), 1024)
                if not piece:
                    break
                self._typed += piece
        line, mark, self._typed = self._typed.partition(b"\n")
        return (line + mark).decode(errors="replace")

    def bar(self, port: str, what: str) -> "Bar":
        """Return a progress bar; call it with (bytes done, of how many)."""
        return Bar(self._progress, f"{port}  {what}")


class Bar:
    """A progress bar that shows at the first call and goes with `close`."""

    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._text = text
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._task is None:
            self._task = self._progress.add_task(self._text, total=total)
        self._progress.update(self._task, completed=done, total=total)

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
