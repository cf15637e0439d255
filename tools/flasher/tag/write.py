"""Write a piece of a file; at 0 it is made, with its folders."""

import os
from binascii import a2b_base64


def main(path, at, data):
    if at == 0:
        parts = path.split("/")
        for n in range(2, len(parts)):
            try:
                os.mkdir("/".join(parts[:n]))
            except OSError:
                pass
    with open(path, "ab" if at else "wb") as file:
        file.write(a2b_base64(data))
    return os.stat(path)[6]
