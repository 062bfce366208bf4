"""A private certificate authority and the server certificates that it signs (RFC 5280, ECDSA on P-256)."""

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from warren.provision.errors import SecretStoreError

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
RENEW_DAYS = 60  # days before its expiry in which a certificate is renewed
_SKEW = timedelta(minutes=10)  # clocks of machines differ


class CertificateAuthority:
    """Signs certificates. Its own certificate is never renewed, because every client would lose its trust."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def new(cls, name: str, now: datetime) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(subject, subject, key.public_key(), key, now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, name: str, data: Mapping[str, bytes]) -> Self:
        """Load `ca.crt` and `ca.key`. Raises SecretStoreError if they are missing, damaged or not a pair."""
        try:
            certificate = x509.load_pem_x509_certificate(data["ca.crt"])
            key = serialization.load_pem_private_key(data["ca.key"], password=None)
        except (KeyError, ValueError) as error:
            raise SecretStoreError(f"{name} exists without a valid authority (ca.crt, ca.key): {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise SecretStoreError(f"{name}: ca.key is not the key of ca.crt")
        return cls(certificate, key)

    @property
    def data(self) -> dict[str, bytes]:
        return {"ca.crt": self.pem, "ca.key": _private(self._key)}

    @property
    def pem(self) -> bytes:
        """Its certificate, for clients."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, names: Sequence[str], now: datetime) -> dict[str, bytes]:
        """Issue a server certificate for these names: `tls.crt`, `tls.key` and `ca.crt`."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=False, crl_sign=False, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            _builder(_name(names[0]), self._certificate.subject, self._key.public_key(), key, now, CERTIFICATE_DAYS)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(purposes, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return {
            "tls.crt": certificate.public_bytes(serialization.Encoding.PEM),
            "tls.key": _private(key),
            "ca.crt": self.pem,
        }

    def is_current(self, data: Mapping[str, bytes], names: Sequence[str], now: datetime) -> bool:
        """Return whether this authority issued the certificate for exactly these names, and it expires later."""
        try:
            certificate = x509.load_pem_x509_certificate(data["tls.crt"])
            certificate.verify_directly_issued_by(self._certificate)
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (KeyError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        same = set(extension.value) == {_general_name(name) for name in names}
        return same and certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # Strict clients, such as Python from 3.13 on, refuse a certificate without it.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
