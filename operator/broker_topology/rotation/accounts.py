"""Finds the users at the broker that belong to the users of a topology, with their credentials."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from broker_topology.credentials.secrets import Credentials, CredentialStore, ensured, is_account_of, stored
from broker_topology.findings import Finding, ObjectRef
from broker_topology.planning.desired import Usernames
from broker_topology.resource.model import LoadedTopology

AccountCredentials = Mapping[str, Sequence[Credentials]]
"""By user of the topology, the credentials of its users at the broker, the current one first."""


class BrokerAccounts(msgspec.Struct, frozen=True):
    """The users that must exist at the broker."""

    usernames: Usernames = {}
    credentials: Mapping[str, Credentials | None] = {}
    """By name at the broker; None for a password that is not generated yet."""


async def resolve_accounts(
    topologies: Sequence[LoadedTopology],
    secrets: CredentialStore,
    account_credentials: AccountCredentials | None = None,
    *,
    generate: bool,
) -> BrokerAccounts:
    """Returns the users in `account_credentials`, and for all others those in their Secrets.

    With `generate`, missing passwords are generated and stored first. Raises `SecretError`.
    """
    usernames: dict[str, Sequence[str]] = {}
    credentials: dict[str, Credentials | None] = {}
    for item in topologies:
        for name, user in item.spec.users.items():
            secret = user.secret_name or ""  # `rules` refuses users without one
            first = f"{name}.1" if user.rotation is not None else name
            found: dict[str, Credentials | None] = {
                each.username: each for each in (account_credentials or {}).get(name, ())
            }
            if not found and generate and user.credentials == "Generate":
                made = await ensured(secrets, secret, name, first)
                found = {made.username: made}
            elif not found:
                there = await stored(secrets, secret, name)
                found = {there.username if there is not None else first: there}
            usernames[name] = tuple(found)
            credentials |= found
    return BrokerAccounts(usernames, credentials)


def name_conflicts(resource: LoadedTopology, name: str) -> Iterator[Finding]:
    """Yields the users whose names a rotation of user `name` needs for its generations."""
    for other in resource.spec.users:
        if other != name and is_account_of(name, other):
            message = f"is a name that the rotation of user {name} needs; choose another one"
            yield ObjectRef(resource.origin, "users", other).finding(message)
