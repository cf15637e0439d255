"""
The broker's certificate and its authority: the same bytes each time, so that a run is the same each time.

There is no handshake in memory: what the modem is told about TLS is checked, by the modem's own code.
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

HOST = "broker.example"
_FROM = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_TO = datetime.datetime(2046, 1, 1, tzinfo=datetime.UTC)


def _der() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the authority of " + HOST)])
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, _FROM, _TO)
    return (
        builder.add_extension(x509.BasicConstraints(True, 0), critical=True)
        .sign(key, None)
        .public_bytes(Encoding.DER)
    )


CA_DER = _der()
# As ssl.SSLSocket.getpeercert() tells it.
CERTIFICATE = {
    "subjectAltName": (("DNS", HOST),),
    "notBefore": _FROM.strftime("%b %d %H:%M:%S %Y GMT"),
    "notAfter": _TO.strftime("%b %d %H:%M:%S %Y GMT"),
}
