"""
A small town for the campaigns on real brokers and desks: programs.py (mosquitto and the desk, which can be killed),
worn.py (tags on real MicroPython), judge.py (what the database must hold), rounds.py (kill after kill), scenes.py.
"""

from sim.common import SimError


class TownError(SimError):
    """A part of the town does not do what it must do for the campaign to go on. The text says which."""
