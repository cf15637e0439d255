"""
A technician's tray in the simulator: the real `all`, esptool, mpremote, MicroPython, modems, broker and desk.

1. Ten blank boards at four ports with `all --tray 10`; one modem is dead, one cable is pulled at a random moment. Eight
   end in service, two are refused with the right words; mended, they are finished by running again.
2. 20 cuts (--long: 200): cable, power, or `all` itself, killed or stopped, at every step in turn and a random moment of
   it. Running again ends in service; identity and key stay.
3. 1,000 identities by way of one tag: all different, 256 bits each, the key proved by the tag.
4. No piece of any key in what `all` showed or wrote, its registrations excepted.

    python -m faults.tray [--long] [--seed N [--count N]] [--only tray|cuts|identities] [--at-once N]
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
from typing import Any

from desk import tags
from faults.common import Progress, finish, parser, until_stopped
from faults.tray_cuts import Cutter, Plan, plans, reference
from faults.tray_hand import Event, Hand, on_flash, written
from faults.tray_secrets import shown
from sim.cable.world import Place, Table
from tools.flasher.errors import KINDS
from tools.flasher.provision import identify
from tools.flasher.repl import Repl

_BOARDS, _PORTS, _CUTS, _LONG_CUTS, _IDENTITIES = 10, 4, 20, 200, 1000
_AWAY_S = 3.5  # how long a port must be away until the next board counts as new
_PULL_S = 30.0
_BUSY = ("no-answer", "esptool")
Violation = dict[str, Any]


class Tray:
    """Step 1. `keys` and `texts` are for step 4."""

    def __init__(self, table: Table, seed: int, boards: int = _BOARDS, ports: int = _PORTS) -> None:
        self._table, self._chance = table, random.Random(seed)
        self._count, self._ports = boards, ports
        self._boards: list[Place] = []
        self._waiting: list[Place] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.keys: list[bytes] = []
        self.texts: dict[str, bytes] = {}
        self.figures: dict[str, Any] = {}

    async def run(self) -> list[str]:
        """Return what was wrong."""
        for number in range(self._count):
            port = f"tray{number % self._ports}"
            self._boards.append(await self._table.place(f"tray{number}", plugged=False, port=port))
        dead, pulled = self._chance.sample(self._boards, 2)
        dead.break_modem(True)
        pull_s = self._chance.uniform(0, _PULL_S)
        self._waiting = list(self._boards)
        hand = Hand(self._table, self._on_event)
        self._hand, self._pulled, self._pull_s = hand, pulled, pull_s
        for port in {str(place.port): None for place in self._boards}:
            await self._next(port)
        ended = await hand.all("--tray", str(self._count))
        self.texts["tray"] = ended.said.encode()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for place in self._boards:
            await place.board.stop()
        rows = {row.get("mac"): row for row in self._rows()}
        wrong = self._judge(ended.status, rows, dead, pulled)
        wrong += await self._mend([each for each in self._boards if not on_flash(each.flash).service])
        await self._take_away()
        return wrong

    def _judge(self, status: int, rows: dict[str, Any], dead: Place, pulled: Place) -> list[str]:
        wrong = []
        by_mac = {_mac(place): place for place in self._boards}
        good = [place for mac, place in by_mac.items() if rows.get(mac, {}).get("result") == "in service"]
        marked = [place for place in self._boards if on_flash(place.flash).service]
        # A machine that is too busy for a cable: its cure is to repeat, which is done with the mended ones.
        busy = {place for mac, place in by_mac.items() if rows.get(mac, {}).get("error") in _BUSY}
        expected = [place for place in self._boards if place not in (dead, pulled, *busy)]
        self.figures = {"in_service": len(good), "refused": len(self._boards) - len(good), "busy": len(busy)}
        # One that was pulled after its last step is in service, and says so.
        if set(good) - {pulled} != set(expected) or set(marked) - {pulled} != set(expected):
            refused = [
                f"{row.get('error')}: {row.get('reason')}" for row in rows.values() if row.get("error")
            ]
            wrong.append(f"{len(good)} of {len(expected)} are in service, {len(marked)} marked: {refused}")
        told = {place: rows.get(_mac(place), {}).get("error") for place in (dead, pulled)}
        self.figures["words"] = [KINDS[kind].text for kind in told.values() if kind]
        if told[dead] not in ("modem-mute", *(_BUSY if dead in busy else ())):
            wrong.append(f"the dead modem is told as {told[dead]}")
        figures = rows.get(_mac(dead), {}).get("figures", {})
        if dead not in busy and (
            figures.get("modem") != {"error": "modem-mute"} or not figures.get("battery")
        ):
            wrong.append(f"the figures of the dead modem's board: {figures}")
        if pulled not in good and told[pulled] not in ("port-gone", *_BUSY):
            wrong.append(f"the pulled cable is told as {told[pulled]}")
        if status not in {KINDS[kind].status for kind in ("modem-mute", "port-gone", *_BUSY)}:
            wrong.append(f"the tray ended with status {status}")
        return wrong

    async def _mend(self, refused: list[Place]) -> list[str]:
        """Put those that were refused back, one at each port at a time, the modem's wire mended."""
        before = {place: on_flash(place.flash).identity for place in refused}
        wrong, waiting = [], list(refused)
        while waiting:
            hand = Hand(self._table)
            for place in list(waiting):
                if str(place.port) not in hand.at:
                    waiting.remove(place)
                    place.break_modem(False)
                    await place.board.start()
                    hand.at[str(place.port)] = place
            ended = await hand.all()
            self.texts[f"tray mended, {len(waiting)} left"] = ended.said.encode()
            if ended.status:
                wrong.append(f"mended, they end with {ended.status}: {ended.last('text')}")
            for place in hand.at.values():
                await place.board.stop()
        for place in refused:
            found = on_flash(place.flash)
            if not found.service:
                wrong.append("a mended board is not in service")
            if before[place] not in (None, found.identity):
                wrong.append("a mended board has another identity")
        self.figures["after_repair"] = sum(on_flash(place.flash).service for place in self._boards)
        return wrong

    async def _take_away(self) -> None:
        found = [on_flash(place.flash).identity for place in self._boards]
        self.keys = [identity[8:] for identity in found if identity]
        for place in self._boards:
            await self._table.take(place)

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads((self._table.folder / "tray" / "tray.json").read_text())
        return rows

    def _on_event(self, event: Event) -> None:
        if "result" in event or ("cure" in event and "part" not in event):
            self._spawn(self._change(event["port"]))
        elif "found" in event and self._hand.at.get(event["port"]) is self._pulled:
            self._spawn(self._pull(self._pulled))

    def _spawn(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)

    async def _change(self, port: str) -> None:
        """Take the board that is done away, wait, put the next one there."""
        place = self._hand.at.get(port)
        if place:
            await place.board.stop()
        await asyncio.sleep(_AWAY_S)
        await self._next(port)

    async def _next(self, port: str) -> None:
        place = next((place for place in self._waiting if str(place.port) == port), None)
        if place is None:
            return
        self._waiting.remove(place)
        self._hand.at[port] = place
        await place.board.start()

    async def _pull(self, place: Place) -> None:
        await asyncio.sleep(self._pull_s)
        place.board.pull()


def _mac(place: Place) -> str:
    return ":".join(f"{byte:02x}" for byte in place.board.chip.mac())


async def identities(table: Table, count: int, installed: str) -> list[str]:
    """Step 3: as many identities as `count`, given to one tag over its prompt, read back, proved."""
    shutil.copy(installed, table.folder / "board-many.flash")
    place = await table.place("many")

    def run() -> list[dict[str, Any]]:
        known = []
        with Repl(str(place.port)) as prompt:
            for _ in range(count):
                fresh = tags.new_identity()
                said = identify(prompt, fresh)
                if said:
                    known.append({**said, "root": fresh["root"]})
        return known

    made = await asyncio.to_thread(run)
    await table.take(place)
    wrong = []
    if len(made) != count:
        wrong.append(f"{count - len(made)} identities were not taken")
    if len({each["tag"] for each in made}) != count:
        wrong.append("an id came twice")
    keys = [bytes.fromhex(each[name]) for each in made for name in ("root", "up", "down", "broker")]
    if len(set(keys)) != 4 * count or any(len(key) != 32 for key in keys):
        wrong.append("a key came twice, or has not 256 bits")
    return wrong


class Campaign:
    """What is asked for, and what it has come to so far: Ctrl-C may end `run` at any moment."""

    def __init__(self, arguments: argparse.Namespace, folder: pathlib.Path, progress: Progress) -> None:
        self._arguments, self._folder, self._progress = arguments, folder, progress
        self._keys: list[bytes] = []
        self._texts: dict[str, bytes] = {}
        self.runs = 0
        self.violations: list[Violation] = []
        self.figures: dict[str, Any] = {}

    async def run(self) -> None:
        table = Table(self._folder)
        only, seed = self._arguments.only, self._arguments.seed or 0
        try:
            await table.start()
            self.figures["broker"] = table.broker
            if only in (None, "tray"):
                await self._tray(table, seed)
            if only != "tray":
                usual_s, installed = await reference(table)
            if only in (None, "cuts"):
                await self._cuts(Cutter(table, usual_s, installed), seed)
            if only in (None, "identities"):
                self._note(seed, "identities", await identities(table, _IDENTITIES, installed))
                self.figures["identities"] = _IDENTITIES
        finally:
            self._look_for_keys(seed)
            await table.stop()

    async def _tray(self, table: Table, seed: int) -> None:
        tray = Tray(table, seed)
        self._note(seed, "tray", await tray.run())
        self._keys += tray.keys
        self._texts |= tray.texts
        self.figures["tray"] = tray.figures
        self.runs += _BOARDS
        print(
            f"tray: {self._progress.seconds:.0f} s: ten boards: {tray.figures}", file=sys.stderr, flush=True
        )

    async def _cuts(self, cutter: Cutter, seed: int) -> None:
        arguments = self._arguments
        one_seed = 1 if arguments.seed is not None else None
        count = arguments.count or one_seed or (_LONG_CUTS if arguments.long else _CUTS)
        free = asyncio.Semaphore(arguments.at_once)
        done = 0

        async def one(plan: Plan) -> None:
            nonlocal done
            async with free:
                self._note(plan.seed, "cuts", await cutter.run(plan))
            done += 1
            self._progress.say(f"{done} cuts, {len(self.violations)} violations")

        try:
            await asyncio.gather(*(one(plan) for plan in plans(list(range(seed, seed + count)))))
        finally:
            self._keys += cutter.keys
            self._texts |= cutter.texts
            self.figures |= {"cuts": cutter.cut, "third_runs": cutter.again}
            self.runs += done

    def _look_for_keys(self, seed: int) -> None:
        """Search all that was shown and written for any key that was given."""
        keys = self._keys + _derived(self._folder)
        texts = self._texts | written(self._folder / "tray")
        self._note(seed, self._arguments.only, [f"a key shows in {name}" for name in shown(keys, texts)])
        self.figures |= {"keys": len(keys), "bytes_searched": sum(map(len, texts.values()))}

    def _note(self, seed: int, part: str | None, wrong: list[str]) -> None:
        replay = f"--only {part}" if part else ""
        for text in wrong:
            # At once: a long campaign goes on for an hour.
            print(f"tray: {text}", file=sys.stderr, flush=True)
            self.violations.append({"seed": seed, "text": text, "with": replay})


def _derived(folder: pathlib.Path) -> list[bytes]:
    """Return the keys of all registrations."""
    found = [json.loads(path.read_text()) for path in (folder / "registrations").glob("*.json")]
    return [bytes.fromhex(each[name]) for each in found for name in ("up", "down", "broker")]


def main() -> int:
    options = parser("tray", "A technician's tray: ten boards, cuts, identities, secrets.")
    options.add_argument("--only", choices=("tray", "cuts", "identities"), help="one part")
    options.add_argument(
        "--at-once", type=int, default=max(2, os.cpu_count() or 2), metavar="N", help="cuts at the same time"
    )
    options.add_argument("--keep", metavar="FOLDER", help="work here, and leave it")
    arguments = options.parse_args()
    progress = Progress("tray")
    folder = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="obereg-tray-"))
    campaign = Campaign(arguments, folder, progress)
    try:
        with until_stopped(progress):
            asyncio.run(campaign.run())
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"tray: {json.dumps(campaign.figures)}", file=sys.stderr)
    return finish("tray", campaign.runs, campaign.violations, progress, arguments, **campaign.figures)


if __name__ == "__main__":
    sys.exit(main())
