"""
The demo's result: what the story and the desk's messages say, as the JSON file has it.
"""

from typing import Any

from sim.demo_desk import ALERT, LOCATION, OBEREG, claims_of
from sim.story import Story

_CELL = 4  # of claim OBEREG


def best(story: Story) -> dict[str, Any] | None:
    """Return {lat_e7, lon_e7, accuracy_m, token} of the most accurate position at the desk: its last message."""
    found: dict[str, Any] | None = None
    for message in story.stored:
        place = message["claims"].get(LOCATION)
        # <=: of equally accurate ones the latest.
        if place and (found is None or place[4] <= found["accuracy_m"]):
            found = {
                "lat_e7": round(place[1] * 10**7),
                "lon_e7": round(place[2] * 10**7),
                "accuracy_m": place[4],
                "token": message["token"],
            }
    return found


def cell(story: Story) -> list[int] | None:
    """Return [mcc, mnc, tac, ci, rsrp_dbm] of the first message that says it, or None."""
    said = (message["claims"].get(OBEREG, {}).get(_CELL) for message in story.stored)
    return next((list(found) for found in said if found), None)


def result(
    story: Story,
    keys: dict[str, Any],
    hold_ms: int,
    link_began_ms: float | None,
    link_floor_ms: float | None,
) -> dict[str, Any]:
    """
    Return the figures, as far as the story went; times in ms.

    press_to_desk_ms ends with the desk's "acked", as link_floor_ms does: the alert is on its disk, and the answer is
    with the broker. link_span_ms is the tag's part that compares with the floor. Where `link_began_ms` is given it
    counts from there: a modem that must start first does so while the finger holds. Otherwise it is
    press_to_desk_ms without the hold. ratio is link_span_ms / link_floor_ms.
    """
    place = best(story)
    alert = next((m["token"] for m in story.stored if m["kind"] == ALERT), None)
    token = place["token"] if place else alert
    began = story.began_ms

    def span(start: str, end: str) -> float | None:
        # The interrupt may be stamped a moment before our own clock was read.
        first = began if start == "pressed" else story.when(start, began - 20)
        last = story.when(end, began) if first else None
        return round(float(last - first), 1) if last and first else None

    to_desk_ms = span("pressed", "answered by the desk")
    link_ms = None
    if to_desk_ms is not None:
        link_ms = to_desk_ms - hold_ms
        if link_began_ms is not None:
            link_ms = to_desk_ms + max(0.0, began - link_began_ms)
    return {
        "verified": bool(token and claims_of(token, keys)),
        "lat_e7": place["lat_e7"] if place else None,
        "lon_e7": place["lon_e7"] if place else None,
        "cell": cell(story),
        "token_hex": token,
        "token_bytes": len(token) // 2 if token else None,
        "touch_to_latched_ms": span("touch", "latched"),
        "latched_to_flash_ms": span("latched", "on flash"),
        "press_to_publish_ms": span("pressed", "published"),
        "press_to_desk_ms": to_desk_ms,
        "press_to_ack_felt_ms": span("pressed", "level 1 felt"),
        "hold_ms": hold_ms,
        "link_span_ms": round(link_ms, 1) if link_ms is not None else None,
        "link_floor_ms": link_floor_ms,
        "ratio": round(link_ms / link_floor_ms, 3) if link_ms and link_floor_ms else None,
        "keys": {"up": keys["up"], "tag": keys["tag"]},
        "events": [
            {"t_ms": round(t - began, 1), "what": what, **({"detail": detail} if detail else {})}
            for t, what, detail in sorted(story.events)
        ],
    }
