"""The tag does not check the MAC."""

EDITS = [
    (
        "envelope",
        "    if not equal(mac, _mac(key, protected, payload)):\n",
        "    if not equal(mac, mac):\n",
    ),
]
