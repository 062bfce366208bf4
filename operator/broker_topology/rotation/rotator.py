"""Executes rotations, before and after a `reconcile` of the same resource:

rotator = Rotator(secrets, api)
account_credentials = await rotator.before(resource)
result = await reconcile([resource], account_credentials=account_credentials, …)
rotations = await rotator.after(resource, result)
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.credentials.secrets import Credentials, CredentialStore, check_account
from broker_topology.errors import InvalidTopology, SecretError
from broker_topology.planning.result import Status, TopologyResult
from broker_topology.planning.state import USER_OBJECTS, ObjectKind
from broker_topology.resource.model import LoadedTopology
from broker_topology.resource.objects import User
from broker_topology.rotation.accounts import AccountCredentials, name_conflicts
from broker_topology.rotation.credential_set import (
    CredentialSet,
    RotationFacts,
    UpdateSecret,
    WaitUntil,
    credential_set,
    decide,
)

MAX_ATTEMPTS = 5


class RotationStatus(msgspec.Struct, frozen=True):
    """The rotations of one resource."""

    states: Mapping[str, str] = {}
    """A text for each user, without any password."""
    next_look: datetime | None = None
    """When the resource must be reconciled again for a rotation."""
    switched: tuple[str, ...] = ()
    """Users whose Secret has just changed: the resource must be reconciled at once."""


class Rotator:
    """Rotates the users of resources at one broker. The clocks of all processes that reconcile a resource may differ by
    a fraction of the overlap only."""

    def __init__(
        self,
        secrets: CredentialStore,
        api: ManagementApi,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._secrets = secrets
        self._api = api
        self._now = now
        self._known: Mapping[str, str] | None = None

    async def current(self, resource: LoadedTopology) -> AccountCredentials:
        """Returns the users that must exist at the moment. Writes nothing and rotates nothing. Raises `SecretError`."""
        found = {name: await self._read(name, secret) for name, _, secret in _generated(resource)}
        return {name: held.accounts for name, (held, _) in found.items() if held.accounts}

    async def before(
        self, resource: LoadedTopology, requested: Mapping[str, datetime] | None = None
    ) -> AccountCredentials:
        """Starts the rotations that are due, ends those that are over, and returns the users that must exist.

        Users with `credentials: Import` and users without rotation are left to `accounts`. With `mode: Plan` nothing is
        written. Raises `SecretError`, `BrokerError`, and `InvalidTopology` for a name that a rotation needs.
        """
        self._known = None
        named = [name for name in requested or {} if name in resource.spec.users]
        if conflicts := [each for name in named for each in name_conflicts(resource, name)]:
            raise InvalidTopology(conflicts)
        found: dict[str, tuple[Credentials, ...]] = {}
        for name, user, _ in _generated(resource):
            held, _ = await self._advance(resource, name, user, (requested or {}).get(name), None)
            if held.accounts:
                found[name] = held.accounts
        return found

    async def after(
        self, resource: LoadedTopology, result: TopologyResult, requested: Mapping[str, datetime] | None = None
    ) -> RotationStatus:
        """Switches the Secret of each user whose pending account has every right according to `result`."""
        states: dict[str, str] = {}
        times: list[datetime] = []
        switched: list[str] = []
        for name, user, secret in _generated(resource):
            before, _ = await self._read(name, secret)
            asked = (requested or {}).get(name)
            if user.rotation is None and asked is None and len(before.accounts) < 2:
                continue
            held, wait = await self._advance(resource, name, user, asked, result)
            states[name] = wait.reason
            if wait.time is not None:
                times.append(wait.time)
            if before.current != held.current:
                switched.append(name)
        return RotationStatus(states, min(times, default=None), tuple(switched))

    async def _read(self, name: str, secret: str) -> tuple[CredentialSet, str]:
        """Returns the credentials in a Secret, and its version."""
        contents = await self._secrets.contents(secret)
        held = credential_set(secret, contents.data)
        for each in held.accounts:
            check_account(secret, name, each)
        return held, contents.version

    async def _advance(
        self,
        resource: LoadedTopology,
        name: str,
        user: User,
        requested: datetime | None,
        result: TopologyResult | None,
    ) -> tuple[CredentialSet, WaitUntil]:
        """Takes every step that is possible now."""
        secret = user.secret_name or ""
        for _ in range(MAX_ATTEMPTS):
            held, version = await self._read(name, secret)
            rotating = held.pending is not None or held.previous is not None
            unasked = user.rotation is None and requested is None
            # with only a hash another system keeps the password, and a new one could not reach its users
            only_hash = held.current is not None and not held.current.password
            if not rotating and (unasked or only_hash):
                return held, WaitUntil(None, "not rotated")
            facts = await self._facts(held, user, requested, result)
            step = decide(name, facts)
            if isinstance(step, UpdateSecret) and held.previous is not None and await self._connected(held.previous):
                step = decide(name, msgspec.structs.replace(facts, connected=True))
            if isinstance(step, WaitUntil):
                return held, step
            if resource.spec.mode != "Enforce":
                return held, WaitUntil(None, step.reason)
            # if another process was faster, its content is read in the next attempt
            await self._secrets.replace(secret, step.credential_set.data(), version)
        raise SecretError(f"secret {secret} is changed by another process again and again")

    async def _facts(
        self, held: CredentialSet, user: User, requested: datetime | None, result: TopologyResult | None
    ) -> RotationFacts:
        if self._known is None:
            listed = await self._api.get(path("users"))
            self._known = {each["name"]: each.get("password_hash") or "" for each in listed}
        prepared = held.pending is not None and result is not None and _is_prepared(held.pending.username, result)
        return RotationFacts(held, self._now(), user.rotation, requested, self._known, prepared)

    async def _connected(self, previous: Credentials) -> bool:
        return bool(await self._api.get(path("connections", "username", previous.username)))


def _generated(resource: LoadedTopology) -> Iterator[tuple[str, User, str]]:
    """Yields the users whose passwords this package generates, each with the name of its Secret."""
    for name, user in resource.spec.users.items():
        if user.credentials == "Generate" and user.secret_name:
            yield name, user, user.secret_name


def _is_prepared(username: str, result: TopologyResult) -> bool:
    """Returns whether the broker holds this user with all its rights."""
    own = [
        each
        for each in result.objects
        if each.kind in {ObjectKind.USER, *USER_OBJECTS}
        and (each.name == username or each.name.startswith(f"{username} "))
    ]
    return any(each.kind is ObjectKind.USER for each in own) and all(each.status is Status.READY for each in own)
