"""A tag's registration made known at the desk, and its password to the broker, by the site's own command or by hand."""

import fcntl
import pathlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tools.flasher.errors import FlashError
from tools.flasher.report import scrub
from tools.flasher.show import Screen
from tools.flasher.site import Site

_IMPORT_S = 60
_TURN_S = 300
_LOOK_S = 0.1


def register(port: str, site: Site, screen: Screen, tag: str) -> str:
    """
    Make the registration of `tag` known; return how ("by command" or "by hand").

    FlashError: import (it failed, or took more than 60 s, or nobody was there to do it), file, stopped.
    """
    path = (site.registrations / f"{tag}.json").resolve()
    if not site.importer:
        what = (
            f"Import {path} at the desk (python -m desk tags import FILE) and give the broker its new password"
            " file (python -m desk tags export --mosquitto)."
        )
        if not screen.wait(port, what):
            raise FlashError("import", text="nobody said that it was done")
        return "by hand"
    words = [word.replace("{file}", str(path)) for word in site.importer]
    with _turn(site.registrations):
        _run(words, site.path.resolve().parent)
    screen.say(port, f"the desk knows {tag}")
    return "by command"


@contextmanager
def _turn(folder: pathlib.Path) -> Iterator[None]:
    """One at a time: a command that writes the broker's whole password file must not run beside itself."""
    path = folder / ".lock"
    end_s = time.monotonic() + _TURN_S
    try:
        lock = path.open("w")
    except OSError as error:
        raise FlashError("file", path=path, text=error.strerror) from None
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end_s:
                    raise FlashError("import", text=f"another one has not ended within {_TURN_S} s") from None
            time.sleep(_LOOK_S)
        yield


def _run(words: list[str], folder: pathlib.Path) -> None:
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_IMPORT_S,
        )
    except subprocess.TimeoutExpired:
        raise FlashError("import", text=f"{words[0]} did not end within {_IMPORT_S} s") from None
    except OSError as error:
        raise FlashError("import", text=f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        # Its last line only, and no key should it say one.
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = scrub(lines[-1].strip()) if lines else f"{words[0]} ended with status {done.returncode}"
        raise FlashError("import", text=reason)
