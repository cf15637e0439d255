"""Make a folder where there is none."""

import os


def main(path):
    try:
        os.mkdir(path)
    except OSError:
        pass
