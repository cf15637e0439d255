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
    "no-prompt": Kind(
        16,
        "the tag at {port} gives no prompt, and is not in service",
        "Take the cable out, put it in again, repeat. If it stays: flash.py all; an identity that is there is kept.",
    ),
    # the interpreter
    "image-bad": Kind(20, "{text}", "Download the image again; take the .bin of the board's chip."),
    "image-cut": Kind(21, "{text}", "Download the image again: the file is not complete."),
    "image-chip": Kind(22, "{text}", "Take the image of this board's chip."),
    "image-old": Kind(23, "{text}", "Take MicroPython 1.27 or newer."),
    "image-unpinned": Kind(
        24,
        "the image's SHA-256 is not pinned: {sha256}",
        "Download it a second time, from another place, and run sha256sum on both. If they agree, write below "
        '[micropython] in site.toml: {chip} = {{version = "{version}", sha256 = "{sha256}"}}',
    ),
    "image-other": Kind(25, "the image is not the pinned one: it has SHA-256 {sha256}", "Download it again."),
    "image-missing": Kind(26, "cannot get an image: {text}", "Download it and give it with --image FILE."),
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
    # what a tag finds out about itself: the chip
    "flash-bad": Kind(
        60,
        "the flash does not give back what was written: {wrong} of {count} blocks are wrong",
        "Put the board aside: its flash is broken.",
    ),
    "firmware-other": Kind(
        61, "the firmware on the tag is not as it was installed: {what}", "Run: flash.py install"
    ),
    "rtc-bad": Kind(
        62,
        "RTC memory does not keep what is written: {wrong} of 2048 bytes are wrong",
        "Put the board aside: its chip is broken.",
    ),
    "clock-bad": Kind(63, "{text}", "{cure}"),
    "settings-other": Kind(
        64, "the tag has other settings than site.toml: {what}", "Run: flash.py provision"
    ),
    # the board
    "power-chip": Kind(
        65,
        "the power chip does not answer: {text}",
        "Is it the board that site.toml names? Else its I2C wires are broken.",
    ),
    "battery-none": Kind(
        66,
        "the battery reads {mv} mV, which no lithium cell has",
        "Is it plugged in, and the right way round? Else its wires or the divider are broken.",
    ),
    "battery-low": Kind(67, "the battery is at {mv} mV", "Charge it above {least} mV, then repeat."),
    "brown-out": Kind(
        68,
        "the supply gives way: {text}",
        "Charge the battery; take a short cable and a USB socket of its own. If it stays: a weak battery, "
        "a thin wire, or no capacitor at the modem.",
    ),
    "button-stuck": Kind(
        69,
        "the button is pressed all the time",
        "Let it go. If nobody holds it: look for a bent case, a short, another pin in the board map.",
    ),
    "not-seen": Kind(70, "the light was not seen", "Look at its soldering, then repeat."),
    # modem, SIM, network
    "modem-mute": Kind(
        71,
        "the modem does not answer",
        "Look at its supply, PWRKEY, and whether RX and TX are exchanged. After a fault: battery and cable off "
        "for a minute.",
    ),
    "sim-missing": Kind(
        72,
        "there is no SIM, also after the modem was started anew",
        "Put it in, gold contacts down, until it clicks. One that is put in later is seen at the next start only.",
    ),
    "sim-pin": Kind(
        73, "the SIM asks for its PIN", "Put it into a telephone and switch the PIN off, then repeat."
    ),
    "sim-puk": Kind(
        74,
        "the SIM is locked: it asks for its PUK",
        "Unlock it in a telephone with the PUK and switch the PIN off.",
    ),
    "sim-bad": Kind(75, "the SIM does not work: {text}", "Clean its contacts, or take another SIM."),
    "sim-refused": Kind(
        76,
        "the network refuses this SIM ({iccid})",
        "It is not activated, or its contract has no LTE-M: ask who sold it.",
    ),
    "no-signal": Kind(
        77,
        "no LTE-M network is heard within {seconds} s",
        "Is the LTE antenna on, at its own socket? Else go to a window: there may be no LTE-M here. `bands` in "
        "site.toml may forbid this network's.",
    ),
    "not-let-in": Kind(
        78,
        "a network is heard (signal {signal} of 31) but does not let the tag in, with its APN or without",
        "Its contract may have no LTE-M or no roaming here; `bands` in site.toml may forbid this network's.",
    ),
    "apn": Kind(
        79,
        "the network does not accept the APN {apn}{hint}",
        "Write the APN of the SIM's contract into site.toml, run: flash.py provision",
    ),
    # the receiver
    "gnss-mute": Kind(
        80,
        "the GNSS receiver says nothing",
        "Look at its supply, and whether RX and TX are exchanged.",
    ),
    "gnss-garbled": Kind(
        81,
        "the GNSS receiver sends {bytes} bytes and no sentence that can be read",
        "Its speed is not `baud` of the board map, or the wire is loose.",
    ),
    "gnss-deaf": Kind(
        82,
        "the GNSS receiver hears no satellite under an open sky",
        "Is its antenna on, at its own socket, and looking up?",
    ),
    # the way to the broker
    "wifi-absent": Kind(
        83,
        "no Wi-Fi of site.toml is here: {names}",
        "Go to where it is, or look at its name: capitals count, and it must be a 2.4 GHz one.",
    ),
    "wifi-key": Kind(
        84, "the Wi-Fi {name} refuses the key", "Mend its key in site.toml, run: flash.py provision"
    ),
    "tls-name": Kind(
        85,
        "the broker's certificate is for another name than {name}",
        "Mend `host` or `name` in site.toml; over the modem the certificate must name the host itself.",
    ),
    "tls-clock": Kind(
        86,
        "the broker's certificate is out of date, or not valid yet",
        "Renew it. If it is right: set this computer's clock, run: flash.py install, then repeat.",
    ),
    "no-host": Kind(87, "there is no host {host} (DNS)", "Mend `host` in site.toml."),
    # the tray
    "import": Kind(
        110, "the desk did not take the registration: {text}", "Mend `import` under [desk] in site.toml."
    ),
    "report": Kind(
        111,
        "the tray report {path}: {text}",
        "Repeat with another folder (--report), or move the damaged file away.",
    ),
    "stopped": Kind(112, "stopped at this computer", "Repeat the command: it goes on."),
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
