"""Take the tag out of service: what it was proven with is about to change."""

import os


def main():
    try:
        os.remove("/data/service")
    except OSError:
        pass
