"""Which users at the broker stand for the users of a topology, and with which passwords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from broker_topology.credentials.secrets import Credentials, SecretStore, ensured, stored
from broker_topology.planning.desired import Usernames
from broker_topology.resource.model import LoadedTopology, User

Rotated = Mapping[str, Sequence[Credentials]]
"""The credentials of every user at the broker that stands for a user of the topology now, the current one first."""


class BrokerAccounts(msgspec.Struct, frozen=True):
    usernames: Usernames
    credentials: Mapping[str, Credentials | None]
    """By name at the broker; None where the password is still to be generated."""


async def accounts(
    topologies: Sequence[LoadedTopology], secrets: SecretStore, rotated: Rotated | None = None, *, generate: bool
) -> BrokerAccounts:
    """What the Secrets say, or what a rotation has decided.

    With `generate`, missing passwords are made and stored first. Raises `SecretError`.
    """
    usernames: dict[str, Sequence[str]] = {}
    credentials: dict[str, Credentials | None] = {}
    for item in topologies:
        for name, user in item.spec.users.items():
            if given := (rotated or {}).get(name):
                found: dict[str, Credentials | None] = {each.username: each for each in given}
            else:
                found = await _found(name, user, secrets, generate=generate)
            usernames[name] = tuple(found)
            credentials |= found
    return BrokerAccounts(usernames, credentials)


async def _found(name: str, user: User, secrets: SecretStore, *, generate: bool) -> dict[str, Credentials | None]:
    secret = user.secret_name or ""  # `validation` refuses users without one
    first = f"{name}.1" if user.rotation is not None else name
    if generate and user.credentials == "Generate":
        credentials = await ensured(secrets, secret, name, first)
        return {credentials.username: credentials}
    there = await stored(secrets, secret, name)
    return {there.username if there is not None else first: there}
