"""
CONNECT to the broker over any bearer, as this tag. Loaded before the scripts that use it; nothing is published.

MQTT 3.1.1, 3.1: without a will, so that a cable that is pulled here says nothing at the desk.
"""


def main():
    return {}


def call_floor_s():
    """The earliest that it can be: when the firmware was installed, as build.py has it."""
    import json

    try:
        with open("/build.json") as file:
            return json.load(file)["built_s"]
    except (OSError, ValueError, KeyError):
        return 1790000000


def call_text(text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


async def call_broker(bearer, host, port, limit_ms):
    """Return {"text": what went wrong or "", "connack": its code or None, "warning", "ms"}."""
    import asyncio

    import clock
    import identity
    from board import NVS
    from journal import Journal

    me = identity.load(NVS(), Journal("/data"))
    out = {"text": "", "connack": None, "warning": None}
    began_ms = clock.ticks_ms()
    stream = None
    try:
        stream = await bearer.open(host, port, limit_ms)
        # Clean session, user name and password; 60 s.
        body = (
            b"\x00\x04MQTT\x04\xc2\x00\x3c" + call_text(me.tag) + call_text(me.tag) + call_text(me.password)
        )
        stream.write(b"\x10" + bytes((len(body),)) + body)
        # The first write carries TCP and TLS with it where those are lazy.
        await stream.drain(limit_ms)
        said = b""
        while len(said) < 4:
            data = await asyncio.wait_for(stream.read(4 - len(said)), 20)
            if not data:
                raise OSError("the broker closed the connection")
            said += data
        out["connack"] = said[3] if said[:2] == b"\x20\x02" else 255
        out["warning"] = stream.warning
    except asyncio.TimeoutError:
        out["text"] = "no answer in time"
    except Exception as error:  # noqa: BLE001 - ModemError, WifiError, OSError, ValueError of TLS: the text tells
        out["text"] = str(error).strip() or repr(error)
    finally:
        if stream:
            try:
                # Goodbye, so that it does not wait for us; where it refuses us it has hung up already.
                if out["connack"] == 0:
                    stream.write(b"\xe0\x00")
                    await stream.drain(3000)
                await stream.close()
            except Exception:  # noqa: BLE001, S110 - the answer is there, or the reason is
                pass
    out["ms"] = clock.since(clock.ticks_ms(), began_ms)
    return out
