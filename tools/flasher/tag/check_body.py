"""
Battery, charger, button, motor, light and clock, step by step, through board.py: main("begin", board) first.

A step returns its figures, or {"fault": kind of tools/flasher/errors.py}. What is between two steps stays in `body`.
"""

body = {}


def main(step, *given):
    return globals()["body_" + step](*given)


def body_begin(name):
    """Claim the pins; tell which parts the board has."""
    import json

    import clock
    from board import Board

    try:
        body["board"] = Board(name, clock.ticks_ms)
    except OSError as error:
        return {"fault": "power-chip", "text": str(error)}
    with open("/boards/%s.json" % name) as file:
        body["map"] = json.load(file)
    return {"has": list(body["map"])}


def body_battery():
    """Millivolts: the middle of nine readings, and how far they are apart."""
    from time import sleep_ms

    seen = []
    for _ in range(9):
        seen.append(body["board"].battery_mv())
        sleep_ms(20)
    seen.sort()
    return {"mv": seen[4], "spread_mv": seen[8] - seen[0]}


def body_charger():
    """Whether a supply from outside is seen."""
    import machine

    part = body["map"].get("charger")
    if part:
        return {"plugged": machine.Pin(part["pin"], machine.Pin.IN).value() == part["active"]}
    from axp2101 import AXP2101

    part = body["map"]["pmu"]
    scl, sda = machine.Pin(part["scl"]), machine.Pin(part["sda"])
    return {"plugged": AXP2101(machine.I2C(part["i2c"], scl=scl, sda=sda)).charging()}


def body_held(down, limit_ms):
    """Wait until the button is up or down for 30 ms; return whether it came to that."""
    from time import sleep_ms

    import clock

    began_ms = changed_ms = clock.ticks_ms()
    while True:
        now_ms = clock.ticks_ms()
        if body["board"].button.pressed() != down:
            changed_ms = now_ms
            if clock.since(now_ms, began_ms) > limit_ms:
                return False
        elif clock.since(now_ms, changed_ms) >= 30:
            return True
        sleep_ms(5)


def body_up():
    """Whether the button is up when nobody presses it. From here on its edges are counted."""
    body["board"].button.edges()
    return {} if body_held(False, 500) else {"fault": "button-stuck"}


def body_press(limit_ms, held_ms):
    """Wait for one press; tell how long it was and how many edges it made."""
    import clock

    button = body["board"].button
    if not body_held(True, limit_ms):
        return {"fault": "no-press", "seconds": limit_ms // 1000}
    began_ms = clock.ticks_ms()
    print("pressed")
    if not body_held(False, held_ms):
        return {"fault": "button-stuck"}
    return {"held_ms": clock.since(clock.ticks_ms(), began_ms), "edges": len(button.edges())}


def body_vibrate():
    """Three long ones."""
    from time import sleep_ms

    try:
        for _ in range(3):
            body["board"].vibration(True)
            sleep_ms(400)
            body["board"].vibration(False)
            sleep_ms(200)
    finally:
        body["board"].vibration(False)
    return {}


def body_light(on):
    body["board"].light(on)
    return {}


def body_time():
    """The chip's clock in ms of this month."""
    import machine

    _, _, day, _, hour, minute, second, micro = machine.RTC().datetime()
    return {"ms": (((day * 24 + hour) * 60 + minute) * 60 + second) * 1000 + micro // 1000}
