"""Remove what a cable that was pulled has left in /stage, the word that it is ready first."""

import os


def remove(folder):
    for entry in list(os.ilistdir(folder)):
        path = folder + "/" + entry[0]
        if entry[1] & 0x4000:
            remove(path)
        else:
            os.remove(path)
    os.rmdir(folder)


def main():
    try:
        os.remove("/stage/ready")
    except OSError:
        pass
    try:
        remove("/stage")
    except OSError:
        pass
