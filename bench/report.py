"""What the rows say, as docs/bench.md has it."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.rows import Row, Sample

_HEAD = """# Side by side

Written by `make bench` (`python -m bench`); do not edit.

The same press on two firmwares: **Obereg** over its Wi-Fi bearer, and **plain**, what most people would write with
`umqtt.robust` (`bench/plain/main.py`): connect, publish at QoS 1, reconnect on an error, restart on anything else.
Both run on the same MicroPython (Unix port), the same simulated board, the same broker ({broker}) and desk, without
TLS, and meet each fault at the same moment with a session that is alive. Their alerts have the same claims and size.

{way}

**Stored** is the time from the touch to the desk's disk. **Known** is the time until the sender knows: for Obereg the
desk's signed answer; for plain the broker's PUBACK, which says nothing about the desk. **Delivered** is the share
stored within {deadline:g} s of the touch. Presses a row: {count}.
"""
_WIRE = """\
Loss is real: TCP of Linux over a TUN device in a network namespace, each packet lost by chance, each way on its own,
{latency:g} ms one way. The TCP of an ESP32 (lwIP) repeats later than that of Linux, so both would be slower there."""
_PROXY = """\
Loss is imitated: a proxy cannot make TCP lose bytes, so it delays them as retransmissions would ({latency:g} ms one way
besides) and acknowledges to each end at once, so small writes cost nothing. Bytes are those of the stream; segments
cannot be counted. On Linux with root the loss is real."""
_RATIOS = """## Ratios

plain / Obereg, of medians: above 1 Obereg is quicker, or sends less; ∞: half of plain's presses, or more, never got so
far.

| | delivered: Obereg | plain | stored | known | bytes |
|---|---|---|---|---|---|"""
_FIGURES = """
## Figures

Times are p50 / p95 / max of those that arrived; bytes (IP, both ways) and segments are medians, from the touch until
stored and known, or until the deadline. False: the sender believed it, but the desk did not have it within the
deadline. Stuck: it had to be switched off and on before the next press.

| | | delivered | stored | known | false | stuck | bytes | segments |
|---|---|---|---|---|---|---|---|---|"""
_NOTES = """
## What to make of it

- Without a fault the session lives and one way is enough. `umqtt` writes a packet in several small pieces, and Nagle's
  algorithm holds back all but the first until it is acknowledged; Obereg makes one write of it.
- Under loss both depend on TCP's retransmissions. Obereg opens a second session beside one that is silent for 3 s: that
  cuts off the longest waits, and costs bytes. It may know later than plain, for its answer comes from further away.
- On a half-open link `publish` of `umqtt` waits for a PUBACK without a deadline, until TCP gives up (some 15 minutes on
  Linux). Who sets a time-out on the socket has it after that time-out.
- When the connection breaks between PUBLISH and PUBACK, `umqtt.robust` reconnects and goes on waiting for the PUBACK of
  the old connection; the press is not said again. And a broker that is back before its desk confirms what it then
  drops. A PUBACK is no proof, so Obereg repeats until the desk has signed; that is its longest time in this row.
- Obereg pays with bytes (its questions and the signed answers) and with heap.

What this does not compare: the modem, deep sleep, power, flash, TLS.
"""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _span(ms: float | None) -> str:
    if ms is None:
        return "–"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _spans(samples: Sequence[Sample], of: Callable[[Sample], float | None]) -> str:
    """p50 / p95 / max of those that arrived, and how many if not all."""
    values = [value for sample in samples if (value := of(sample)) is not None]
    if not values:
        return "–"
    spans = " / ".join(_span(percentile(values, share)) for share in (0.5, 0.95, 1.0))
    return spans if len(values) == len(samples) else f"{spans} ({len(values)} of {len(samples)})"


def _share(samples: Sequence[Sample]) -> float:
    return sum(sample.stored_ms is not None for sample in samples) / len(samples)


def _median(samples: Sequence[Sample], of: Callable[[Sample], float | None]) -> float | None:
    """The median of all; one that never arrived is later than any."""
    values = [math.inf if (value := of(sample)) is None else value for sample in samples]
    middle = statistics.median_high(values) if values else math.inf
    return None if math.isinf(middle) else middle


def _ratio(theirs: float | None, ours: float | None) -> str:
    if ours is None:
        return "–"
    return "∞" if theirs is None else f"{theirs / ours:.1f}"


def _ratios(row: Row) -> str:
    ours, theirs = row.samples["obereg"], row.samples["plain"]
    cells = [
        row.fault.name,
        f"{_share(ours):.0%}",
        f"{_share(theirs):.0%}",
        _ratio(_median(theirs, lambda s: s.stored_ms), _median(ours, lambda s: s.stored_ms)),
        _ratio(_median(theirs, lambda s: s.known_ms), _median(ours, lambda s: s.known_ms)),
        _ratio(statistics.median(s.bytes for s in theirs), statistics.median(s.bytes for s in ours)),
    ]
    return f"| {' | '.join(cells)} |"


def _figures(row: Row, name: str) -> str:
    samples = row.samples[name]
    segments = [sample.segments for sample in samples if sample.segments is not None]
    false = sum(s.known_ms is not None and s.stored_ms is None for s in samples)
    stuck = sum(not s.recovered for s in samples)
    cells = [
        row.fault.name,
        name,
        f"{_share(samples) * len(samples):.0f} of {len(samples)}",
        _spans(samples, lambda s: s.stored_ms),
        _spans(samples, lambda s: s.known_ms),
        str(false),
        str(stuck),
        f"{statistics.median(s.bytes for s in samples):.0f}",
        f"{statistics.median(segments):.0f}" if segments else "–",
    ]
    return f"| {' | '.join(cells)} |"


def render(rows: Sequence[Row], settings: dict[str, Any], heaps: dict[str, int | None]) -> str:
    """Return docs/bench.md. `settings`: broker, way, latency, deadline, count, seed, version, seconds."""
    way = (_WIRE if settings["way"] == "wire" else _PROXY).format(**settings)
    told = [row for row in rows if row.samples]
    lines = [
        _HEAD.format(**{**settings, "way": way}),
        _RATIOS,
        *(_ratios(row) for row in told),
        _FIGURES,
        *(_figures(row, name) for row in told for name in row.samples),
    ]
    if told:
        starts = {name: statistics.median(row.start_ms[name] for row in told) for name in told[0].start_ms}
        spans = ", ".join(f"{name} {_span(ms)}" for name, ms in starts.items())
        lines.append(
            f"\nFrom the power to a session, 1.8 s of joining the network among it: {spans}"
            " (Obereg: until the desk has answered)."
        )
    if heaps:
        sizes = ", ".join(
            f"{n} {'over 192' if b is None else f'{b / 1024:.0f}'} KB" for n, b in heaps.items()
        )
        lines.append(
            f"\nThe smallest heap in which a press is said and known (steps of 4 KB, 64-bit, the simulator's modules"
            f" included): {sizes}."
        )
    lines += [f"\nBroken off: {row.fault.name}: {row.why}" for row in rows if row.why]
    lines.append(_NOTES)
    command = "python -m bench --count {count} --deadline {deadline:g} --seed {seed}".format(**settings)
    lines.append(
        f"Measured: {settings['when']}, MicroPython {settings['version']}, {settings['seconds']:.0f} s: `{command}`\n"
    )
    return "\n".join(lines)
