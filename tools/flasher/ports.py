"""Serial ports: which there are, and why one cannot be opened."""

import errno
import glob
import os
import time

import serial
from serial.tools import list_ports

from tools.flasher.errors import FlashError

# USB vendors of ESP32 boards: Espressif itself, CP210x, CH34x, FTDI
_VENDORS = (0x303A, 0x10C4, 0x1A86, 0x0403)
BUSY_S = 1.0


def find(given: list[str]) -> list[str]:
    """Return the ports to work at: those given (patterns too), else those that look like a board. FlashError: none."""
    if given:
        found = [path for each in given for path in (sorted(glob.glob(each)) or [each])]
    else:
        found = sorted(port.device for port in list_ports.comports() if port.vid in _VENDORS)
    if not found:
        raise FlashError("no-port")
    return found


def explain(port: str, error: Exception) -> FlashError:
    """Return why `port` failed, from what pyserial or the system said."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.EACCES or "Permission denied" in text:
        return FlashError("port-denied", port=port)
    if (
        number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
        or "exclusively lock" in text
        or "busy" in text
    ):
        return FlashError("port-busy", port=port)
    return FlashError("port-gone", port=port)


def there(port: str) -> bool:
    """Whether there is such a port; one over the network is taken for granted."""
    return "://" in port or os.path.exists(port)


def probe(port: str) -> None:
    """
    Open and close the port, so that a busy or missing one is told before anything is started. FlashError.

    A lock may outlive its port for a moment: in a program that another thread is just starting.
    """
    if not there(port):
        raise FlashError("port-gone", port=port)
    end_s = time.monotonic() + BUSY_S
    while True:
        try:
            return serial.serial_for_url(port, 115200, timeout=0, exclusive=True).close()
        except (OSError, ValueError) as error:
            problem = explain(port, error)
            if problem.kind != "port-busy" or time.monotonic() > end_s:
                raise problem from None
        time.sleep(0.05)
