"""
One board from blank to in service: burn, install, provision, desk, check, commission, label.

What is done is read off the board itself (its prompt, or its flash where it has none), and off the report where the
board cannot know (the check, the desk). So a board that was cut anywhere goes on where it stopped; a step that is done
is said as done and costs a look.
"""

import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tools.flasher import firmware
from tools.flasher.atdesk import register
from tools.flasher.burn import burn
from tools.flasher.check import check
from tools.flasher.commission import PRESS_S, commission
from tools.flasher.errors import FlashError
from tools.flasher.install import install
from tools.flasher.label import label
from tools.flasher.look import look
from tools.flasher.provision import provision
from tools.flasher.repl import Repl
from tools.flasher.report import REFUSED, SERVICE, STEPS, STOPPED, Report
from tools.flasher.show import Screen
from tools.flasher.site import Site

DONE, BEFORE = "done", "done before"
# What a chip that is still starting and a poor contact do; each step may be done twice.
_AGAIN = ("no-answer", "esptool")


class Options(NamedTuple):
    """image: MicroPython's file, None: the pinned one is fetched. press_s: for the press. label: svg or pdf."""

    image: str | None = None
    press_s: int = PRESS_S
    label: str = "svg"


class Job:
    """`row` is its row in the report. run() returns None, or what stopped it; nothing but FlashError comes out."""

    def __init__(self, port: str, site: Site, screen: Screen, report: Report, options: Options) -> None:
        self.port, self.site, self.screen, self.report, self.options = port, site, screen, report, options
        self.row: dict[str, Any] = {}
        self.already = False  # it was in service before
        self._found: dict[str, Any] = {}
        self._tag = ""
        self._history: list[dict[str, Any]] = []  # this chip's earlier rows, the latest first

    def run(self) -> FlashError | None:
        """Take the board through all steps."""
        self.row = self.report.begin(self.port)
        began_s = time.monotonic()
        try:
            self._look()
            for step in STEPS[-1:] if self.already else STEPS:
                self._step(step)
            self.row["result"] = SERVICE
        except FlashError as why:
            self.row["result"] = STOPPED if why.kind == "stopped" else REFUSED
            self.row |= {"error": why.kind, "status": why.status, "reason": why.text}
            return why
        finally:
            self.row["seconds"] = round(time.monotonic() - began_s, 1)
            self.row["answers"] = self.screen.answers.pop(self.port, [])
            if self.already and self._earlier("result", SERVICE):
                self.report.drop(self.row)  # its row is there
            else:
                self.report.keep(self.row)
        if self.already:
            words = f"tag {self._tag} is in service already: nothing to do"
        else:
            words = f"tag {self._tag} is in service"
        self.screen.say(self.port, words, result=SERVICE, tag=self._tag, seconds=self.row["seconds"])
        return None

    # ------------------------------------------------------------------------------------------------ where it stands

    def _look(self) -> None:
        """Find out where the board stands. FlashError."""
        try:
            found = look(self.port)
        except FlashError as error:
            if error.kind not in _AGAIN:
                raise
            found = look(self.port)
        self._found = found
        self._note(found)
        self.screen.say(self.port, f"{found['chip']} {found['mac']}: {found['what']}", found=found["what"])
        rows = self.report.rows()[::-1]
        self._history = [
            r for r in rows if r.get("mac") == found["mac"] and r["number"] != self.row["number"]
        ]
        if found["service"]:
            self._in_service(found)
            # Its window is open.
            if found["micropython"] and self._changes():
                # It was proven with something else.
                with Repl(self.port) as prompt:
                    prompt.call("unmark")
                self.already = False
                self.screen.say(self.port, "what it was put into service with has changed: it is done anew")

    def _in_service(self, found: dict[str, Any]) -> None:
        self.already, self._tag = True, found["tag"] or ""
        earlier = self._earlier("tag", self._tag)
        if earlier:
            self._figures(earlier["figures"])

    def _note(self, found: dict[str, Any]) -> None:
        names = ("mac", "chip", "micropython", "obereg", "tag")
        self.row |= {name: found[name] for name in names if found.get(name)}
        self.row["board"] = self.site.board

    def _earlier(self, name: str, value: object) -> dict[str, Any] | None:
        """Return the latest row of this chip where `name` is `value`, or None."""
        return next((row for row in self._history if row.get(name) == value), None)

    def _changes(self) -> bool:
        """Whether this tag differs from what would be put on it."""
        if not self._pinned():
            return True
        with Repl(self.port) as prompt:
            there = prompt.call("hashes", deadline_s=60.0)
        plan = firmware.plan(firmware.files(self.site.board), there)
        settings = {"config.json": self.site.config_file()}
        if self.site.ca is not None:
            settings["ca.der"] = self.site.ca
        return bool(plan.send or plan.remove) or any(
            there.get(name) != firmware.digest(data) for name, data in settings.items()
        )

    def _pinned(self) -> bool:
        """Whether the MicroPython on the chip is the one that belongs there."""
        pin = self.site.pins.get(self._found["chip"])
        return pin is None or pin["version"] == self._found["micropython"]

    # ------------------------------------------------------------------------------------------------ the steps

    def _step(self, step: str) -> None:
        if self.screen.stopped.is_set():
            raise FlashError("stopped")
        do: Callable[[], str] = getattr(self, f"_{step}")
        self.row["step"] = step
        self.report.keep(self.row)
        began_s = time.monotonic()
        try:
            how = do()
        except FlashError as error:
            if error.kind not in _AGAIN:
                raise
            self.screen.say(self.port, f"{error.text}; {step} once more")
            how = do()
        self.row["steps"][step] = {"s": round(time.monotonic() - began_s, 1), "how": how}
        self.report.keep(self.row)
        number = STEPS.index(step) + 1
        self.screen.say(self.port, f"{number}/{len(STEPS)} {step}: {how}", step=step, how=how)

    def _burn(self) -> str:
        if self._found["micropython"] and self._pinned():
            return BEFORE
        burnt = burn(self.port, self.site, self.screen, self.options.image, self._found["chip"] or None)
        self.row["micropython"] = burnt.version
        return DONE

    def _install(self) -> str:
        done = install(self.port, self.site, self.screen)
        self.row["obereg"] = firmware.version()
        return BEFORE if done.how == "nothing" else DONE

    def _provision(self) -> str:
        before = self._found["tag"]
        self._tag = self.row["tag"] = provision(self.port, self.site, self.screen)
        return "its identity is kept" if before == self._tag else DONE

    def _desk(self) -> str:
        proof = self._registration()
        if not self.site.importer and self._earlier("registered", proof):
            self.row["registered"] = proof
            return BEFORE
        how = register(self.port, self.site, self.screen, self._tag)
        self.row["registered"] = proof
        return how

    def _registration(self) -> str:
        """Return what tells a registration file from another one, without a byte of it."""
        state = (self.site.registrations / f"{self._tag}.json").stat()
        return f"{self._tag} {state.st_size} {state.st_mtime_ns}"

    def _check(self) -> str:
        proof = f"{self._tag} {firmware.version()} {self.site.path.stat().st_mtime_ns}"
        earlier = self._earlier("checked", proof)
        if earlier:
            self._figures(earlier["figures"])
            self.row["checked"] = proof
            return BEFORE
        figures: dict[str, Any] = {}
        try:
            check(self.port, self.site, self.screen, figures)
        finally:
            self._figures(figures)
        self.row["checked"] = proof
        return DONE

    def _figures(self, figures: dict[str, Any]) -> None:
        self.row["figures"] = figures
        modem, card = figures.get("modem") or {}, figures.get("sim") or {}
        self.row |= {"imei": modem.get("imei"), "modem": modem.get("firmware"), "iccid": card.get("iccid")}

    def _commission(self) -> str:
        commission(self.port, self.site, self.screen, self.options.press_s)
        return DONE

    def _label(self) -> str:
        folder = pathlib.Path(self.report.folder) / "labels"
        path = folder / f"{self._tag}.{self.options.label}"
        if path.exists():
            return BEFORE
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise FlashError("file", path=folder, text=error.strerror) from None
        return str(label(self._tag, path))
