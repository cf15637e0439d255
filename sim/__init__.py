"""A tag on this computer: the unchanged firmware on MicroPython and the world around it (sim/README.md)."""
