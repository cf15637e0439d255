"""
The bearer over LTE-M: sockets in the SIM7080, with TLS there too. A byte stream with deadlines.

    lte = AtSocket(modem, ca_path, server_name, log)      # ca_path: DER; None = plain TCP
    await lte.attach(240000)
    stream = await lte.open(host, port, 80000)            # ModemError with the reason
    stream.write(data); await stream.drain(3000); data = await stream.read(512); await stream.close()

AT manual 12.2 (CAOPEN ...), 11.2 (CSSLCFG). TLS verifies always: a CACERT is set in any case, for
without one every server would be trusted. It is compared with the host, so the certificate must name that.
"""

import asyncio
import sys

import clock
from at_line import ModemError, reason
from micropython import const

_CIDS = const(4)
_CHUNK = const(1024)
# Fewer bytes than announced within this: the modem forgets them, so a prompt never stays open for long.
_INPUT_MS = const(1000)
_PROMPT_MS = const(5000)
_ROOM_S = 0.2
# +CADATAIND can get lost: look without one, too. While an answer is expected, and else.
_POLL_S = const(2)
_IDLE_POLL_S = const(30)
# DNS, TCP and TLS take 3 s, the first answer another; in bad air several times that.
_FRESH_MS = const(15000)


class AtSocket:
    """`ca_path`: a file with the CA as DER, None for a connection without TLS. `server_name`: said as SNI."""

    name = "modem"
    # Registration takes 4-11 s, 180 s where the cell is hard to find; then the PDP context.
    attach_ms = 240000
    # CAOPEN was seen to be mute for 75 s.
    open_ms = 80000

    def __init__(self, modem, ca_path, server_name, log):
        self._modem = modem
        self._ca_path = ca_path
        self._server_name = server_name
        self._log = log
        self._cid = 0
        self._life = None  # of the modem, when it was told its TLS settings
        self._ca_name = ""  # of the CA in the modem
        self._upload = None  # True: the certificate again, although it is there; False: that was done

    async def attach(self, deadline_ms):
        await self._modem.attach(deadline_ms)

    async def open(self, host, port, deadline_ms):
        """Return a Stream to host:port. ModemError says why there is none."""
        modem = self._modem
        for _ in range(_CIDS):
            self._cid = (self._cid + 1) % _CIDS
            if str(self._cid) not in modem.sockets:
                break
        else:
            raise ModemError("all sockets are in use")
        cid = str(self._cid)
        stream = modem.sockets[cid] = Stream(modem, cid)
        try:
            # An earlier one may have been given up while it was opened.
            await stream.let_go()
            await modem.command('AT+CASSLCFG=%s,"SSL",%d' % (cid, self._ca_path is not None))
            if self._ca_path:
                await self._secure(cid)
            result = await self._call(stream, host, port, deadline_ms)
            if result == "24":
                # The envelope alone is enough to protect an alert: better late than never on a wrong clock.
                stream.warning = reason(".24")
                await modem.command('AT+CSSLCFG="IGNORERTCTIME",0,1')
                result = await self._call(stream, host, port, deadline_ms)
            if result == "27":
                self._life = None
                # Once: another CA on the broker is no reason to wear the modem's flash.
                if self._upload is None:
                    self._upload = True
            if result != "0":
                raise ModemError("AT+CAOPEN: result " + reason("." + result))
        except ModemError:
            modem.failures += 1
            modem.sockets.pop(cid)
            raise
        except BaseException:
            modem.sockets.pop(cid)
            raise
        return stream

    async def _call(self, stream, host, port, deadline_ms):
        stream.result = None
        text = 'AT+CAOPEN=%s,0,"TCP","%s",%d' % (stream.cid, host, port)
        await self._modem.command(text, deadline_ms)
        what = "AT+CAOPEN: no result within %d s" % (deadline_ms // 1000)
        await self._modem.until(lambda: stream.result is not None or stream.over, deadline_ms, what)
        if stream.over:
            raise ModemError(stream.over)
        return stream.result

    async def _secure(self, cid):
        """TLS 1.2 with our CA, checked against a clock that is set."""
        command = self._modem.command
        await self._modem.set_clock()
        if self._life != self._modem.life:
            # Forgotten afterwards: it runs once in a life of the modem.
            from at_ca import stored

            del sys.modules["at_ca"]
            self._ca_name = await stored(self._modem, self._ca_path, self._upload, self._log)
            if self._upload:
                self._upload = False
            await command('AT+CSSLCFG="SSLVERSION",0,3')
            await command('AT+CSSLCFG="SNI",0,"%s"' % self._server_name)
            self._life = self._modem.life
        await command('AT+CSSLCFG="IGNORERTCTIME",0,0')
        await command('AT+CASSLCFG=%s,"CRINDEX",0' % cid)
        await command('AT+CASSLCFG=%s,"CACERT","%s"' % (cid, self._ca_name))


class Stream:
    """One connection. OSError and ModemError mean that it is over."""

    def __init__(self, modem, cid):
        self._modem = modem
        self._began_ms = clock.ticks_ms()
        self.cid = cid
        self.result = None  # of CAOPEN
        self.over = None  # why, once it is
        self.warning = None  # what is wrong although it is open
        self._news = asyncio.Event()
        self._waiting = False  # bytes for us, in the modem
        self._heard = False
        self._asked = False  # something was sent and nothing has come since
        self._out = b""
        self._free = 0  # bytes that its send buffer has room for, at least

    def on_news(self, name, value):
        """What the modem says of this connection; name "": it is gone."""
        if name == "+CAOPEN":
            self.result = value
        elif name == "+CADATAIND" or value == "0":
            # Closed by the peer: what came before that is read first.
            self._waiting = True
        elif not name:
            # Of several reasons the first is the cause.
            self.over = self.over or value
        self._news.set()

    def fresh(self):
        """Whether it may yet be answered for the first time."""
        return not (self._heard or self.over) and clock.since(clock.ticks_ms(), self._began_ms) < _FRESH_MS

    async def read(self, size):
        """Return what has come, at most `size` bytes."""
        while True:
            if self.over:
                raise OSError(self.over)
            # Cleared before asking: what comes while we ask is told again.
            self._news.clear()
            self._waiting = False
            said = await self._modem.command("AT+CARECV=%s,%d" % (self.cid, size))
            for part in said:
                if isinstance(part, bytes):
                    self._heard = True
                    self._asked = False
                    self._modem.failures = 0
                    return part
            if "+CARECV: 0" not in said:
                # There were bytes, and they are lost.
                raise ModemError("AT+CARECV: garbled")
            if not self._waiting:
                try:
                    poll_s = _POLL_S if self._asked else _IDLE_POLL_S
                    await asyncio.wait_for(self._news.wait(), poll_s)
                except asyncio.TimeoutError:
                    pass

    def write(self, data):
        self._out += data

    async def drain(self, deadline_ms):
        """Give the modem what was written, as far as its buffer has room: it would lose the rest."""
        began_ms = clock.ticks_ms()
        while self._out:
            if self.over:
                raise OSError(self.over)
            left_ms = deadline_ms - clock.since(clock.ticks_ms(), began_ms)
            if left_ms <= 0:
                raise ModemError("the modem's buffer is full")
            size = min(len(self._out), _CHUNK)
            if self._free < size:
                for said in await self._modem.command("AT+CASEND=" + self.cid):
                    if said[9:].isdigit():
                        self._free = int(said[9:])
                size = min(size, self._free)
            if size:
                text = "AT+CASEND=%s,%d,%d" % (self.cid, size, _INPUT_MS)
                await self._modem.command(text, min(_PROMPT_MS, left_ms), self._out[:size])
                self._out = self._out[size:]
                self._free -= size
                self._asked = True
                self._news.set()
            else:
                await asyncio.sleep(_ROOM_S)

    async def close(self):
        if self._modem.sockets.get(self.cid) is self:
            if not self._heard:
                # It opened, and nothing came: that counts like not opening.
                self._modem.failures += 1
            try:
                if not self.over:
                    await self.let_go()
            finally:
                self._modem.sockets.pop(self.cid)

    async def let_go(self):
        # Refused where it was not open.
        await self._modem.line.accepts("AT+CACLOSE=" + self.cid)
