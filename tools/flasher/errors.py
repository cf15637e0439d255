"""
Everything that can go wrong at a technician's table: kind, exit status, what is said, what to do.

docs/technician.md holds the same table; a test compares the two.
"""

from typing import NamedTuple


class Kind(NamedTuple):
    """One thing that goes wrong. `text` and `cure` may hold {facts}."""

    status: int
    text: str
    cure: str


KINDS = {
    # the cable
    "no-port": Kind(
        10, "no board found at any serial port", "Put the cable in, or name the port with --port."
    ),
    "port-gone": Kind(
        11, "the board at {port} went away", "Put the cable in again and repeat the command: it goes on."
    ),
    "port-busy": Kind(
        12, "{port} is in use by another program", "Close the other program (a terminal, an editor)."
    ),
    "port-denied": Kind(
        13, "you may not open {port}", "Join the group that owns it (often dialout), then log in again."
    ),
    "no-answer": Kind(
        14,
        "nothing answers at {port}",
        "Is it a data cable? Hold BOOT while the cable goes in, then repeat.",
    ),
    "window-closed": Kind(
        15,
        "the service window of the tag at {port} is closed: it is in service",
        "Hold its button, put the cable in while holding, repeat the command within 3 s.",
    ),
    # the interpreter
    "image-bad": Kind(20, "{text}", "Download the image again; take the .bin of the board's chip."),
    "image-cut": Kind(21, "{text}", "Download the image again: the file is not complete."),
    "image-chip": Kind(22, "{text}", "Take the image of this board's chip."),
    "image-old": Kind(23, "{text}", "Take MicroPython 1.27 or newer."),
    "image-unpinned": Kind(
        24,
        "the image's SHA-256 is not pinned: {sha256}",
        'If you trust this file, write it into site.toml: [micropython] {chip} = {{version = "{version}", '
        'sha256 = "{sha256}"}}',
    ),
    "image-other": Kind(25, "the image is not the pinned one: it has SHA-256 {sha256}", "Download it again."),
    "image-missing": Kind(26, "cannot get an image: {text}", "Give a file with --image FILE."),
    "no-micropython": Kind(27, "the board at {port} has no MicroPython", "Run: flash.py burn"),
    "old-micropython": Kind(
        28, "the board at {port} has MicroPython {version}", "1.27 is the oldest. Run: flash.py burn"
    ),
    "wrong-chip": Kind(
        29,
        "the board at {port} has an {chip}, {board} has an {wanted}",
        "Is it the right board? See --board.",
    ),
    # the firmware
    "flash-full": Kind(
        30, "the flash is full: {need} bytes needed, {free} free", "Run: flash.py wipe, then all."
    ),
    "not-written": Kind(
        31,
        "{what} is not on the tag as it was sent",
        "Repeat. If it stays, the flash is broken: put the board aside.",
    ),
    "not-installed": Kind(32, "the tag at {port} has no firmware", "Run: flash.py install"),
    "not-compiled": Kind(33, "{text}", "The firmware in this folder is broken; take a release."),
    "tag-failed": Kind(
        34, "the tag could not do it: {text}", "Repeat. If it stays, report it with this text."
    ),
    "esptool": Kind(
        35, "esptool: {text}", "Repeat. If it stays: another cable, another USB socket, --baud 115200."
    ),
    # identity and settings
    "site-missing": Kind(
        40, "there is no site file {path}", "Copy site.example.toml to site.toml and fill it in."
    ),
    "site-bad": Kind(41, "{path}: {text}", "Mend that line; site.example.toml explains each."),
    "not-provisioned": Kind(42, "the tag at {port} has no identity", "Run: flash.py provision"),
    "key-wrong": Kind(
        43, "the tag does not hold the key it should", "Run: flash.py provision --new-identity"
    ),
    "file": Kind(44, "cannot write {path}: {text}", "Choose another folder with --out."),
    "not-wiped": Kind(45, "{count} bytes are left in {where}", "Repeat. If it stays, destroy the board."),
    # the way to the desk
    "no-network": Kind(
        50, "no network: {text}", "Is the Wi-Fi of site.toml here? Is the antenna on? Is there LTE-M?"
    ),
    "tls": Kind(
        51,
        "the broker's certificate is not accepted: {text}",
        "Is `ca` in site.toml the broker's CA, and `name` its name?",
    ),
    "password": Kind(
        52,
        "the broker refuses this tag's password",
        "Import the registration at the desk and give the broker a new `desk tags export --mosquitto`.",
    ),
    "broker": Kind(
        53, "the broker does not answer: {text}", "Are `host` and `port` in site.toml right? Does it run?"
    ),
    "desk": Kind(54, "the desk does not answer", "Does it run? Is this tag's registration imported?"),
    "no-press": Kind(
        55,
        "nobody pressed the button within {seconds} s",
        "Press it for a second when asked. Else the button is not wired.",
    ),
    "not-felt": Kind(56, "the vibration was not felt", "Look at the motor's wires, then repeat."),
    "part": Kind(57, "{part}: {text}", "{cure}"),
    # the tray
    "import": Kind(
        70, "the desk did not take the registration: {text}", "Mend `import` under [desk] in site.toml."
    ),
    "report": Kind(
        71,
        "the tray report {path}: {text}",
        "Repeat with another folder (--report), or move the damaged file away.",
    ),
    "stopped": Kind(72, "stopped at this computer", "Repeat the command: it goes on."),
}


class FlashError(Exception):
    """What the technician is told. `kind` is a row of KINDS; `facts` fill its text."""

    def __init__(self, kind: str, **facts: object) -> None:
        row = KINDS[kind]
        self.kind = kind
        self.status = row.status
        self.text = row.text.format(**facts)
        self.cure = row.cure.format(**facts)
        super().__init__(f"{self.text}. {self.cure}")
