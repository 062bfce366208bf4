"""Decides the steps that replace a user's password without an interruption. Pure: state and clock decide.

At the broker a user `order` is `order.1`, later `order.2`: each generation is a user of its own, with the same rights.
The one Secret holds the whole state, so each step is one atomic write of it, and an interrupted rotation continues:

1. the pending user and password are added to the Secret, under names that only this engine reads;
2. the broker gets the pending user with every right, which is read back;
3. the Secret names the pending user as the current one and keeps the previous one; processes see that and reconnect;
4. after the overlap the previous user is removed from the Secret and deleted at the broker.

A password is in the Secret before it is sent to the broker, and until the broker has deleted its user.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from broker_topology.credentials.secrets import Credentials, generate, is_account_of
from broker_topology.errors import SecretError
from broker_topology.resource.objects import Rotation

OVERLAP_MINUTES = 10
"""Overlap of users that are rotated only on demand."""
POLL_INTERVAL = timedelta(seconds=30)
ROTATED_AT = "rotated-at"
PREFIXES = {"current": "", "pending": "next-", "previous": "previous-"}
"""The prefixes of `username`, `password` and the others in the Secret."""

replace = msgspec.structs.replace


class CredentialSet(msgspec.Struct, frozen=True):
    """The content of the Secret of one user."""

    current: Credentials | None = None
    rotated_at: datetime | None = None
    """Since when `current` is used; None if it is not in the Secret."""
    pending: Credentials | None = None
    previous: Credentials | None = None
    rest: Mapping[str, str] = {}
    """All other entries of the Secret. They are kept."""

    @property
    def accounts(self) -> tuple[Credentials, ...]:
        """Every user that must exist at the broker, the current one first."""
        return tuple(each for each in (self.current, self.pending, self.previous) if each is not None)

    def data(self) -> dict[str, str]:
        """Returns the whole content of the Secret."""
        data = dict(self.rest)
        for field, prefix in PREFIXES.items():
            each: Credentials | None = getattr(self, field)
            if each is not None:
                data |= each.data(prefix)
        if self.rotated_at is not None:
            # with microseconds, or two requests within one second would be one
            data[ROTATED_AT] = self.rotated_at.astimezone(UTC).isoformat()
        return data


def credential_set(secret_name: str, data: Mapping[str, str]) -> CredentialSet:
    """Reads a Secret. An incomplete credential is ignored. Raises `SecretError` for a malformed time."""
    rest = dict(data)
    found: dict[str, Credentials] = {}
    for field, prefix in PREFIXES.items():
        username, password = rest.pop(f"{prefix}username", ""), rest.pop(f"{prefix}password", "")
        hashed, algorithm = rest.pop(f"{prefix}passwordHash", None), rest.pop(f"{prefix}hashingAlgorithm", "")
        if username and (password or hashed is not None):
            found[field] = Credentials(username, password, hashed or "", algorithm)
    written = rest.pop(ROTATED_AT, "").strip()
    try:
        rotated_at = datetime.fromisoformat(written) if written else None
    except ValueError as exc:
        raise SecretError(f"secret {secret_name}: {ROTATED_AT} is {written!r}, which is not a time") from exc
    if rotated_at is not None and rotated_at.tzinfo is None:
        rotated_at = rotated_at.replace(tzinfo=UTC)
    return CredentialSet(found.get("current"), rotated_at, found.get("pending"), found.get("previous"), rest)


class RotationFacts(msgspec.Struct, frozen=True):
    """The input of a decision."""

    credential_set: CredentialSet
    now: datetime
    rotation: Rotation | None = None
    requested: datetime | None = None
    """Rotate at this time, unless it was rotated since."""
    known: Mapping[str, str] = {}
    """All users at the broker, each with the hash of its password."""
    prepared: bool = False
    """Whether the broker holds the pending user with every right."""
    connected: bool = False
    """Whether a client is connected as the previous user."""


class UpdateSecret(msgspec.Struct, frozen=True):
    """Write this content into the Secret, then decide again."""

    credential_set: CredentialSet
    reason: str


class WaitUntil(msgspec.Struct, frozen=True):
    """Wait until `time`; None waits for another event."""

    time: datetime | None
    reason: str


def decide(name: str, facts: RotationFacts) -> UpdateSecret | WaitUntil:
    """Returns the next step for the user `name` of the topology."""
    held, now = facts.credential_set, facts.now
    if held.current is None:
        return _create(name, facts)
    if held.pending is not None:
        return _switch(facts, held, held.current, held.pending)
    if held.previous is not None:
        return _remove_previous(facts, held, held.previous)
    if held.rotated_at is None and facts.requested is None and facts.rotation is not None:
        return UpdateSecret(replace(held, rotated_at=now), f"the age of {held.current.username} counts from now on")
    due = _due(facts)
    if due is None or now < due:
        return WaitUntil(due, f"{held.current.username} is in use")
    pending = generate(next_name(name, {*facts.known, held.current.username}))
    return UpdateSecret(replace(held, pending=pending), f"{pending.username} will replace {held.current.username}")


def next_name(name: str, known: Iterable[str]) -> str:
    """Returns the name of a generation after all that are known."""
    pattern = re.compile(rf"{re.escape(name)}\.([0-9]{{1,9}})")
    used = [int(found[1]) for each in known if (found := pattern.fullmatch(each)) is not None]
    return f"{name}.{max(used, default=0) + 1}"


def _create(name: str, facts: RotationFacts) -> UpdateSecret:
    """Creates a new or lost Secret. Processes that still use a lost Secret's account keep it for the overlap."""
    first = generate(next_name(name, facts.known))
    accounts = [each for each in facts.known if is_account_of(name, each) and facts.known[each]]
    previous = None
    if accounts:
        latest = max(accounts, key=lambda each: (len(each), each))
        previous = Credentials(latest, password_hash=facts.known[latest])
    created = replace(facts.credential_set, current=first, rotated_at=facts.now, previous=previous)
    return UpdateSecret(created, f"{first.username} is the first in this Secret")


def _switch(
    facts: RotationFacts, held: CredentialSet, current: Credentials, pending: Credentials
) -> UpdateSecret | WaitUntil:
    if not facts.prepared:
        return WaitUntil(None, f"{pending.username} is being given its rights")
    switched = replace(held, current=pending, rotated_at=facts.now, pending=None, previous=current)
    return UpdateSecret(switched, f"{pending.username} replaces {current.username}")


def _remove_previous(facts: RotationFacts, held: CredentialSet, previous: Credentials) -> UpdateSecret | WaitUntil:
    """Removes the previous user after the overlap; it stays as long again while a client is connected as that user."""
    minutes = facts.rotation.overlap_minutes if facts.rotation is not None else OVERLAP_MINUTES
    overlap = timedelta(minutes=minutes)
    over = (held.rotated_at or facts.now) + overlap
    if facts.now < over:
        return WaitUntil(over, f"{previous.username} may still be used")
    if facts.connected and facts.now < over + overlap:
        return WaitUntil(min(facts.now + POLL_INTERVAL, over + overlap), f"{previous.username} is still connected")
    return UpdateSecret(replace(held, previous=None), f"{previous.username} is no longer needed")


def _due(facts: RotationFacts) -> datetime | None:
    since = facts.credential_set.rotated_at
    times = []
    if facts.rotation is not None and since is not None:
        times.append(since + timedelta(hours=facts.rotation.every_hours))
    if facts.requested is not None and (since is None or facts.requested > since):
        times.append(facts.requested)
    return min(times, default=None)
