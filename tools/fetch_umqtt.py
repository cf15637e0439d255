"""
Fetch modules of umqtt into a folder.

`simple`, whose packets `firmware/lib/mqtt.py` uses, is frozen into the stock ESP32 image; on the computer it comes from
the package index. `robust` is what bench/ compares with. The sdist of `simple` has no setup.py, so pip cannot install
it: `unearth` finds and downloads it, and the archive is checked against a pinned SHA-256 before one file is taken out
of it.

    python -m tools.fetch_umqtt build/lib [simple] [robust]
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

# Module to version and SHA-256 of its sdist.
PINS = {
    "simple": ("1.3.4", "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"),
    "robust": ("1.0", "22a1b8c8e1128281efb13b3020927d07e33c5b747869da2cd77d37983a9ea002"),
}


def download(name: str, version: str, folder: pathlib.Path) -> pathlib.Path:
    """Download the sdist into `folder`. SystemExit with the reason when that fails."""
    command = [str(pathlib.Path(sys.executable).with_name("unearth")), "--no-binary", f"{name}=={version}"]
    index = os.environ.get("PIP_INDEX_URL")
    if index:
        command += ["--index-url", index]
    result = subprocess.run(
        [*command, "--download", str(folder)], capture_output=True, text=True, timeout=180
    )
    if result.returncode:
        raise SystemExit(
            f"cannot fetch {name} {version}: {result.stderr.strip().splitlines()[-1:]}\n"
            "Is the package index reachable? (PIP_INDEX_URL names another one.) Then run make again."
        )
    # unearth unpacks what it downloads and reports one of the two: the archive is what the pin speaks of.
    path = pathlib.Path(json.loads(result.stdout)["local_path"])
    return path if path.suffix == ".gz" else folder / f"{name}-{version}.tar.gz"


def fetch(module: str) -> bytes:
    """Return the source of umqtt.`module`. SystemExit when it cannot be had, or is not what the pin says."""
    version, sha256 = PINS[module]
    name = f"micropython-umqtt.{module}"
    member = f"{name}-{version}/umqtt/{module}.py"
    with tempfile.TemporaryDirectory() as folder:
        archive = download(name, version, pathlib.Path(folder))
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != sha256:
            raise SystemExit(f"{archive.name} has SHA-256 {digest}, pinned is {sha256}: not used")
        with tarfile.open(archive) as tar:
            try:
                file = tar.extractfile(member)
            except KeyError:
                file = None
            if file is None:
                raise SystemExit(f"{archive.name} holds no {member}")
            return file.read()


def main(target: str, modules: list[str]) -> None:
    """Put umqtt with `modules` into the folder `target`."""
    sources = {module: fetch(module) for module in modules}
    package = pathlib.Path(target) / "umqtt"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_bytes(b"")
    for module, source in sources.items():
        (package / f"{module}.py").write_bytes(source)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(PINS):
        raise SystemExit(f"usage: python -m tools.fetch_umqtt FOLDER [{'] ['.join(PINS)}]")
    main(sys.argv[1], sys.argv[2:] or ["simple"])
