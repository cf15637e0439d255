"""
The SIM7080G: its power, the network, the cell, the clock. Its sockets are in at_socket.py, the receiver that shares
its radio in at_gnss.py, its command line in at_line.py.

    modem = SIM7080(reader, write, power, powered, pwrkey, apn, bands, utc_fields, on_utc, log)
    asyncio.create_task(modem.run())              # hears what the modem says, for ever
    await modem.attach(240000)                    # awake, registered, PDP context up; ModemError with the reason
    await modem.command("AT+CSQ")

Sections are those of the module's AT manual V1.05, or of its hardware design (HD) V1.03.
"""

import asyncio

import clock
import gregorian
from at_line import Line, ModemError, reason
from micropython import const

_CPIN_MS = const(5000)  # 3.2.11
_CFUN_MS = const(15000)  # 3.2.19: 10 s
_PDP_MS = const(60000)  # no maximum is stated; 0.5-1.1 s in the field
_PDP_TRIES = const(5)
# PWRKEY: 1 s switches on (HD 3.2.1), 1.2 s would switch a running one off (HD 3.2.2).
_PWRKEY_MS = const(1100)
_BOOT_MS = const(15000)  # the first answer came 2-2.5 s after the key
_AWAKE_MS = const(3000)
_PROBE_MS = const(250)
# The supply is up before PWRKEY is pressed, and off long enough for every capacitor (HD 3.2.2: 2 s).
_SETTLE_MS = const(300)
_CUT_MS = const(2500)
_LOOK_MS = const(300)
_SIM_MS = const(10000)
_DOUBT_MS = const(60000)  # registration takes 4-11 s; after this the settings are read once more
_SIM_READY = const("+CPIN: READY")
_SIM_BUSY = const(": 14")
# Failures in a row: what is done about it before the next try.
_NEW_PDP = const(2)
_RESTART = const(3)
_CUT = const(4)

# NAME VALUE. Read first, because writing wears the modem's flash. CFUN first: a stored 4 or 0 is no radio; then the
# receiver, which a tag that was reset in the middle may have left on.
_SETTINGS = """
CFUN 1
CGNSPWR 0
CGDCONT 1,"IP","%s"
CNMP 38
CMNB 1
CNCFG 0,1,"%s"
IPR 115200
CLTS 1
"""
# What it forgets at each start.
_START = const('ATE0 AT+CMEE=1 AT+CACFG="ASYNCOPEN",1')


class SIM7080:
    """
    `reader.read(n)` (async) and `write(data)`: the UART; `power(on)`: its supply, `powered`: whether that is on
    already; `pwrkey(on)`: the key; `bands`: of Cat-M as in AT+CBANDCFG, or None for all. `utc_fields()`: (year, ...
    second) to set its clock by; `on_utc(seconds)`: the network said what time it is.

    `cell`: the serving cell as last seen, [mcc, mnc, tac, ci, rsrp_dbm], or None. `sockets`: {cid: Stream}. `life`
    counts its starts: what an earlier one was told is forgotten.
    """

    def __init__(self, reader, write, power, powered, pwrkey, apn, bands, utc_fields, on_utc, log):
        self.line = Line(reader, write, self._on_line, log)
        self.run = self.line.run
        self.command = self.line.command
        self.until = self.line.until
        self._power = power
        self._pwrkey = pwrkey
        self._apn = apn
        self._bands = bands
        self._utc_fields = utc_fields
        self._on_utc = on_utc
        self._log = log
        self.cell = None
        self.sockets = {}
        # Held while LTE or the receiver has the radio to itself.
        self.radio = asyncio.Lock()
        self.failures = 0  # in a row, of attaching and opening
        self.life = 0
        self._powered = powered
        self._ready = False  # awake, and told all it must know
        self._lent = False  # the receiver may be on: LTE would starve
        self._pdp = None  # whether the context is up; None: not known
        self._unsure = ""  # the setting that was being written: it may be there and not in force

    def _on_line(self, line, unasked):
        name, _, rest = line.partition(": ")
        if name in ("+CADATAIND", "+CASTATE", "+CAOPEN"):
            cid, _, value = rest.partition(",")
            if cid in self.sockets:
                self.sockets[cid].on_news(name, value)
        elif name == "+APP PDP":
            self._pdp = rest == "0,ACTIVE"
            if not self._pdp:
                self._lose("the network has ended the context")
        elif name == "*PSUTTZ":
            self._on_time(rest)
        elif self._ready and unasked and (name in ("RDY", "+CPIN") or name.endswith("POWER DOWN")):
            # A SIM that reports out of the blue: the radio side has begun anew, and nothing else says so.
            self._ready = False
            self._lose("the modem has restarted")

    def _lose(self, why):
        for stream in self.sockets.values():
            stream.on_news("", why)

    def _on_time(self, text):
        # 24/04/11,03:19:19","+32",0 - UTC. The manual's form has a year of 4 digits (5.2.4); the field does not.
        digits = "".join([c if c.isdigit() else " " for c in text]).split()
        if len(digits) > 5:
            year, month, day, hour, minute, second = [int(part) for part in digits[:6]]
            days = gregorian.day(year % 100 + 2000, month, day)
            if days and hour < 24 and minute < 60 and second < 60:
                self._on_utc(days * 86400 + hour * 3600 + minute * 60 + second)
                return
        self._log.count("modem.malformed")

    async def _wake(self):
        """Have a modem that answers."""
        if not self._powered:
            self._power(True)
            self._powered = True
            await asyncio.sleep(_SETTLE_MS / 1000)
        elif await self._answers(_AWAKE_MS):
            return
        for _ in range(2):
            self._pwrkey(True)
            try:
                await asyncio.sleep(_PWRKEY_MS / 1000)
            finally:
                self._pwrkey(False)
            if await self._answers(_BOOT_MS):
                return
        self.failures = _CUT
        raise ModemError("the modem does not answer: supply, PWRKEY and UART of this board?")

    async def _answers(self, deadline_ms):
        for _ in range(deadline_ms // _PROBE_MS):
            try:
                await self.line.say("AT", _PROBE_MS)
                # Of several that were said one was answered; the others may be yet.
                self.line.stale = True
                return True
            except ModemError:
                pass
        return False

    async def _help(self):
        """What has failed again and again is begun anew, deeper each time."""
        if self.line.mute:
            # There is nobody to talk to, so only its supply can help.
            self.failures = _CUT
            self.line.mute = 0
        elif [1 for stream in self.sockets.values() if stream.fresh()]:
            # It may be about to work, and what helps would end it.
            return
        if self.failures < _NEW_PDP:
            return
        if self.failures == _NEW_PDP:
            self._pdp = None
            await self.line.accepts("AT+CNACT=0,0")
        elif self.failures == _RESTART:
            self._ready = False
            await self.line.accepts("AT+CFUN=1,1", _CFUN_MS)
        else:
            self._ready = self._powered = False
            self._power(False)
            await asyncio.sleep(_CUT_MS / 1000)
            # Not before: who gives up meanwhile would have it on again too soon.
            self.failures = 0
        self._log.count("modem.helped")
        self._lose("the modem begins anew")

    async def attach(self, deadline_ms):
        """Be registered, with a PDP context up: at once when that is so. ModemError with the reason."""
        async with self.radio:
            began_ms = clock.ticks_ms()
            try:
                await self._help()
                if not self._ready:
                    await self._start()
                if self._lent:
                    await self.command("AT+CGNSPWR=0")
                    self._lent = False
                if not self._pdp:
                    await self._register(deadline_ms - clock.since(clock.ticks_ms(), began_ms))
                    await self._activate()
                    self._looking = asyncio.create_task(self._look_twice())
            except ModemError:
                self.failures += 1
                raise

    async def _start(self):
        """Wake it and tell it all it must know."""
        self._pdp = None
        async with self.line.lock:
            await self._wake()
        self.life += 1
        for text in _START.split():
            await self.command(text)
        await self._settle()
        await self._sim()
        self._ready = True

    async def _settle(self):
        """Read every setting, write those that are wrong."""
        rows = (_SETTINGS % (self._apn, self._apn)).strip().split("\n")
        if self._bands:
            rows.append('CBANDCFG "CAT-M",' + self._bands)
        for row in rows:
            name, _, value = row.partition(" ")
            said = "+%s: %s" % (name, value)
            there = await self.command("AT+%s?" % name)
            right = [line for line in there if line == said or line.startswith(said + ',"')]
            if right and name != self._unsure:
                continue
            self._log.say("I", "modem: " + row)
            self._unsure = name
            await self.command("AT+%s=%s" % (name, value), _CFUN_MS)
            if name == "CGDCONT" and not (await self._pin()).endswith(_SIM_BUSY):
                # It may be registering with the old one already, which may keep it from ever succeeding.
                await self.command("AT+CFUN=0", _CFUN_MS)
                await self.command("AT+CFUN=1", _CFUN_MS)
            self._unsure = ""

    async def _pin(self):
        """Return what the SIM says, or why it does not."""
        try:
            return "".join(await self.command("AT+CPIN?", _CPIN_MS))
        except ModemError as error:
            return str(error)

    async def _sim(self):
        """Wait for the SIM, which is busy after a start."""
        began_ms = clock.ticks_ms()
        while True:
            said = await self._pin()
            if said == _SIM_READY:
                return
            if clock.since(clock.ticks_ms(), began_ms) > _SIM_MS:
                raise ModemError(reason("11") if said == "+CPIN: SIM PIN" else said)
            await asyncio.sleep(_LOOK_MS / 1000)

    async def _register(self, deadline_ms):
        began_ms = clock.ticks_ms()
        doubted = False
        while True:
            for name in ("CEREG", "CGREG"):
                for line in await self.command("AT+%s?" % name):
                    # 6.2.7: 1 home, 5 roaming. The two can disagree, and either will do.
                    stat = line.split(",")[1:2]
                    if stat in (["1"], ["5"]):
                        return
                    if stat == ["3"]:
                        raise ModemError(
                            "the network refuses this SIM: not activated, or no LTE-M in its contract"
                        )
            took_ms = clock.since(clock.ticks_ms(), began_ms)
            if took_ms > _DOUBT_MS and not doubted:
                # A setting that was read wrongly keeps it from ever succeeding.
                doubted = True
                await self._settle()
            if took_ms > deadline_ms:
                # That was long enough: a restart is next.
                self.failures = max(self.failures, _NEW_PDP)
                raise ModemError("no network found: coverage, antenna, bands, APN?")
            await asyncio.sleep(_LOOK_MS / 1000)

    async def _activate(self):
        """Bring the PDP context up (7.2): the OK means nothing, what comes behind it does. The first try may fail."""
        for line in await self.command("AT+CNACT?"):
            if line.startswith("+CNACT: 0,1"):
                self._pdp = True
        for _ in range(_PDP_TRIES):
            if self._pdp:
                return
            self._pdp = None
            await self.command("AT+CNACT=0,1")
            await self.until(lambda: self._pdp is not None, _PDP_MS, "AT+CNACT: no context within 60 s")
            if not self._pdp:
                await asyncio.sleep(_LOOK_MS / 1000)
        if not self._pdp:
            raise ModemError("the network refuses the APN %s" % (self._apn or "(none)"))

    async def look(self):
        """Look which cell serves; `cell` has it. 5.2.19: right after registration only two fields are there."""
        for line in await self.command("AT+CPSI?"):
            fields = line.split(",")
            if len(fields) > 11:
                try:
                    mcc, mnc = fields[2].split("-")
                    self.cell = [int(mcc), int(mnc), int(fields[3], 16), int(fields[4]), int(fields[11])]
                except ValueError:
                    self._log.count("modem.malformed")

    async def _look_twice(self):
        for wait_s in (0, 2):
            await asyncio.sleep(wait_s)
            await self.see()

    async def see(self):
        """Like look, for who can do without: a modem that is not awake or refuses is no news."""
        if self._ready:
            try:
                await self.look()
            except ModemError:
                self._log.count("modem.no_cell")

    async def set_clock(self):
        """Let its clock be ours: it begins in 1980, and certificates are checked against it."""
        year, *rest = self._utc_fields()
        await self.command('AT+CCLK="%02d/%02d/%02d,%02d:%02d:%02d+00"' % tuple([year % 100] + rest))

    async def lend_radio(self):
        """End what LTE has open, for the receiver. The caller holds `radio`. ModemError: it is not awake."""
        if not self._ready:
            raise ModemError("the modem is not awake")
        self._lose("the receiver has the radio")
        self._pdp = None
        self._lent = True
        await self.line.accepts("AT+CNACT=0,0")

    async def take_radio(self):
        """Switch the receiver off. What does not answer now is tried again before LTE goes on."""
        if await self.line.accepts("AT+CGNSPWR=0"):
            self._lent = False
