"""
A panic button as most people would write it: umqtt.robust, one loop, publish at a press, reconnect on an error.

The sealed alerts are in /alerts, because sealing is not what is compared. All that bench/ asks of it is to print in
the form of a milestone of firmware/lib/log.py.
"""

import json
import time

import machine
import network
from umqtt.robust import MQTTClient

KEEP_ALIVE_S = 60

with open("config.json") as file:
    config = json.load(file)

button = machine.Pin(config["button"], machine.Pin.IN, machine.Pin.PULL_UP)
wlan = network.WLAN(network.STA_IF)
topic = b"obereg/%s/up/alert" % config["tag"].encode()


def say(what):
    print(f"{time.ticks_ms()} * {what}")


def join():
    wlan.active(True)
    wlan.connect(*config["wifi"])
    while not wlan.isconnected():
        time.sleep_ms(50)


def next_alert():
    """Return the alert to say next. Which it is, is on flash: a restart must not say one twice."""
    with open("next") as file:
        number = int(file.read())
    with open("next", "w") as file:
        file.write(str(number + 1))
    with open(f"alerts/{number}", "rb") as file:
        return file.read()


def run():
    join()
    client = MQTTClient(
        config["tag"],
        config["host"],
        config["port"],
        user=config["tag"],
        password=config["password"],
        keepalive=KEEP_ALIVE_S,
    )
    client.connect()
    say("ready")
    pinged_ms = time.ticks_ms()
    while True:
        if button.value() == 0:
            client.publish(topic, next_alert(), qos=1)  # returns when the broker has confirmed it
            say("known")
            while button.value() == 0:
                time.sleep_ms(10)
        if time.ticks_diff(time.ticks_ms(), pinged_ms) > KEEP_ALIVE_S * 500:
            pinged_ms = time.ticks_ms()
            try:
                client.ping()
            except OSError:
                client.reconnect()
        time.sleep_ms(10)


try:
    run()
except Exception as error:  # noqa: BLE001 - the usual last resort
    print("restart:", error)
    machine.reset()
