"""
The whole story, once: a press on a simulated tag, the desk's signed answer, felt.

Every part is real but silicon and sky: the firmware runs on MicroPython, the broker and the desk are programs of their
own, TLS and signatures are checked. Exit status 0 only if the answer was felt.

    python -m sim demo
    python -m sim demo --from cold --json demo.json
    python -m sim demo --board lilygo-t-sim7080g
    python -m sim demo --bearer wifi --nmea recording.log --ttff 8
    python -m sim demo --broker mqtts://desk:secret@broker.example:8883 --ca ca.pem
"""

import argparse
import asyncio
import json
import os
import pathlib
import shutil
import sys
import tempfile
from typing import Any

from sim.common import ROOT, SimError
from sim.demo_parts import Parts
from sim.demo_result import best
from sim.story import Story, StoryError, now_ms
from sim.tag import HEAP

# In the order in which they are usually found; the first that exists plays.
_RECORDINGS = ("neo-m8n.log", "ublox-8.log")
_FLOOR_TRIES = 5


def arguments(argv: list[str]) -> argparse.Namespace:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m sim demo", description=__doc__, formatter_class=text)
    parser.add_argument("--json", metavar="FILE", help="write the result there too (- for stdout)")
    parser.add_argument("--board", default="tag-a", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--bearer", choices=("modem", "wifi"), default="modem", help="default: %(default)s")
    parser.add_argument(
        "--from",
        dest="origin",
        choices=("attached", "cold"),
        default="attached",
        help="press when the tag's session lives, or as soon as its button is watched: nobody has told the time, and "
        "the modem is as from the factory (default: %(default)s)",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="N",
        help="of the modem; figures count at 1 only (default: 1)",
    )
    parser.add_argument(
        "--broker", metavar="URL", help="mqtt[s]://user:password@host:port instead of the one started here"
    )
    parser.add_argument("--ca", metavar="FILE", help="the CA of that broker's certificate, PEM")
    parser.add_argument(
        "--identity",
        metavar="FILE",
        help="what `desk tags add` wrote, for a broker that knows the tag already",
    )
    parser.add_argument("--nmea", metavar="FILE", help="the recording that the sky plays")
    parser.add_argument("--ttff", type=float, default=4.0, metavar="S", help="time to first fix (default: 4)")
    parser.add_argument(
        "--hold", type=int, default=600, metavar="MS", help="hold_ms of the tag (default: 600)"
    )
    parser.add_argument("--latency", type=float, default=25.0, metavar="MS", help="one way (default: 25)")
    parser.add_argument("--heap", type=int, default=HEAP, metavar="BYTES", help="default: 192 KB")
    parser.add_argument("--no-sky", action="store_true", help="no GNSS receiver: an alert without a place")
    parser.add_argument(
        "--no-clock", dest="origin", action="store_const", const="cold", help="the same as --from cold"
    )
    parser.add_argument("--keep", metavar="DIR", help="leave flash image, logs and database there")
    return parser.parse_args(argv)


def recording(wanted: str | None) -> pathlib.Path | None:
    """Return the recording to play: the one given, else one of the folder OBEREG_NMEA names, else None."""
    if wanted:
        path = pathlib.Path(wanted)
        if not path.is_file():
            raise SimError(f"no recording at {wanted}")
        return path
    folder = pathlib.Path(os.environ.get("OBEREG_NMEA", ROOT.parent / "shared" / "data" / "nmea"))
    return next((folder / name for name in _RECORDINGS if (folder / name).is_file()), None)


def tell(story: Story) -> None:
    """Print events as they happen, in seconds since the press."""

    def told(t_ms: float, what: str, detail: str) -> None:
        when = f"{(t_ms - story.began_ms) / 1000:8.3f} s" if story.began_ms else " " * 10
        print(f"{when}  {what}{': ' + detail if detail else ''}", flush=True)

    story.told = told


async def tell_story(options: argparse.Namespace, story: Story, parts: Parts) -> dict[str, Any]:
    """Play the story; return the result as the JSON file has it. StoryError where it breaks off."""
    await parts.start()
    cellular = options.bearer == "modem"
    if options.origin == "cold":
        # As soon as the button is watched; the desk's first answer would tell the time.
        await story.until(parts.awake, 30, "the tag did not start")
    else:
        within_s = 120 if cellular else 30
        await story.until(parts.clock_known, within_s, "the tag did not reach the desk after its start")
    story.began_ms = now_ms()
    press = asyncio.create_task(parts.panel.press(options.hold + 250))
    story.add("pressed", story.began_ms)
    await story.until_event("on flash", 10, "the press did not become an alert on flash")
    await story.until_event("at the desk", 120, "the alert did not reach the desk")
    await story.until_event("level 1 felt", 30, "the desk's answer was not felt")
    await press
    if not options.no_sky and (parts.own_sky or cellular):
        # A receiver on the modem's radio waits until the radio is free, and searches for half a minute.
        within_s = options.ttff + 40 if parts.own_sky else 180
        await story.until(lambda: best(story), within_s, "no position reached the desk")
    number = parts.incident()
    within_s = 30 if parts.own_sky else 120
    await parts.far.desk("take", number, "--by", "a parent")
    await story.until_event("level 3 felt", within_s, '"help is coming" was not felt')
    await parts.far.desk("close", number, "--by", "a parent")
    await story.until_event("closed felt", within_s, "the end of the incident was not felt")
    await parts.stop_tag()
    await parts.measure_floor(_FLOOR_TRIES)
    return parts.result()


async def run(options: argparse.Namespace, folder: pathlib.Path) -> dict[str, Any]:
    story = Story()
    tell(story)
    nmea = None if options.no_sky else recording(options.nmea)
    parts = Parts(options, folder, story, nmea)
    where = f"board {options.board}, bearer {options.bearer}, from {options.origin}"
    print(f"{where}, sky: {parts.sky_text()}", flush=True)
    result: dict[str, Any] = {}
    why = ""
    try:
        result = await tell_story(options, story, parts)
    except (StoryError, SimError) as error:
        why = str(error)
        await parts.stop_tag()
        result = parts.result()
    finally:
        await parts.stop()
        (folder / "console.log").write_text("\n".join(story.console) + "\n")
    result["ok"] = not why and bool(result.get("verified"))
    if why:
        result["why"] = why
    return result


def show(result: dict[str, Any]) -> None:
    """Print the figures of a result, or why there are none."""
    print()
    if not result["ok"]:
        print(f"the story broke off: {result.get('why') or 'the last token does not verify'}")
        return
    if result["lat_e7"] is None:
        print(f"no place was said; the alert has {result['token_bytes']} bytes")
    else:
        print(
            f"place {result['lat_e7'] / 1e7:.7f} {result['lon_e7'] / 1e7:.7f}, {result['token_bytes']} bytes"
        )
    if result["cell"]:
        print(f"cell {result['cell']}")
    for name in (
        "touch_to_latched_ms",
        "latched_to_flash_ms",
        "press_to_publish_ms",
        "press_to_desk_ms",
        "press_to_ack_felt_ms",
        "link_span_ms",
        "link_floor_ms",
    ):
        if result[name] is not None:
            print(f"{name:22} {result[name]:8.1f}")
    if result["ratio"]:
        print(f"{'ratio':22} {result['ratio']:8.2f}")


def main(argv: list[str]) -> int:
    """Run the demo; return the exit status."""
    options = arguments(argv)
    temporary = None if options.keep else tempfile.mkdtemp(prefix="obereg-")
    folder = pathlib.Path(options.keep or temporary or "")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = asyncio.run(run(options, folder))
    except SimError as error:
        print(f"sim demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has enough (`| head`). Nothing may be flushed there at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    show(result)
    if options.json == "-":
        print(json.dumps(result))
    elif options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
    if not result["ok"] and temporary:
        print(f"flash image, logs and database are left in {temporary}", file=sys.stderr)
    elif temporary:
        shutil.rmtree(temporary, ignore_errors=True)
    return 0 if result["ok"] else 1
