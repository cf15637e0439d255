"""
Proof by faults: campaigns that break what surrounds the tag, and the tag, and look whether an alert is ever lost.

Each campaign is `python -m faults.NAME`; common.py holds what they share. The firmware's modules are imported by their
own names, as on the tag, so their folders must be on the path before a campaign imports them.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

for _folder in ("tools/cpython", "build/lib", "firmware/lib", "firmware"):
    if (_path := str(ROOT / _folder)) not in sys.path:
        sys.path.insert(0, _path)
