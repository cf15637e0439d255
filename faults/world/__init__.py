"""
One seed, one world: the real firmware modules, a real desk, and between them everything that goes wrong.

body.py is the tag (real modules on flash, RTC memory and power that can go), net.py bearers and broker, office.py the
desk and the people in front of it, attacker.py who replays, flips and reflects, judge.py the invariants, story.py what
happens, world.py puts it together in virtual time.
"""
