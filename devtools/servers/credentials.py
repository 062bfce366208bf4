"""The certificates and passwords of an instance.

Certificates are for loopback, from a private certificate authority made with trustme. Its key is kept, so that clients
trust later certificates too.
"""

import datetime
import hashlib
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509

LIFETIME = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=7)
LOOPBACK_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class ServerCertificate:
    """Files in PEM form; `key_file` is readable by its owner only."""

    chain_file: Path
    key_file: Path

    def server_tls(self) -> ssl.SSLContext:
        """Return the TLS context of a server with this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


class Certificates:
    """The authority in `folder`; a missing one, or one with less than a week left, is replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self._ca_key = folder / "ca.key"
        folder.mkdir(parents=True, exist_ok=True)
        if not _is_valid(self.ca_file) or not self._ca_key.exists():
            for old in folder.glob("*.*"):
                old.unlink()
            authority = trustme.CA(organization_name="Warren local")
            _write_private(self._ca_key, authority.private_key_pem.bytes())
            authority.cert_pem.write_to_path(str(self.ca_file))

    def server(self, name: str) -> ServerCertificate:
        """Return the certificate `name` for localhost and 127.0.0.1; issues it if it is missing or expires soon."""
        certificate = ServerCertificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        if not _is_valid(certificate.chain_file) or not certificate.key_file.exists():
            authority = trustme.CA.from_pem(self.ca_file.read_bytes(), self._ca_key.read_bytes())
            not_after = min(datetime.datetime.now(datetime.UTC) + LIFETIME, _expiry(self.ca_file))
            issued = authority.issue_cert(*LOOPBACK_NAMES, common_name=name, not_after=not_after)
            _write_private(certificate.key_file, issued.private_key_pem.bytes())
            certificate.chain_file.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return certificate


def _expiry(file: Path) -> datetime.datetime:
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc


def _is_valid(file: Path) -> bool:
    return file.exists() and _expiry(file) - datetime.datetime.now(datetime.UTC) > RENEW_BEFORE


def _write_private(file: Path, content: bytes) -> None:
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(content)


def load_or_create_secret(file: Path) -> str:
    """Return the secret in `file`. The first call creates it at random, readable by the owner only."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(secrets.token_urlsafe(24))
        partial.rename(file)
    return file.read_text()


def instance_identity(instance_dir: Path) -> str:
    """Return an identifier that differs between an instance and a deleted one with the same folder."""
    return hashlib.sha256(load_or_create_secret(instance_dir / "secrets" / "identity").encode()).hexdigest()[:8]
