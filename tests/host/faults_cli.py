"""A campaign as a command, for its test."""

import json
import subprocess
import sys
from typing import Any

from faults import ROOT


def campaign(name: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run `python -m faults.NAME`; return its exit status, its result and what it said beside that."""
    command = [sys.executable, "-m", f"faults.{name}", "--json", "-", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else {}, ended.stderr
