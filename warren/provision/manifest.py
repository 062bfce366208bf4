"""The secrets of an installation, as a YAML manifest.

authority: warren-ca                    # private: ca.crt, ca.key
bundle: warren-ca-bundle                # public: ca.crt, for every client
certificates:
  warren-rabbitmq-tls: {names: [warren-rabbitmq, 127.0.0.1]}     # tls.crt, tls.key, ca.crt
passwords:
  order-postgres: {username: order}     # username, password
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from warren.provision.errors import InvalidManifest

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""The name of a Secret or folder, by the rules of Kubernetes."""


class ManifestEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the parts of a manifest: unknown fields are refused."""


class CertificateEntry(ManifestEntry, frozen=True):
    names: Annotated[list[str], Meta(min_length=1)]
    """DNS names, wildcards and IP addresses of the server; the first is the common name."""


class PasswordEntry(ManifestEntry, frozen=True):
    username: Annotated[str, Meta(min_length=1)]
    trust: bool = False
    """Whether to add `ca.crt`."""
    also: dict[str, str] = {}
    """Additional files, such as the host of the server."""


class SecretsManifest(ManifestEntry, frozen=True):
    authority: Name = ""
    """Empty if certificates come from elsewhere; then `bundle` and `certificates` are empty too."""
    bundle: Name = ""
    certificates: dict[Name, CertificateEntry] = {}
    passwords: dict[Name, PasswordEntry] = {}


def read_manifest(file: Path) -> SecretsManifest:
    """Read a manifest. Raises InvalidManifest with the file and the problem."""
    try:
        manifest = msgspec.yaml.decode(file.read_bytes(), type=SecretsManifest)
    except OSError as error:
        raise InvalidManifest(f"{file} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InvalidManifest(f"{file}: {error}") from error
    if not (manifest.authority and manifest.bundle):
        if manifest.authority or manifest.bundle:
            raise InvalidManifest(f"{file}: authority and bundle belong together; name both or neither")
        if manifest.certificates or any(password.trust for password in manifest.passwords.values()):
            raise InvalidManifest(f"{file}: certificates, and passwords with trust, need an authority and a bundle")
    names: list[Any] = [
        *filter(None, (manifest.authority, manifest.bundle)),
        *manifest.certificates,
        *manifest.passwords,
    ]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidManifest(f"{file}: two entries have the same name: {', '.join(duplicates)}")
    return manifest
