"""Give the tag its identity, or keep the one it has; both stores; tell what the desk registers, and prove the key."""

from binascii import hexlify, unhexlify


def main(records, nonce):
    import identity
    from board import NVS
    from hkdf import hmac_sha256
    from journal import Journal

    nvs, journal = NVS(), Journal("/data")
    if records:
        # A new epoch with it: nothing that was said under the old key counts.
        journal.remove("service")
        for name in Journal("/data/outbox").names():
            Journal("/data/outbox").remove(name)
        journal.remove("incident")
        for name in ("epoch", "identity"):
            for store in (nvs, journal):
                store.put(name, unhexlify(records[name]))
    try:
        me = identity.load(nvs, journal)
    except identity.IdentityError:
        return None
    if nvs.get("identity") != journal.get("identity"):
        # A new identity was cut between the stores.
        journal.put("identity", nvs.get("identity"))
    return {
        "tag": me.tag,
        "generation": me.kid[8],
        "up": hexlify(me.up).decode(),
        "down": hexlify(me.down).decode(),
        "broker": me.password,
        "same": nvs.get("identity") == journal.get("identity"),
        "proof": hexlify(hmac_sha256(me.up, b"obereg/1 proof" + unhexlify(nonce))).decode(),
    }
