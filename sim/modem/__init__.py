"""
A SIM7080G on a PTY: LTE-M, sockets to real hosts over TCP and TLS, GNSS, and the habits of the real one.

Lines on stdin move its wires while it runs: pwrkey MS, supply on|off, dtr high|low, coverage on|off, card in|out,
fault {JSON}, clear [FAULT]. sim/modem/faults.py lists the faults, sim/modem/timings.py every duration.

    python -m sim modem --pty build/modem --on
"""

from sim.modem.cli import add_arguments, run
from sim.modem.faults import Fault, FaultError, Faults
from sim.modem.modem import Modem
from sim.modem.radio import Coverage
from sim.modem.simcard import Card

__all__ = ["Card", "Coverage", "Fault", "FaultError", "Faults", "Modem", "add_arguments", "run"]
