"""
The known-network bearer: Wi-Fi and a plain or TLS socket, as a byte stream with deadlines.

    wifi = Wifi(wlan, networks, context, server_name, log, on_utc)
    await wifi.attach(15000)                      # joined a known network; WifiError with the reason
    stream = await wifi.open(host, port, 10000)
    stream.write(data); await stream.drain(3000); data = await stream.read(512); await stream.close()

`wlan` is the chip's station interface, handed in. TLS verifies always: tls.SSLContext with the CA as DER (never
ssl.SSLContext, which does not verify). The handshake is lazy: a refused port, a wrong CA or name shows at the first
read or write, so "open" is a promise only; who opens must wait for the first byte.
"""

import asyncio

import clock

# How often a joining is looked at.
_POLL_S = 0.05
# A peer that does not take our goodbye.
_CLOSE_S = 1


class WifiError(Exception):
    """No known network could be joined, or no stream opened. The text says why."""


def tls_context(ca_der):
    """Return a client context that accepts servers of this CA (DER bytes) only. WifiError if it is no certificate."""
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]  # the stubs lack it
    try:
        context.load_verify_locations(ca_der)
    except (ValueError, OSError) as error:
        raise WifiError("the CA is not a certificate in DER form: %s" % error)
    return context


class Wifi:
    """
    `networks` is [[name, key], ...] in the order of preference. `context`: a TLS context, or None for plain TCP;
    `server_name`: the name in the broker's certificate. `on_utc(None)` is called when that is out of date by our clock.
    """

    name = "wifi"
    # Association and DHCP take 1-4 s; past this another attempt does better.
    attach_ms = 20000
    # TCP and TLS: at 30 % loss connections were seen to succeed after 48 s, so a slow opening is not given up early.
    open_ms = 60000

    def __init__(self, wlan, networks, context, server_name, log, on_utc=None):
        self._wlan = wlan
        self._networks = networks
        self._context = context
        self._server_name = server_name
        self._log = log
        self._on_utc = on_utc

    def attached(self):
        return self._wlan.isconnected()

    async def attach(self, deadline_ms):
        """Join the first known network that lets us in; `deadline_ms` in all. WifiError if none does."""
        if self.attached():
            return
        if not self._networks:
            raise WifiError("config.json names no Wi-Fi network")
        self._wlan.active(True)
        each_ms = deadline_ms // len(self._networks)
        for name, key in self._networks:
            began_ms = clock.ticks_ms()
            try:
                self._wlan.connect(name, key)
            except OSError as error:
                self._log.say("W", "wifi: %s: %s" % (name, error))
            while clock.since(clock.ticks_ms(), began_ms) < each_ms:
                if self._wlan.isconnected():
                    self._log.say("I", "wifi: joined")
                    return
                await asyncio.sleep(_POLL_S)
            self._wlan.disconnect()
        raise WifiError("no known network lets us in (status %s)" % self._wlan.status())

    async def open(self, host, port, deadline_ms):
        """Return a stream to host:port. WifiError with the reason."""
        try:
            if self._context is None:
                opening = asyncio.open_connection(host, port)
            else:
                opening = asyncio.open_connection(
                    host, port, ssl=self._context, server_hostname=self._server_name
                )
            reader, writer = await asyncio.wait_for(opening, deadline_ms / 1000)
        except asyncio.TimeoutError:
            raise WifiError("%s:%d does not answer" % (host, port))
        except (OSError, ValueError) as error:
            raise WifiError("%s:%d: %s" % (host, port, error))
        return Stream(reader, writer, self._on_utc)


class Stream:
    """Reader and writer of one connection. OSError, and ValueError from TLS, mean that it is over."""

    warning = None

    def __init__(self, reader, writer, on_utc=None):
        self._reader = reader
        self._writer = writer
        self._on_utc = on_utc

    async def read(self, size):
        """Return what has come, at most `size` bytes; b"" at the end."""
        return await self._reader.read(size)

    def write(self, data):
        self._writer.write(data)

    async def drain(self, deadline_ms):
        """Have the bytes taken. asyncio.TimeoutError: they were not, in that time."""
        try:
            await asyncio.wait_for(self._writer.drain(), deadline_ms / 1000)
        except ValueError as error:
            # The handshake: "validity has expired", "validity starts in the future" are mbedTLS's words.
            if "validity" in str(error):
                self._on_utc(None)
            raise

    async def close(self):
        # On MicroPython it is wait_closed that closes the socket, and it does not wait.
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), _CLOSE_S)
        except (OSError, ValueError, asyncio.TimeoutError):
            pass
