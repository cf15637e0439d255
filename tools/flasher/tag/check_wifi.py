"""Wi-Fi: main("join", ...) each known network, then main("call", ...) the broker over the last that let us in."""

air = {}


def main(step, *given):
    return globals()["air_" + step](*given)


def air_join(name, networks, limit_ms):
    """Return [[name of the network, status]]: 1010 joined, 201 not here, 202 a wrong key (the ESP32 port's numbers)."""
    from time import sleep_ms

    import clock
    from board import Board

    board = air["board"] = Board(name, clock.ticks_ms)
    wlan = air["wlan"] = board.station()
    wlan.active(True)
    out = []
    for ssid, key in networks:
        print("joining %s" % ssid)
        began_ms = settled_ms = clock.ticks_ms()
        try:
            wlan.connect(ssid, key)
        except OSError as error:
            out.append([ssid, str(error)])
            continue
        status = last = None
        while clock.since(clock.ticks_ms(), began_ms) < limit_ms:
            sleep_ms(50)
            status = 1010 if wlan.isconnected() else wlan.status()
            if status != last or status in (1000, 1001):
                last, settled_ms = status, clock.ticks_ms()
            # The chip tries again by itself: a refusal counts when it stays.
            if status == 1010 or clock.since(clock.ticks_ms(), settled_ms) > 4000:
                break
        out.append([ssid, status])
        if status == 1010:
            break
        wlan.disconnect()
    return out


def air_call(host, port, tls, name, limit_ms):
    """Call the broker, with TLS if so; tell its answer."""
    import asyncio

    import clock
    from log import Log
    from wifi import Wifi, tls_context

    # Certificates are checked against the chip's clock.
    clock.Clock(air["board"].set_rtc, call_floor_s())  # noqa: F821 - of check_call.py
    context = None
    if tls:
        with open("/ca.der", "rb") as file:
            context = tls_context(file.read())
    bearer = Wifi(air["wlan"], (), context, name, Log(clock.ticks_ms, lambda line: None))
    try:
        return asyncio.run(call_broker(bearer, host, port, limit_ms))  # noqa: F821 - of check_call.py
    finally:
        air["wlan"].disconnect()
