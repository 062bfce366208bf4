"""The certificates and passwords of an instance."""

import hashlib
import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devtools.errors import LocalError
from devtools.ports import LOOPBACK
from warren.provision.apply import apply_manifest
from warren.provision.errors import ProvisionError
from warren.provision.folder_store import FolderStore
from warren.provision.manifest import CertificateEntry, SecretsManifest


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
    """The certificates of servers on loopback, below `folder`, and the authority that signs them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca_file = folder / "trust" / "ca.crt"
        self._apply({}, datetime.now(UTC))

    def server(self, name: str, now: datetime | None = None) -> ServerCertificate:
        """Return the certificate `name` for localhost and 127.0.0.1; issues it if it is missing or expires soon.

        `now` is the present by default; a test may ask for a certificate that has expired.
        """
        self._apply({name: CertificateEntry(["localhost", LOOPBACK])}, now or datetime.now(UTC))
        return ServerCertificate(self._folder / name / "tls.crt", self._folder / name / "tls.key")

    def _apply(self, certificates: dict[str, CertificateEntry], now: datetime) -> None:
        manifest = SecretsManifest(authority="authority", bundle="trust", certificates=certificates)
        try:
            list(apply_manifest(manifest, FolderStore(self._folder), now))
        except ProvisionError as error:
            raise LocalError(str(error)) from error


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
