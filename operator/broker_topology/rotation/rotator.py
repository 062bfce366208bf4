"""Carries rotations out, before and after a `reconcile` of the same resource.

rotator = Rotator(secrets, api)
accounts = await rotator.before(resource)
outcome = await reconcile(resource, accounts=accounts, …)
rotations = await rotator.after(resource, outcome)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.credentials.secrets import Credentials
from broker_topology.errors import InvalidTopology, SecretError
from broker_topology.findings import ObjectRef
from broker_topology.planning.result import Status, TopologyResult
from broker_topology.planning.state import ObjectKind
from broker_topology.resource.model import LoadedTopology, User
from broker_topology.rotation.accounts import Rotated
from broker_topology.rotation.decision import (
    CredentialSet,
    RotationFacts,
    UpdateSecret,
    WaitUntil,
    credential_set,
    decide,
    is_account_of,
)
from broker_topology.rotation.versioned_secrets import VersionedSecretStore

TRIES = 5
RIGHTS = frozenset({ObjectKind.USER, ObjectKind.USER_LIMIT, ObjectKind.PERMISSION, ObjectKind.TOPIC_PERMISSION})


class RotationStatus(msgspec.Struct, frozen=True):
    """How the rotations of one resource stand."""

    states: Mapping[str, str] = {}
    """By user, in words. No password."""
    next_look: datetime | None = None
    """When to reconcile again for their sake."""
    switched: tuple[str, ...] = ()
    """Users whose Secret has just changed: reconcile at once, the record of who is who has changed, too."""


class Rotator:
    """For one broker and the Secrets of one resource. The clock must be the same wherever a resource is reconciled, to
    within a fraction of the overlap."""

    def __init__(
        self,
        secrets: VersionedSecretStore,
        api: ManagementApi,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._secrets = secrets
        self._api = api
        self._now = now
        self._known: Mapping[str, str] | None = None

    async def standing(self, resource: LoadedTopology) -> Rotated:
        """The users that must exist now, whatever is due. Writes nothing. Raises `SecretError`."""
        accounts: dict[str, Sequence[Credentials]] = {}
        for name, user in resource.spec.users.items():
            if user.credentials == "Generate" and user.secret_name:
                ring = credential_set(user.secret_name, (await self._secrets.contents(user.secret_name)).data)
                self._check(name, user, ring)
                if ring.accounts:
                    accounts[name] = ring.accounts
        return accounts

    async def before(self, resource: LoadedTopology, requested: Mapping[str, datetime] | None = None) -> Rotated:
        """Stages what is due and drops what is over; returns the users that must exist now.

        Users with `credentials: Import` and those nobody rotates are left to the engine. With `mode: Plan` nothing is
        written. Raises `SecretError`, `BrokerError`, `InvalidTopology`.
        """
        self._known = None
        for name in requested or {}:
            _check_names(resource, name)
        accounts: dict[str, Sequence[Credentials]] = {}
        for name, user in resource.spec.users.items():
            if user.credentials == "Generate" and user.secret_name:
                writes = resource.spec.mode == "Enforce"
                ring, _ = await self._settled(name, user, (requested or {}).get(name), None, writes=writes)
                if ring.accounts:
                    accounts[name] = ring.accounts
        return accounts

    async def after(
        self, resource: LoadedTopology, outcome: TopologyResult, requested: Mapping[str, datetime] | None = None
    ) -> RotationStatus:
        """Switches the Secret of each user whose staged account the broker was seen to hold with every right."""
        states: dict[str, str] = {}
        times: list[datetime] = []
        switched: list[str] = []
        for name, user in resource.spec.users.items():
            if user.credentials != "Generate" or not user.secret_name:
                continue
            before = credential_set(user.secret_name, (await self._secrets.contents(user.secret_name)).data)
            asked = (requested or {}).get(name)
            if user.rotation is None and asked is None and len(before.accounts) < 2:
                continue
            writes = resource.spec.mode == "Enforce"
            ring, kept = await self._settled(name, user, asked, outcome, writes=writes)
            states[name] = kept.why
            if kept.until is not None:
                times.append(kept.until)
            if before.current != ring.current:
                switched.append(name)
        return RotationStatus(states, min(times, default=None), tuple(switched))

    async def _settled(
        self, name: str, user: User, requested: datetime | None, outcome: TopologyResult | None, *, writes: bool
    ) -> tuple[CredentialSet, WaitUntil]:
        """Every step that can be taken now."""
        for _ in range(TRIES):
            held = await self._secrets.contents(user.secret_name or "")
            ring = credential_set(user.secret_name or "", held.data)
            self._check(name, user, ring)
            resting = ring.staged is None and ring.former is None
            if resting and ((user.rotation is None and requested is None) or _only_hash(ring)):
                return ring, WaitUntil(None, "not rotated")
            facts = await self._facts(ring, user, requested, outcome)
            step = decide(name, facts)
            if isinstance(step, UpdateSecret) and ring.former is not None and await self._is_connected(ring.former):
                step = decide(name, msgspec.structs.replace(facts, connected=True))
            if isinstance(step, WaitUntil):
                return ring, step
            if not writes:
                return ring, WaitUntil(None, step.why)
            # whoever was faster is read again
            await self._secrets.replace(user.secret_name or "", step.credential_set.data(), held.version)
        raise SecretError(f"secret {user.secret_name} is changed by somebody else all the time")

    async def _facts(
        self, ring: CredentialSet, user: User, requested: datetime | None, outcome: TopologyResult | None
    ) -> RotationFacts:
        if self._known is None:
            listed = await self._api.get(path("users"))
            self._known = {each["name"]: each.get("password_hash") or "" for each in listed}
        prepared = ring.staged is not None and outcome is not None and _prepared(ring.staged.username, outcome)
        return RotationFacts(ring, self._now(), user.rotation, requested, self._known, prepared)

    async def _is_connected(self, former: Credentials) -> bool:
        return bool(await self._api.get(path("connections", "username", former.username)))

    def _check(self, name: str, user: User, ring: CredentialSet) -> None:
        for each in ring.accounts:
            if not is_account_of(name, each.username):
                raise SecretError(
                    f"secret {user.secret_name} belongs to user {each.username}, but the topology names it for {name}"
                )


def _check_names(resource: LoadedTopology, name: str) -> None:
    """A rotation on demand is in no file, so the check of the files has not seen it."""
    for other in resource.spec.users:
        if name in resource.spec.users and other != name and is_account_of(name, other):
            message = f"is what a rotation may call user {name}; call it something else"
            raise InvalidTopology([ObjectRef(resource.origin, "users", other).finding(message)])


def _only_hash(ring: CredentialSet) -> bool:
    """Somebody else keeps the password; nobody here could hand out another."""
    return ring.current is not None and not ring.current.password


def _prepared(username: str, outcome: TopologyResult) -> bool:
    """Whether the broker, read back, holds this user and everything that is its own."""
    own = [
        each
        for each in outcome.objects
        if each.kind in RIGHTS and (each.name == username or each.name.startswith(f"{username} "))
    ]
    return any(each.kind is ObjectKind.USER for each in own) and all(each.status is Status.READY for each in own)
