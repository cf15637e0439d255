"""Ctrl-C ends a long campaign with what it has done, said as such and written as JSON."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LONG = {
    "fuzz": ("--long", "--parser", "at"),
    "replays": ("--long",),
    "soak": ("--long",),
    "simulate": ("--long", "--no-mutants"),
    "tray": ("--long", "--only", "cuts"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_run_that_is_stopped_tells_how_far_it_went(name, tmp_path):
    file = tmp_path / "result.json"
    command = [sys.executable, "-m", f"faults.{name}", *LONG[name], "--json", str(file)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    tasks = Path(f"/proc/{process.pid}/task")
    for _ in range(200):
        # Of any thread of it.
        if any(each.read_text() for each in tasks.glob("*/children")):
            break
        time.sleep(0.1)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert said.rstrip().endswith("stopped by Ctrl-C before its end")
    result = json.loads(file.read_text())
    assert (result["stopped"], result["violations"]) == (True, 0)
    assert f"{name}: {result['runs']} runs, 0 violations" in said
