"""A simulated board at the end of a cable: its ROM loader and its MicroPython behind one PTY (sim/cable/board.py)."""
