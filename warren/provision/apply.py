"""From wishes to what exists."""

import secrets
from collections.abc import Iterator
from datetime import datetime

from warren.provision.authority import CertificateAuthority
from warren.provision.manifest import SecretsManifest
from warren.provision.store import SecretData, SecretStore

PASSWORD_BYTES = 32


def apply_manifest(wishes: SecretsManifest, store: SecretStore, now: datetime) -> Iterator[str]:
    """Make what is missing, renew what ends soon; yields a line for each thing, also for those that are well.

    An interrupted run is continued by the next one: each thing is complete before the next is begun, the authority
    first, and of two runs at once both go on with what the first of them made. Raises StoreFailed.
    """
    authority = _authority(wishes, store, now) if wishes.authority else None
    if authority is not None:
        yield f"{wishes.authority}: the authority; its certificate is in {wishes.bundle}"
        yield from _certificates(wishes, store, authority, now)
    for name, password in wishes.passwords.items():
        fresh = {"username": password.username.encode(), "password": secrets.token_urlsafe(PASSWORD_BYTES).encode()}
        fresh |= {key: text.encode() for key, text in password.also.items()}
        fresh |= {"ca.crt": authority.pem} if authority is not None and password.trust else {}
        yield f"{name}: {'made' if _kept(store, name, fresh) is fresh else 'well'}"


def _authority(wishes: SecretsManifest, store: SecretStore, now: datetime) -> CertificateAuthority:
    found = CertificateAuthority.load(
        wishes.authority, _kept(store, wishes.authority, CertificateAuthority.new("Warren", now).data)
    )
    store.publish(wishes.bundle, {"ca.crt": found.pem})
    return found


def _certificates(
    wishes: SecretsManifest, store: SecretStore, authority: CertificateAuthority, now: datetime
) -> Iterator[str]:
    for name, certificate in wishes.certificates.items():
        found = store.read(name)
        if found is None:
            store.create(name, authority.issue(certificate.names, now))
            yield f"{name}: made, for {', '.join(certificate.names)}"
        elif not authority.still_serves(found, certificate.names, now):
            store.replace(name, authority.issue(certificate.names, now))
            yield f"{name}: renewed, for {', '.join(certificate.names)}"
        else:
            yield f"{name}: well"


def _kept(store: SecretStore, name: str, fresh: SecretData) -> SecretData:
    """What is there, or what we now put there; never both."""
    found = store.read(name)
    if found is not None:
        return found
    if store.create(name, fresh):
        return fresh
    return store.read(name) or fresh
