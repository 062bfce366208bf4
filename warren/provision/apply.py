"""Applies a manifest to a store."""

import secrets
from collections.abc import Iterator
from datetime import datetime

from warren.provision.authority import CertificateAuthority
from warren.provision.manifest import SecretsManifest
from warren.provision.store import SecretData, SecretStore

PASSWORD_BYTES = 32


def apply_manifest(manifest: SecretsManifest, store: SecretStore, now: datetime) -> Iterator[str]:
    """Create missing secrets and renew certificates that expire soon; yields a line for each entry.

    Entries are completed one by one, the authority first, so that the next run continues an interrupted one. Two
    concurrent runs both use the secrets of the first. Raises SecretStoreError.
    """
    authority = _authority(manifest, store, now) if manifest.authority else None
    if authority is not None:
        yield f"{manifest.authority}: the authority; its certificate is in {manifest.bundle}"
        yield from _certificates(manifest, store, authority, now)
    for name, password in manifest.passwords.items():
        fresh = {"username": password.username.encode(), "password": secrets.token_urlsafe(PASSWORD_BYTES).encode()}
        fresh |= {key: text.encode() for key, text in password.also.items()}
        fresh |= {"ca.crt": authority.pem} if authority is not None and password.trust else {}
        yield f"{name}: {'created' if _read_or_create(store, name, fresh) is fresh else 'unchanged'}"


def _authority(manifest: SecretsManifest, store: SecretStore, now: datetime) -> CertificateAuthority:
    found = CertificateAuthority.load(
        manifest.authority, _read_or_create(store, manifest.authority, CertificateAuthority.new("Warren", now).data)
    )
    store.publish(manifest.bundle, {"ca.crt": found.pem})
    return found


def _certificates(
    manifest: SecretsManifest, store: SecretStore, authority: CertificateAuthority, now: datetime
) -> Iterator[str]:
    for name, certificate in manifest.certificates.items():
        found = store.read(name)
        if found is None:
            store.create(name, authority.issue(certificate.names, now))
            yield f"{name}: created, for {', '.join(certificate.names)}"
        elif not authority.is_current(found, certificate.names, now):
            store.replace(name, authority.issue(certificate.names, now))
            yield f"{name}: renewed, for {', '.join(certificate.names)}"
        else:
            yield f"{name}: unchanged"


def _read_or_create(store: SecretStore, name: str, fresh: SecretData) -> SecretData:
    """Return the existing content, else store and return `fresh`."""
    found = store.read(name)
    if found is not None:
        return found
    if store.create(name, fresh):
        return fresh
    return store.read(name) or fresh
