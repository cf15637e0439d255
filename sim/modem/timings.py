"""
Every duration of the emulated modem, in ms, each with its source: "sheet N" is a section of the AT fact sheet in the
laboratory's reference folder, "platform X" one of its platform facts. "own choice" means that no source was found.
"""

from typing import NamedTuple


class Figure(NamedTuple):
    """A duration in ms and where it comes from."""

    ms: float
    source: str


# Power (pulses are measured at the module's PWRKEY, low = pressed)
PWRKEY_ON = Figure(1000, "sheet 2.1: PWRKEY low to power on >= 1 s")
PWRKEY_OFF = Figure(1200, "sheet 2.1: PWRKEY low to power off >= 1.2 s")
PWRKEY_RESET = Figure(
    12_000, "sheet 2.1: held low it resets itself after 12 s (pin table; the text says 15 s)"
)
BOOT = Figure(2500, "sheet 2.1: UART ready >= 2.5 s")
SHUTDOWN = Figure(1800, "sheet 2.1: UART off 1.8 s after the power-off pulse")
OFF_PAUSE = Figure(2000, "sheet 2.1: pause off to on >= 2 s")
WAKE = Figure(100, "platform D.1: modem awake by DTR 0.1 s")

# The SIM after the UART is ready
SIM_READY = Figure(500, "own choice (sheet 2.2 gives the order only)")
SMS_READY = Figure(1000, "own choice (sheet 2.2 gives the order only)")

# Commands
COMMAND = Figure(10, "sheet 10: simple command about 10 ms [T15]")
CFUN = Figure(1000, "own choice; sheet 2.5: max 10 s")
COPS_SCAN = Figure(57_000, "sheet 3 trap 1: mute for more than 57 s [T05]")
COPS = Figure(5000, "own choice; sheet 3: max 120 s")
CGATT_MAX = Figure(75_000, "sheet 3: CGATT max 75 s")

# Registration
REGISTER_COLD = Figure(11_000, "sheet 10: registration 11 s (HiGPS regTime)")
REGISTER_WARM = Figure(4000, "platform C.3: 4 s when good (Modem-Series #538)")
REGISTER_AUTO = Figure(900_000, "platform C.3: 15 min in automatic mode (TinyGSM #725)")
REGISTER_DENIED = Figure(11_000, "own choice: as long as a cold registration, sheet 10")
REGISTER_PSM = Figure(2400, "platform D.1: registered 0.5-2.4 s after a PSM wake")
CPSI_SHORT = Figure(1000, "own choice; sheet 3.1: CPSI has two fields right after registration [T30]")
NETWORK_TIME = Figure(500, "own choice; sheet 2.2: DST and PSUTTZ come after registration")

# PDP and radio
PDP_UP = Figure(490, "sheet 3.3: 0.49 s [T10]")
PDP_REFUSED = Figure(1100, "sheet 3.3: URC within 1.1 s for success and failure alike [T01]")
PDP_RETRY = Figure(20_000, "own choice; sheet 3.3: CNACT=n,2 tries again by itself")
RRC_IDLE = Figure(10_000, "platform D: 10 s of RRC inactivity")
RRC_CONNECT = Figure(350, "platform D.1: RRC idle to connected 0.2-0.5 s")
UPLINK = Figure(50, "platform D: end to end of the order of 100s of ms; half of 100")
DOWNLINK = Figure(50, "platform D: end to end of the order of 100s of ms; half of 100")
DNS = Figure(350, "platform D.1: DNS uncached adds 0.2-0.5 s")
TCP = Figure(250, "platform D.1: TCP 0.2-0.3 s")
TLS = Figure(1900, "platform D.1: full ECDSA handshake 1.2-2.6 s")
CAOPEN_MAX = Figure(75_000, "sheet 10: CAOPEN 75 s to its error [T17]")

# Power saving
PSM_THRESHOLD_S = 20  # sheet 3.6: CPSMCFG default
PSM_TAU_DEFAULT = Figure(3_600_000, "sheet 3.6: CPSMRDP shows a network TAU of 3600 s [T15]")

# GNSS
TTFF_COLD = Figure(30_000, "sheet 8.3: cold < 30 s, open sky [HD]; the field says 2-5 min")
TTFF_HOT = Figure(1000, "sheet 8.3: hot < 1 s")
HOT_UNTIL = Figure(7_200_000, "platform C.1: hot means < 2 h")
COARSE_FIX = Figure(2000, "own choice; sheet 8.1 trap 2: a fix can be useless (HPA 11864 m, 3 satellites)")
SGNS_TIMEOUT = Figure(30_000, "sheet 8: SGNSCFG TIMEOUT 30000")

BAUD = 115_200  # sheet 2.2 trap 3: fix the rate to 115200
BITS_PER_BYTE = 10


def wire_ms(count: int) -> float:
    """How long `count` bytes take on the wire."""
    return count * BITS_PER_BYTE * 1000 / BAUD
