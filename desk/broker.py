"""Where the broker is, and why it cannot be reached: words for people."""

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import aiomqtt

from desk import DeskError

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
# CONNACK 4 and 5 of MQTT 3.1.1, as paho names them (it speaks in the codes of MQTT 5).
_AUTH_CODES = (4, 5, 134, 135)


class BrokerError(DeskError):
    """The broker cannot be used as it was given."""


@dataclass(frozen=True)
class Broker:
    """A broker; `tls` is None for plain TCP."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Problem:
    """Why a connection failed: a line for people, and whether only they can put it right."""

    text: str
    fatal: bool


def parse_broker(url: str, password: str | None = None, ca: str | None = None) -> Broker:
    """mqtt[s]://[user[:password]@]host[:port]; `password` is for a URL without one. Raises BrokerError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BrokerError(f"--broker: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise BrokerError("--broker must be mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS")
    if ca and parts.scheme != "mqtts":
        raise BrokerError("--ca is for TLS: write mqtts:// in --broker")
    user = unquote(parts.username) if parts.username else None
    if parts.password:
        password = unquote(parts.password)
    if user and password is None:
        raise BrokerError(f"no password for the broker's user {user}: set OBEREG_BROKER_PASSWORD")
    tls = _tls(ca) if parts.scheme == "mqtts" else None
    return Broker(parts.hostname, port or _DEFAULT_PORTS[parts.scheme], user, password if user else None, tls)


def explain(error: aiomqtt.MqttError, broker: Broker) -> Problem:
    """What went wrong, and the next step."""
    # aiomqtt says `raise MqttError(...) from None`: the reason is kept in the context alone.
    cause = error.__context__
    if isinstance(error, aiomqtt.MqttCodeError):
        code = getattr(error.rc, "value", error.rc)
        if code in _AUTH_CODES:
            who = f"the user {broker.user}" if broker.user else "a desk without a user name"
            return Problem(
                f"{broker} refuses {who}: correct the user in --broker, OBEREG_BROKER_PASSWORD, or the"
                " broker's password file",
                True,
            )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Problem(
            f"{broker} has a certificate that is not trusted ({cause.verify_message}): give the CA that"
            " signed it with --ca, and the host name it is made for in --broker",
            True,
        )
    if isinstance(cause, ssl.SSLError):
        return Problem(f"{broker} does not speak TLS ({cause.reason}): is this its TLS port?", True)
    if isinstance(cause, ConnectionRefusedError):
        return Problem(f"nothing listens at {broker}: start the broker, or correct --broker", False)
    if isinstance(cause, socket.gaierror):
        return Problem(f"the host {broker.host} has no address ({cause.strerror}): correct --broker", False)
    if isinstance(cause, TimeoutError):
        hint = "is that its TLS port?" if broker.tls else "a TLS port needs mqtts://"
        return Problem(f"{broker} does not answer: check the network and --broker ({hint})", False)
    return Problem(f"{broker}: {error.__cause__ or error}", False)


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(
            f"--ca {ca} cannot be used ({error}): it must be the CA's certificate as PEM"
        ) from None
