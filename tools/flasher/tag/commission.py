"""
One real press, as a test: the tag's own firmware says it with flag 1 and waits for the desk's signed answer.

Prints the log as it goes; returns what was reached. It ends early at a warning that holds one of `final`: waiting would
not mend that. At the end the test's incident is
forgotten here; at the desk it stands.
"""


class Enough(Exception):
    pass


def main(seconds, final):
    import asyncio

    import clock
    from app import App
    from journal import Journal
    from log import Log

    seen, hopeless = [], []

    def write(line):
        seen.append(line.split(" ", 1)[1])
        print(line)
        if seen[-1][0] in "WE" and any(sign in line for sign in final):
            hopeless.append(line)

    async def watch():
        end_ms = clock.later(clock.ticks_ms(), seconds * 1000)
        armed_ms = None
        while clock.since(clock.ticks_ms(), end_ms) < 0:
            if "* felt received" in seen:
                # Two short ones: played to their end.
                await asyncio.sleep(1.5)
                raise Enough
            if hopeless:
                raise Enough
            if "* latched" not in seen and (
                armed_ms is None or clock.since(clock.ticks_ms(), armed_ms) > 50000
            ):
                # It holds for a minute.
                armed_ms = clock.ticks_ms()
                app.arm_test()
            await asyncio.sleep(0.1)
        raise Enough

    async def whole():
        await asyncio.gather(app.run(), watch())

    app = App(Log(clock.ticks_ms, write))
    try:
        import build

        build.begin(app)
        build.join(app)
        asyncio.run(whole())
    except Enough:
        pass
    for name in Journal("/data/outbox").names():
        Journal("/data/outbox").remove(name)
    Journal("/data").remove("incident")
    return [line for line in seen if line[0] in "*WE" or "session open" in line or "joined" in line][-40:]
