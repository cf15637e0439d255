"""
The last step: a press, the desk's signed answer, felt. Only then the tag is marked as in service.

The press is an ordinary one of the tag's own firmware, said as a test (flag 1). At the desk it is a test incident to be
closed there.
"""

from sim.provision import service_mark
from tools.flasher.errors import FlashError
from tools.flasher.install import put
from tools.flasher.repl import Repl
from tools.flasher.show import Screen
from tools.flasher.site import Site

PRESS_S = 90
_AWAKE = "I app: obereg"
# What the tag's log says, and what the technician reads. In the order of the path.
_STEPS = {
    "* latched": "pressed",
    "* on flash": "kept on flash",
    "* published": "sent",
    "* felt received": "the desk has it; two short vibrations",
}
# What the log says when it does not work: first match counts.
_FAULTS = (
    ("connack", "password"),
    ("certificate", "tls"),
    ("verif", "tls"),
    ("mbedtls", "tls"),
    ("no known network", "no-network"),
    ("no network", "no-network"),
    ("modem", "no-network"),
    ("does not answer", "broker"),
    ("session ended", "broker"),
)

# Not mended by waiting.
_FINAL = ("CONNACK",)


def commission(port: str, site: Site, screen: Screen, press_s: int = PRESS_S) -> None:
    """
    Have the button pressed and the desk answer; mark the tag as in service. FlashError: not-provisioned, no-press,
    no-network, tls, password, broker, desk, not-felt.
    """
    with Repl(port) as tag:
        state = tag.call("state")
        if not state["obereg"]:
            raise FlashError("not-installed", port=port)
        if not state["tag"]:
            raise FlashError("not-provisioned", port=port)
        if not state["service"]:
            # What a test that was cut has left would be answered, too, without a press.
            tag.call("forget")
        # The whole firmware is about to run beside the prompt: it needs the memory.
        tag.soft_reset()

        def on_line(line: str) -> None:
            text = line.split(" ", 1)[-1]
            if text.startswith(_AWAKE):
                # Not before: a finger that is quicker than the firmware would be missed.
                screen.say(port, "press the button now, for a second", step="press")
            elif text in _STEPS:
                screen.say(port, _STEPS[text], step=text[2:])

        seen = tag.call("commission", press_s, _FINAL, deadline_s=press_s + 30, on_line=on_line)
        _judge(seen, press_s)
        if not screen.ask(port, "Did you feel two short vibrations?"):
            raise FlashError("not-felt")
        # The programme that ran has the pins; a fresh start takes them back.
        tag.soft_reset()
        put(tag, "/data/service.new", service_mark(site.board))
        tag.call("move", "/data/service.new", "/data/service")
        if not tag.call("state")["service"]:
            raise FlashError("not-written", what="the mark")
    screen.say(
        port,
        f"tag {state['tag']} is in service; its service window is closed",
        tag=state["tag"],
        service=True,
    )


def _judge(seen: list[str], press_s: int) -> None:
    """FlashError for the first thing on the path that is missing in the tag's log."""
    if "* felt received" in seen:
        return
    if "* latched" not in seen and not any("session open" in line for line in seen):
        _blame(seen)
    if "* latched" not in seen:
        raise FlashError("no-press", seconds=press_s)
    if not any("session open" in line for line in seen):
        _blame(seen)
    raise FlashError("desk")


def _blame(seen: list[str]) -> None:
    faults = [line[2:] for line in seen if line[0] in "WE"]
    for sign, kind in _FAULTS:
        for line in reversed(faults):
            if sign in line.lower():
                raise FlashError(kind, text=line)
    if faults:
        raise FlashError("broker", text=faults[-1])
