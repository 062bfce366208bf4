"""What is to exist, as its author writes it in YAML.

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
"""Of a Secret, and of a folder: what Kubernetes takes."""


class ManifestEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every part: unknown fields are refused."""


class CertificateEntry(ManifestEntry, frozen=True):
    names: Annotated[list[str], Meta(min_length=1)]
    """DNS names, wildcards and addresses that clients call the server by; the first is its common name."""


class PasswordEntry(ManifestEntry, frozen=True):
    username: Annotated[str, Meta(min_length=1)]
    trust: bool = False
    """Whether `ca.crt` is to lie beside it."""
    also: dict[str, str] = {}
    """More that belongs to it, such as where the server is."""


class SecretsManifest(ManifestEntry, frozen=True):
    authority: Name = ""
    """Empty when somebody else issues certificates; `bundle`, too, and there are none below."""
    bundle: Name = ""
    certificates: dict[Name, CertificateEntry] = {}
    passwords: dict[Name, PasswordEntry] = {}


def read_manifest(file: Path) -> SecretsManifest:
    """Raises InvalidManifest, naming the file and what is wrong in it."""
    try:
        wishes = msgspec.yaml.decode(file.read_bytes(), type=SecretsManifest)
    except OSError as error:
        raise InvalidManifest(f"{file} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InvalidManifest(f"{file}: {error}") from error
    if not (wishes.authority and wishes.bundle):
        if wishes.authority or wishes.bundle:
            raise InvalidManifest(f"{file}: authority and bundle belong together; name both or neither")
        if wishes.certificates or any(password.trust for password in wishes.passwords.values()):
            raise InvalidManifest(f"{file}: certificates, and passwords with trust, need an authority and a bundle")
    names: list[Any] = [*filter(None, (wishes.authority, wishes.bundle)), *wishes.certificates, *wishes.passwords]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidManifest(f"{file}: two wishes have the same name: {', '.join(twice)}")
    return wishes
