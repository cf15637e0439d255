"""Check the settings with the firmware's own code, then say so."""


def main():
    import json

    import config

    with open("/config.json") as file:
        return config.load(json.load(file)).board
