"""
What the child feels and sees: a name to a pattern.

A pattern is (vibration, light): times in ms, on, off, on ... beginning with on. An empty one is nothing. Discreet
mode keeps the vibration and turns off every light.
"""

# A finger came down and code runs.
TOUCH = "touch"
# Pressed long enough: it is sent off.
SENT_OFF = "sent_off"
# Level 1: the desk has it.
RECEIVED = "received"
# Level 3: a person has said so. Help is coming.
COMING = "coming"
# Level 5 after level 3: whoever was coming is not; we are still calling.
STILL_CALLING = "still_calling"
# Not delivered after 15 s, and again now and then.
STILL_TRYING = "still_trying"
# The wish to cancel is noted; the desk decides.
CANCEL = "cancel"
# Level 4: a person closed the incident.
CLOSED = "closed"
# The tag cannot work: light only, seen by whoever holds the cable. log says why.
FAULT = "fault"

PATTERNS = {
    TOUCH: ((60,), (60,)),
    SENT_OFF: ((400,), (400,)),
    RECEIVED: ((120, 120, 120), (120, 120, 120)),
    COMING: ((700, 300, 700, 300, 700), (700, 300, 700, 300, 700)),
    STILL_CALLING: ((60, 500, 60), ()),
    STILL_TRYING: ((40,), ()),
    CANCEL: ((60, 90, 60, 90, 60), ()),
    CLOSED: ((1200,), (1200,)),
    FAULT: ((), (50, 200, 50, 200, 50)),
}


def pattern(name, discreet):
    """Return (vibration, light) of a signal: two tuples of ms, on first. KeyError for a name that is none."""
    vibration, light = PATTERNS[name]
    return vibration, () if discreet else light
