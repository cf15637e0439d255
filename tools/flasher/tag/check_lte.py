"""
The modem step by step, with the firmware's own driver: main("begin", ...) first, then the others.

A step returns its figures; what the driver says went wrong stands in `text`, and tools/flasher/check_modem.py knows
what that means. What is between two steps stays in `lte`. While a step waits it prints every 5 s how it stands.
"""

lte = {}


def main(step, *given):
    import asyncio

    return asyncio.run(globals()["lte_" + step](*given))


async def lte_begin(name, apn, bands):
    import asyncio

    import clock
    from board import Board
    from log import Log
    from sim7080 import SIM7080

    board = Board(name, clock.ticks_ms)
    utc = clock.Clock(board.set_rtc, call_floor_s())  # noqa: F821 - of check_call.py
    log = Log(clock.ticks_ms, lambda line: None)

    def on_utc(utc_s):
        lte["utc_s"] = utc_s
        lte["heard_ms"] = clock.ticks_ms()
        utc.learn(utc_s, False)

    uart = board.modem_uart
    if not uart:
        return {"there": False}
    lte["modem"] = modem = SIM7080(
        asyncio.StreamReader(uart),
        uart.write,
        board.modem_power,
        board.modem_powered,
        board.modem_pwrkey,
        apn,
        bands,
        utc.fields,
        on_utc,
        log,
    )
    lte.update(apn=apn, board=board, log=log, utc_s=None, listens=asyncio.create_task(modem.run()))
    return {"there": True}


async def lte_ask(command):
    """Return the bare text that answers, "" where the modem refuses."""
    from at_line import ModemError

    try:
        return " ".join(await lte["modem"].command(command)).strip()
    except ModemError:
        return ""


async def lte_wake(anew):
    """Have it awake and told its settings; with `anew` after its supply was cut. Later reasons do not count here."""
    from at_line import ModemError

    modem = lte["modem"]
    modem.failures = 4 if anew else 0
    text = ""
    try:
        # No time for the network: that is another step.
        await modem.attach(1)
    except ModemError as error:
        text = str(error)
    modem.failures = 0
    imei = await lte_ask("AT+CGSN")
    out = {"text": text, "imei": imei, "firmware": "", "iccid": "", "supply_mv": 0}
    if imei:
        out["firmware"] = (await lte_ask("AT+CGMR")).split(":")[-1].strip()
        out["iccid"] = await lte_ask("AT+CCID")
        # +CBC: charging, percent, mV
        out["supply_mv"] = int((await lte_ask("AT+CBC")).split(",")[-1] or 0)
    return out


async def lte_stat():
    """Return (registration, signal): 1 and 5 are registered, 3 is denied; signal 99 is none."""
    stats = []
    for name in ("CEREG", "CGREG"):
        fields = (await lte_ask("AT+%s?" % name)).split(",")
        stats.append(fields[1] if len(fields) > 1 else "0")
    signal = (await lte_ask("AT+CSQ")).split(" ")[-1].split(",")[0]
    for wanted in ("1", "5", "3", "2"):
        if wanted in stats:
            return int(wanted), int(signal or 99)
    return 0, int(signal or 99)


async def lte_search(limit_ms):
    """Wait until it is registered, or denied for 5 s; return the last (registration, best signal seen)."""
    import asyncio

    import clock

    began_ms = said_ms = denied_ms = clock.ticks_ms()
    heard = 99
    while True:
        stat, signal = await lte_stat()
        heard = signal if heard == 99 else max(heard, signal if signal < 99 else 0)
        now_ms = clock.ticks_ms()
        if stat != 3:
            denied_ms = now_ms
        late = clock.since(now_ms, began_ms) >= limit_ms
        if stat in (1, 5) or clock.since(now_ms, denied_ms) >= 5000 or late:
            return stat, heard
        if clock.since(now_ms, said_ms) >= 5000:
            said_ms = now_ms
            print("searching, %s" % ("no signal" if signal == 99 else "signal %d of 31" % signal))
        await asyncio.sleep(0.3)


async def lte_register(limit_ms):
    """Wait for the network; tell band and level."""
    import asyncio

    stat, signal = await lte_search(limit_ms)
    out = {"stat": stat, "signal": signal, "roaming": stat == 5}
    if stat in (1, 5):
        for _ in range(20):
            # Right behind the registration there are two fields only.
            fields = (await lte_ask("AT+CPSI?")).split(",")
            if len(fields) > 11:
                out["network"] = fields[2]
                out["band"] = int("".join([c for c in fields[6] if c.isdigit()]) or 0)
                out["rsrq_db"] = int(fields[10])
                out["rsrp_dbm"] = int(fields[11])
                break
            await asyncio.sleep(0.3)
    return out


async def lte_blank(limit_ms):
    """It is heard and does not let us in: does it without our APN? Tell the APN that the network gives by itself."""
    modem = lte["modem"]

    async def with_apn(name):
        await modem.command('AT+CGDCONT=1,"IP","%s"' % name)
        await modem.line.accepts("AT+CFUN=0", 15000)
        await modem.line.accepts("AT+CFUN=1", 15000)

    await with_apn("")
    try:
        stat, _ = await lte_search(limit_ms)
        given = (await lte_ask("AT+CGNAPN")).split('"')
    finally:
        await with_apn(lte["apn"])
    return {"registered": stat in (1, 5), "given": given[1] if len(given) > 1 else ""}


async def lte_attach(limit_ms):
    """Have the PDP context up; tell its address."""
    from at_line import ModemError

    modem = lte["modem"]
    modem.failures = 0
    try:
        await modem.attach(limit_ms)
    except ModemError as error:
        return {"text": str(error), "address": ""}
    lines = (await lte_ask("AT+CNACT?")).split("+CNACT: ")
    up = [line for line in lines if line.startswith("0,1")]
    supply_mv = int((await lte_ask("AT+CBC")).split(",")[-1] or 0)
    return {
        "text": "",
        "address": up[0].split('"')[1] if up else "",
        "supply_mv": supply_mv,
        "battery_mv": lte["board"].battery_mv(),
    }


async def lte_time():
    """What the network said of the time, as of now; None: nothing."""
    import clock

    if lte["utc_s"] is None:
        return {"utc_s": None}
    return {"utc_s": lte["utc_s"] + clock.since(clock.ticks_ms(), lte["heard_ms"]) // 1000}


async def lte_call(host, port, tls, name, limit_ms):
    """Call the broker, with TLS if so; say who we are; tell its answer."""
    from at_line import reason
    from at_socket import AtSocket

    bearer = AtSocket(lte["modem"], "/ca.der" if tls else None, name, lte["log"])
    out = await call_broker(bearer, host, port, limit_ms)  # noqa: F821 - of check_call.py
    if tls and reason(".27") in out["text"]:
        # Our CA lies in the modem but was never converted (a cable that was pulled between the two): the next try of
        # the same bearer stores it anew, as the firmware would.
        out = await call_broker(bearer, host, port, limit_ms)  # noqa: F821
    return out


async def lte_sky(limit_ms):
    """The receiver inside: switch LTE off, it on; tell whether it runs and how many satellites it has."""
    import asyncio

    import clock

    modem = lte["modem"]
    await modem.line.accepts("AT+CNACT=0,0")
    out = {"runs": False, "fix": False, "satellites": 0}
    refused = not await modem.line.accepts("AT+CGNSPWR=1")
    began_ms = said_ms = clock.ticks_ms()
    try:
        while not refused and clock.since(clock.ticks_ms(), began_ms) < limit_ms and out["satellites"] < 4:
            await asyncio.sleep(1)
            # 8.2.2: run, fix, ..., 15: satellites in view
            fields = (await lte_ask("AT+CGNSINF")).split(": ")[-1].split(",")
            out["runs"] = out["runs"] or fields[0] == "1"
            if len(fields) > 14 and fields[14].isdigit():
                out["satellites"] = int(fields[14])
            out["fix"] = out["fix"] or fields[1:2] == ["1"]
            if clock.since(clock.ticks_ms(), said_ms) >= 5000:
                said_ms = clock.ticks_ms()
                print("%d satellites" % out["satellites"])
    finally:
        await modem.line.accepts("AT+CGNSPWR=0")
    return out
