"""The tag as the firmware's build.join makes it, on stores, a clock and senses that are in memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import counters
import envelope
import identity
from clock import Clock
from gnss import Fix
from log import Log
from outbox import Outbox
from tag import Tag

from tests.host.fakes import BUILT_S, RTC

TAG_ID = bytes.fromhex("0123456789abcdef")
ROOT = bytes(range(32))


class Stores(NamedTuple):
    """NVS, the journal of /data, that of the outbox, RTC memory."""

    nvs: Any
    records: Any
    messages: Any
    rtc_memory: Any

    def provision(self, epoch: int) -> None:
        """Write what a technician writes; the next start opens the epoch after `epoch`."""
        record = identity.pack(TAG_ID, ROOT, 1)
        for store in (self.nvs, self.records):
            store.put("identity", record)
            store.put("epoch", counters.pack_epoch(epoch))

    def signed_s(self) -> int:
        """Return the signed time that is kept, as build.py reads it."""
        return int.from_bytes(counters.whole(self.nvs.get("time"), 5) or b"", "big")


def join_tag(
    stores: Stores,
    rtc: RTC,
    bits: Callable[[int], int],
    log: Log,
    *,
    fix: Callable[[], Fix | None],
    feel: Callable[[str], object],
    hurry: Callable[[bool], object],
    cell: Callable[[], list[int] | None],
    flags: int = 0,
) -> Tag:
    """Return the tag of this start; its link is still to come."""
    nvs, records, messages, rtc_memory = stores
    me = identity.load(nvs, records)
    counting = counters.Counters(nvs, records, rtc_memory, bits)
    utc = Clock(rtc.set, max(BUILT_S, stores.signed_s()), counting.clock_trusted, counting.keep)
    box = Outbox(messages, envelope.digest, log)
    return Tag(me, counting, utc, box, records, log, fix, lambda: 3900, feel, hurry, cell, flags)


def join_app(app: Any, stores: Stores, rtc: RTC, bits: Callable[[int], int], log: Log) -> Tag:
    """Give an App that has its haptics and its sky the tag of this start; return it."""
    app.tag = join_tag(
        *(stores, rtc, bits, log),
        fix=app.sky.fix,
        feel=app.haptics.feel,
        hurry=app.hurry,
        cell=app.cell,
    )
    return app.tag
