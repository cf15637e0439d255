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
from faults.common import Progress, finish, parser
from faults.tray_cuts import Cutter, plans, reference
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


async def campaign(
    arguments: Any, folder: pathlib.Path, progress: Progress
) -> tuple[int, list[Violation], Any]:
    """Return runs, violations and figures."""
    table = Table(folder)
    await table.start()
    seed = arguments.seed or 0
    violations: list[Violation] = []
    figures: dict[str, Any] = {"broker": table.broker}
    runs, keys, texts = 0, list[bytes](), dict[str, bytes]()

    def note(number: int, wrong: list[str]) -> None:
        violations.extend({"seed": number, "text": text} for text in wrong)

    try:
        if arguments.only in (None, "tray"):
            tray = Tray(table, seed)
            note(seed, await tray.run())
            keys, texts, figures["tray"], runs = keys + tray.keys, {**texts, **tray.texts}, tray.figures, 10
            print(f"tray: {progress.seconds:.0f} s: ten boards: {tray.figures}", file=sys.stderr, flush=True)
        usual_s, installed = ({}, "") if arguments.only == "tray" else await reference(table)
        if arguments.only in (None, "cuts"):
            count = arguments.count or (_LONG_CUTS if arguments.long else _CUTS)
            cutter = Cutter(table, usual_s, installed)
            free = asyncio.Semaphore(arguments.at_once)
            done = 0

            async def one(plan: Any) -> None:
                nonlocal done
                async with free:
                    note(plan.seed, await cutter.run(plan))
                done += 1
                progress.say(f"{done} cuts, {len(violations)} violations")

            await asyncio.gather(*(one(plan) for plan in plans(list(range(seed, seed + count)))))
            runs, keys, texts = runs + count, keys + cutter.keys, {**texts, **cutter.texts}
            figures |= {"cuts": cutter.cut, "third_runs": cutter.again}
        if arguments.only in (None, "identities"):
            note(seed, await identities(table, _IDENTITIES, installed))
            figures["identities"] = _IDENTITIES
        keys += _derived(folder)
        texts |= written(folder / "tray")
        note(seed, [f"a key shows in {name}" for name in shown(keys, texts)])
        figures |= {"keys": len(keys), "bytes_searched": sum(map(len, texts.values()))}
    finally:
        await table.stop()
    return runs, violations, figures


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
    try:
        runs, violations, figures = asyncio.run(campaign(arguments, folder, progress))
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"tray: {json.dumps(figures)}", file=sys.stderr)
    return finish("tray", runs, violations, progress, arguments, **figures)


if __name__ == "__main__":
    sys.exit(main())
