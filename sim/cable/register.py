"""
Make a registration known to the desk and the broker of a simulated table: `import` in its site.toml.

    python register.py FOLDER REGISTRATION

Any site needs something like it: import, a new password file for the broker, and the broker's ear.
"""

import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
_RUN_S = 30


def _desk(folder: pathlib.Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "desk", *words, "--db", f"sqlite:///{folder}/desk.db"],
        cwd=ROOT,
        env={**os.environ, "OBEREG_BROKER_PASSWORD": (folder / "desk.password").read_text()},
        stdout=subprocess.PIPE,
        text=True,
        timeout=_RUN_S,
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def main(folder: pathlib.Path, registration: str) -> None:
    _desk(folder, "tags", "import", registration)
    target = folder / "passwords"
    fresh = folder / "passwords.new"
    fresh.unlink(missing_ok=True)
    if (folder / "mosquitto.pid").exists():
        _desk(folder, "tags", "export", "--mosquitto", "--desk-user", "desk", "--out", str(fresh))
        fresh.replace(target)
        os.kill(int((folder / "mosquitto.pid").read_text()), signal.SIGHUP)
        return
    # The broker inside Python compares, it does not hash.
    import json

    known = [json.loads(line) for line in _desk(folder, "tags", "export").splitlines()]
    fresh.touch(0o600)
    lines = [f"desk:{(folder / 'desk.password').read_text()}"]
    lines += [f"{each['tag']}:{each['broker']}" for each in known]
    fresh.write_text("\n".join(lines) + "\n")
    fresh.replace(target)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
