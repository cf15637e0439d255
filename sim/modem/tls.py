"""
TLS of the modem: CSSLCFG contexts, converted certificates, the check of a server. Sheet 4, 6.

A real handshake by OpenSSL checks the chain; times are checked against the modem's own clock and names against the host
of CAOPEN. Without a CACERT nothing is checked at all.
"""

import datetime
import ipaddress
import ssl
from typing import Any

from cryptography import x509

from sim.modem.clock import Clock
from sim.modem.core import Core, lines
from sim.modem.files import Files
from sim.modem.line import NOT_ALLOWED, AtError
from sim.modem.outside import Outside, Streams
from sim.modem.params import Arg, Int, Name, Opt, Param, Str, Word, values

GOOD, BAD_TIME, BAD_NAME, BAD_BOTH, FAILED = 0, 24, 25, 26, 27
CUSTOMER = 3
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: this computer's clock is not the modem's
_CONTEXT = Int(0, 5)
_VERSIONS = {1: ssl.TLSVersion.TLSv1, 2: ssl.TLSVersion.TLSv1_1, 3: ssl.TLSVersion.TLSv1_2}
_KEYS: dict[str, tuple[Param, ...]] = {
    "SSLVERSION": (_CONTEXT, Int(0, 5)),
    "CIPHERSUITE": (_CONTEXT, Int(0, 7), Name(1, 10)),
    "IGNORERTCTIME": (_CONTEXT, Int(0, 1)),
    "PROTOCOL": (_CONTEXT, Int(1, 2)),
    "SNI": (_CONTEXT, Str(0, 253)),
    "MAXFRAGLENDISABLE": (_CONTEXT, Int(0, 1)),
    "CTXINDEX": (_CONTEXT,),
    "CONVERT": (Int(1, 3), Name(1, 50), Opt(Name(1, 50)), Opt(Name(0, 50))),
}
KEY_WORD = Word(*_KEYS)


class ServerRefused(Exception):
    """A server that is not accepted. result: of CAOPEN."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


class Tls:
    """Contexts 0-5 (lost at a restart) and converted certificates (kept)."""

    def __init__(self, core: Core, files: Files, clock: Clock, outside: Outside) -> None:
        self._core, self._files, self._clock = core, files, clock
        self._outside = outside
        self._settings: dict[tuple[str, int], Any] = {}
        self._converted: dict[str, str] = {}  # name to PEM

    def restart(self) -> None:
        self._settings.clear()

    def _get(self, key: str, context: int, default: Any) -> Any:
        return self._settings.get((key, context), default)

    # Commands

    def configure(self, key: str, rest: list[Arg]) -> Any:
        """AT+CSSLCFG=<key>,..."""
        given = values(_KEYS[key], rest)
        if key == "CONVERT":
            return self._convert(*given)
        if key == "CTXINDEX":
            return self._show(given[0])
        context, *value = given
        self._settings[key, context] = value[-1]
        return None

    def _show(self, context: int) -> Any:
        suites = ",".join(["0x0000"] * 8)
        version, ignore = self._get("SSLVERSION", context, 0), self._get("IGNORERTCTIME", context, 0)
        protocol, sni = self._get("PROTOCOL", context, 1), self._get("SNI", context, "")
        return lines(f'+CSSLCFG: {context},{version},{suites},{ignore},{protocol},"{sni}"')

    def _convert(self, kind: int, name: str, key: str | None, _: str | None) -> None:
        """Take a certificate from a file. 1: with its key, never alone [T37]."""
        if kind == 1 and (key is None or (CUSTOMER, key) not in self._files.content):
            raise AtError(NOT_ALLOWED)
        pem = self._files.content.get((CUSTOMER, name))
        if pem is None:
            raise AtError(NOT_ALLOWED)
        if kind != 3:
            try:
                x509.load_pem_x509_certificates(pem)
            except ValueError:
                raise AtError(NOT_ALLOWED)
        self._converted[name] = pem.decode("latin-1")

    # Connections

    async def connect(self, line: Any, host: str, context: int, ca: str) -> Streams:
        """Shake hands on a connected line. ServerRefused with CAOPEN's result."""
        version = _VERSIONS.get(self._get("SSLVERSION", context, 0))
        if version is None or (ca and ca not in self._converted):
            raise ServerRefused(FAILED)
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        settings.check_hostname = False
        settings.maximum_version = version
        try:
            if ca:
                settings.load_verify_locations(cadata=self._converted[ca])
                settings.verify_flags |= _NO_CHECK_TIME
            else:
                settings.verify_mode = ssl.CERT_NONE
            sni = self._get("SNI", context, "")
            reader, writer = await self._outside.secure(line, settings, sni)
        except (OSError, ValueError):  # refused, broken off, or an SNI that is no name
            raise ServerRefused(FAILED)
        result = self._judge(writer.get_extra_info("peercert"), host, context, ca) if ca else GOOD
        if result != GOOD:
            writer.transport.abort()
            raise ServerRefused(result)
        return reader, writer

    def _judge(self, certificate: dict[str, Any], host: str, context: int, ca: str) -> int:
        """Check time and name of a chain that is right otherwise."""
        in_time = bool(self._get("IGNORERTCTIME", context, 0)) or self._in_time(certificate, ca)
        named = any(_matches(kind, name, host) for kind, name in certificate.get("subjectAltName", ()))
        return {(1, 1): GOOD, (0, 1): BAD_TIME, (1, 0): BAD_NAME, (0, 0): BAD_BOTH}[int(in_time), int(named)]

    def _in_time(self, certificate: dict[str, Any], ca: str) -> bool:
        now = self._clock.utc
        leaf = [
            datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate[key]), datetime.UTC)
            for key in ("notBefore", "notAfter")
        ]
        if not leaf[0] <= now <= leaf[1]:
            return False
        roots = x509.load_pem_x509_certificates(self._converted[ca].encode())
        return all(root.not_valid_before_utc <= now <= root.not_valid_after_utc for root in roots)


def _matches(kind: str, name: str, host: str) -> bool:
    """Compare one subject alternative name with a host. RFC 6125: a wildcard is the whole first label."""
    if kind == "IP Address":
        try:
            return ipaddress.ip_address(name) == ipaddress.ip_address(host)
        except ValueError:
            return False
    if kind != "DNS":
        return False
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])
