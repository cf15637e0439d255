"""
Fetch umqtt.simple, whose packets `firmware/lib/mqtt.py` uses, into a folder.

On the tag it is frozen into the stock ESP32 image. On the computer it comes from the package index. Its sdist has
no setup.py, so pip cannot install it: `unearth` finds and downloads it, and the archive is checked against a
pinned SHA-256 before one file is taken out of it.

    python -m tools.fetch_umqtt build/lib
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

NAME, VERSION = "micropython-umqtt.simple", "1.3.4"
SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
MEMBER = f"{NAME}-{VERSION}/umqtt/simple.py"


def download(folder: pathlib.Path) -> pathlib.Path:
    """Download the sdist into `folder`. SystemExit with the reason when that fails."""
    command = [str(pathlib.Path(sys.executable).with_name("unearth")), "--no-binary", f"{NAME}=={VERSION}"]
    index = os.environ.get("PIP_INDEX_URL")
    if index:
        command += ["--index-url", index]
    result = subprocess.run(
        [*command, "--download", str(folder)], capture_output=True, text=True, timeout=180
    )
    if result.returncode:
        raise SystemExit(
            f"cannot fetch {NAME} {VERSION}: {result.stderr.strip().splitlines()[-1:]}\n"
            "Is the package index reachable? (PIP_INDEX_URL names another one.) Then run make again."
        )
    # unearth unpacks what it downloads and reports one of the two: the archive is what the pin speaks of.
    path = pathlib.Path(json.loads(result.stdout)["local_path"])
    return path if path.suffix == ".gz" else folder / f"{NAME}-{VERSION}.tar.gz"


def main(target: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = download(pathlib.Path(folder))
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256:
            raise SystemExit(f"{archive.name} has SHA-256 {digest}, pinned is {SHA256}: not used")
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MEMBER)
            if member is None:
                raise SystemExit(f"{archive.name} holds no {MEMBER}")
            source = member.read()
    package = pathlib.Path(target) / "umqtt"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_bytes(b"")
    (package / "simple.py").write_bytes(source)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tools.fetch_umqtt FOLDER")
    main(sys.argv[1])
