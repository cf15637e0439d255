"""
Certificates for the demo and the tests: a private CA (ECDSA P-256) and what it issues.

The CA is valid from 2020 to 2050 and a leaf is backdated to its beginning, so that a tag which knows no more
than its build time accepts it. MicroPython on the tag reads DER only, hence `Authority.der`.

    ca = make_ca()
    pair = ca.issue("localhost", "127.0.0.1")
    pair.write("build/broker")          # build/broker.crt, build/broker.key
"""

import datetime
import ipaddress
import os
import pathlib
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sim.common import SimError

NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
NOT_AFTER = datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC)
EXPIRED = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)


class CertsError(SimError):
    """A certificate that cannot be issued or written."""


class Pair(NamedTuple):
    """A leaf certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, stem: str | pathlib.Path) -> tuple[str, str]:
        """Write STEM.crt and STEM.key (mode 600); return their paths."""
        paths = (f"{os.fspath(stem)}.crt", f"{os.fspath(stem)}.key")
        try:
            pathlib.Path(paths[0]).write_bytes(self.certificate)
            with open(os.open(paths[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(self.key)
        except OSError as error:
            raise CertsError(f"cannot write {paths[0]} and its key: {error.strerror}")
        return paths


class Authority:
    """A CA. der: for the tag; pem: for the host."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self.der = certificate.public_bytes(serialization.Encoding.DER)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        *names: str,
        not_before: datetime.datetime = NOT_BEFORE,
        not_after: datetime.datetime = NOT_AFTER,
    ) -> Pair:
        """
        Issue a server certificate for DNS names and IP addresses (by their form).

        For the tests: `not_after=EXPIRED`; a wrong name is any name that is not the server's.
        """
        if not names:
            raise CertsError("a certificate needs a name or an address")
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(names[0], key.public_key(), not_before, not_after)
            .issuer_name(self._certificate.subject)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return Pair(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )


def make_ca(name: str = "Obereg simulator CA") -> Authority:
    """Make a CA that signs leaves directly: no intermediate, so the handshake stays short."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(name, key.public_key(), NOT_BEFORE, NOT_AFTER)
    certificate = (
        builder.issuer_name(_subject(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    name: str, key: ec.EllipticCurvePublicKey, not_before: datetime.datetime, not_after: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
