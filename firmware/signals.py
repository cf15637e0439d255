"""
What the child feels and sees: the name of a signal to its pattern.

    pattern("received", False)       # ([120, 120, 120], [120, 120, 120])
"""

# signal, vibration, light: times in ms, on, off, on ..., or - for nothing.
TABLE = """
touch 60 60
sent_off 250 250
received 120,120,120 120,120,120
coming 700,300,700,300,700 700,300,700,300,700
still_calling 60,500,60 -
still_trying 40 -
cancel 60,90,60,90,60 -
closed 1200 1200
armed 400,150,400 400,150,400
fault - 50,200,50,200,50
not_in_service - 600,400,600
"""
# touch: a finger came down and code runs. sent_off: pressed long enough. received: the desk has it. coming: a person
# has said so. still_calling: whoever was coming is not. still_trying: not delivered after 15 s. cancel: the wish to
# cancel is noted. closed: a person closed the incident. armed: the next press is a test. fault:
# this tag cannot work; its console says why. not_in_service: no technician has seen it call yet.


def pattern(name, discreet):
    """Return (vibration, light): lists of ms, on first. Discreet keeps the vibration and turns off every light."""
    # Not split into rows: that would take the heap at the moment of a press.
    at = TABLE.find("\n%s " % name)
    if at < 0:
        raise KeyError(name)
    _, vibration, light = TABLE[at + 1 : TABLE.find("\n", at + 1)].split()
    return _times(vibration), _times("-" if discreet else light)


def _times(text):
    return [] if text == "-" else [int(part) for part in text.split(",")]
