"""Whether flash gives back what is written: so many blocks of 512 bytes, into a file that is gone afterwards."""


def flash_blocks(count):
    """Blocks that do not repeat."""
    from hashlib import sha256

    block = b"obereg"
    for _ in range(count):
        block = sha256(block).digest()
        yield block * 16


def main(count):
    import os

    size = os.statvfs("/")
    out = {"free": size[0] * size[3], "total": size[0] * size[2], "wrong": 0}
    path = "/check.tmp"
    try:
        with open(path, "wb") as file:
            for block in flash_blocks(count):
                file.write(block)
        with open(path, "rb") as file:
            for block in flash_blocks(count):
                if file.read(len(block)) != block:
                    out["wrong"] += 1
    finally:
        try:
            os.remove(path)
        except OSError:
            pass
    return out
