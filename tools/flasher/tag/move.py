"""Move a file over another in one step."""

import os


def main(source, target):
    os.rename(source, target)
