"""
Coverage-guided fuzz of the host's parsers, by atheris: inputs that reach new code are kept and bred.

    make fuzz-host                                  installs atheris into build/fuzz, if there is a wheel of it
    python -m faults.coverage [--seconds N] [--parser NAME] [--json FILE]

Each parser gets N seconds (10; --long 600), two at a time, and must end every input with a result or its one error,
within 10 s, and within 512 MB. What does not is a violation, with the input in hex. Without atheris it says so and
ends well.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from faults import ROOT
from faults.common import Progress, finish, parser

_SECONDS, _LONG = 10, 600
# Of real time, on a machine that may be busy.
_HANG_S = 10
_MEMORY_MB = 512
_MAX_BYTES = 1024
_FOLDER = ROOT / "build" / "fuzz"

Feed = Callable[[bytes], None]


def _token(folder: Path) -> tuple[Feed, list[bytes]]:
    from desk import token
    from faults.chip.parsers import KEY, KID

    def feed(data: bytes) -> None:
        try:
            token.verify(data, KEY, KID)
        except token.TokenError:
            pass

    return feed, [token.seal({7: bytes(8), -65537: {0: 4}}, KEY, KID)]


def _claims(folder: Path) -> tuple[Feed, list[bytes]]:
    """The claims alone, under a right MAC: whoever has the key may say anything."""
    from desk import token
    from faults.inputs import corpus

    def feed(data: bytes) -> None:
        try:
            token.parse(token._decode_strict(data))
        except token.TokenError:
            pass

    return feed, corpus("claims")


def _registration(folder: Path) -> tuple[Feed, list[bytes]]:
    from desk import tags

    path = folder / "input"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        try:
            list(tags.read_registrations(str(path)))
        except tags.TagError:
            pass

    right = json.dumps(tags.registration(tags.new_identity())).encode()
    return feed, [right, right + b"\n" + right]


def _site(folder: Path) -> tuple[Feed, list[bytes]]:
    from tools.flasher import site
    from tools.flasher.errors import FlashError

    path = folder / "input"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        try:
            site.load(path)
        except FlashError:
            pass

    return feed, [(ROOT / "site.example.toml").read_bytes()]


def _at(folder: Path) -> tuple[Feed, list[bytes]]:
    """A command line and its parameters, as the emulated modem reads them."""
    from sim.modem import line, params

    def feed(data: bytes) -> None:
        try:
            for request in line.requests(data.decode("latin-1")):
                params.args(request.args)
        except line.AtError:
            pass

    return feed, [b'+CAOPEN=0,0,"TCP","host",8883', b"+CSQ;+CPIN?", b"E0+CBC+CNACT=0,1;+CFUN=1,1"]


def _recording(folder: Path) -> tuple[Feed, list[bytes]]:
    """A recording of a receiver, as the sky plays it and as the modem's receiver reads it."""
    import datetime

    from faults.inputs import corpus
    from sim import nmea_play
    from sim.modem import nmea

    now = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)

    def feed(data: bytes) -> None:
        for epoch in nmea_play.epochs(nmea_play.without_remarks(data)):
            nmea_play.retime(epoch.data, now)
        nmea.place_of(data)

    return feed, corpus("nmea")


def _faults(folder: Path) -> tuple[Feed, list[bytes]]:
    from sim.modem import faults

    def feed(data: bytes) -> None:
        try:
            faults.parse(data.decode("utf-8", "replace"))
        except faults.FaultError:
            pass

    return feed, [b'{"fault": "late", "on": "+CSQ", "ms": 3000}', b'{"fault": "dead"}']


def _broker(folder: Path) -> tuple[Feed, list[bytes]]:
    from desk import broker

    def feed(data: bytes) -> None:
        try:
            broker.parse_broker(data.decode("utf-8", "replace"), "password")
        except broker.BrokerError:
            pass

    return feed, [b"mqtt://desk@host:1883", b"mqtts://[::1]"]


# Each returns what feeds one input, and inputs to begin with; `folder` is for its files. Called late: what it imports
# is watched.
PARSERS: dict[str, Callable[[Path], tuple[Feed, list[bytes]]]] = {
    "token": _token,
    "claims": _claims,
    "registration": _registration,
    "site": _site,
    "at": _at,
    "recording": _recording,
    "faults": _faults,
    "broker": _broker,
}


def available() -> bool:
    """Whether atheris can be had; it may be in build/fuzz."""
    if _FOLDER.is_dir() and str(_FOLDER) not in sys.path:
        sys.path.append(str(_FOLDER))
    return importlib.util.find_spec("atheris") is not None


def _breed(name: str, seconds: int, folder: Path) -> None:
    """Feed one parser in this process, for so long; libFuzzer ends it, so `folder` is another's to remove."""
    available()
    import atheris

    with atheris.instrument_imports(include=["desk", "sim", "tools", "config"]):
        feed, seeds = PARSERS[name](folder)
    corpus = folder / "corpus"
    corpus.mkdir()
    for n, seed in enumerate(seeds):
        (corpus / str(n)).write_bytes(seed)
    options = {
        "max_total_time": seconds,
        "timeout": _HANG_S,
        "rss_limit_mb": _MEMORY_MB,
        "max_len": _MAX_BYTES,
        "seed": 1,
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/found-",
    }
    atheris.Setup([name, *(f"-{key}={value}" for key, value in options.items()), str(corpus)], feed)
    atheris.Fuzz()


def breed(name: str, seconds: int) -> dict[str, Any]:
    """Feed one parser in a process of its own: {runs, cov, corpus, text: what was wrong or ""}."""
    limit_s = seconds + 60
    with tempfile.TemporaryDirectory(prefix="obereg-") as folder:
        call = (
            f"import pathlib, faults.coverage as c; c._breed({name!r}, {seconds}, pathlib.Path({folder!r}))"
        )
        try:
            ended = subprocess.run(
                [sys.executable, "-c", call],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired:
            return {"runs": 0, "cov": 0, "corpus": 0, "text": f"{name}: no end after {limit_s} s"}
    said = ended.stdout.decode("utf-8", "replace")
    counts = re.findall(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)", said, re.MULTILINE)
    runs, cov, corpus = (int(each) for each in counts[-1]) if counts else (0, 0, 0)
    final = re.search(r"number_of_executed_units: (\d+)", said)
    wrong = "" if ended.returncode == 0 and runs else f"{name}: " + said[-2000:]
    return {"runs": int(final[1]) if final else runs, "cov": cov, "corpus": corpus, "text": wrong}


def main() -> int:
    options = parser("coverage", "Breed inputs for the host's parsers: one error type each, no hang.")
    options.add_argument("--seconds", type=int, help=f"for each parser ({_SECONDS}; --long {_LONG})")
    options.add_argument("--parser", choices=PARSERS, help="this one alone")
    arguments = options.parse_args()
    progress = Progress("coverage")
    if not available():
        print("coverage: skipped: there is no atheris for this Python (make fuzz-host installs it)")
        return 0
    seconds = arguments.seconds or (_LONG if arguments.long else _SECONDS)
    names = [arguments.parser] if arguments.parser else list(PARSERS)
    bred: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(2) as pool:
        for name, result in zip(names, pool.map(breed, names, [seconds] * len(names)), strict=True):
            bred[name] = result
            print(
                f"coverage: {name}: {result['runs']} inputs, {result['cov']} edges, {result['corpus']} kept",
                flush=True,
            )
    found = [
        {"seed": f"1 --parser {name}", "text": text}
        for name, each in bred.items()
        if (text := each.pop("text"))
    ]
    runs = sum(each["runs"] for each in bred.values())
    return finish("coverage", runs, found, progress, arguments, parsers=bred)


if __name__ == "__main__":
    sys.exit(main())
