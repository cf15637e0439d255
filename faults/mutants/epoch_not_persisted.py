"""The epoch is counted, and no store is told."""

EDITS = [
    (
        "counters",
        "                store.put(_EPOCH, pack_epoch(self.epoch))\n",
        "",
    ),
]
