"""A user's password is replaced while everybody goes on working. Pure: the state and the clock decide the next step.

At the broker a user `order` is `order.1`, later `order.2`: each generation is a user of its own, with the same rights.
The one Secret holds everything that has to be known, so each step is one atomic write of it, and whatever is
interrupted goes on from there:

1. staged: the next user and password are in the Secret, where only this engine looks; nobody uses them;
2. the broker gets the next user with every right, which is read back;
3. switched: the Secret names the next user, and remembers the former; processes connect anew as they see it;
4. after the overlap the former is forgotten, and deleted at the broker.

A password is in the Secret before the broker hears of it, and until the broker has forgotten it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from broker_topology.credentials.secrets import Credentials, generate
from broker_topology.errors import SecretError
from broker_topology.resource.model import Rotation

OVERLAP_MINUTES = 10
"""For users that are rotated on demand only."""
LOOK_AGAIN = timedelta(seconds=30)
ROTATED_AT = "rotated-at"
HASH = "passwordHash"
ALGORITHM = "hashingAlgorithm"
STAGED, FORMER = "next", "previous"
"""Before `-username` and `-password`."""


class CredentialSet(msgspec.Struct, frozen=True):
    """What the Secret of one user holds."""

    current: Credentials | None = None
    rotated_at: datetime | None = None
    """Since when `current` is the one to use; None when nobody has written it down."""
    staged: Credentials | None = None
    former: Credentials | None = None
    rest: Mapping[str, str] = {}
    """Whatever else is in the Secret. It stays."""

    @property
    def accounts(self) -> tuple[Credentials, ...]:
        """Every user that must exist at the broker, the current one first."""
        return tuple(each for each in (self.current, self.staged, self.former) if each is not None)

    def data(self) -> dict[str, str]:
        """The whole Secret again."""
        data = dict(self.rest)
        for prefix, each in (("", self.current), (f"{STAGED}-", self.staged), (f"{FORMER}-", self.former)):
            if each is not None:
                data[f"{prefix}username"] = each.username
                data[f"{prefix}password" if each.password else f"{prefix}{HASH}"] = each.password or each.password_hash
                if each.hashing_algorithm:
                    data[f"{prefix}{ALGORITHM}"] = each.hashing_algorithm
        if self.rotated_at is not None:
            # to the microsecond, or what was asked for within the same second would be done twice
            data[ROTATED_AT] = self.rotated_at.astimezone(UTC).isoformat()
        return data


def credential_set(secret_name: str, data: Mapping[str, str]) -> CredentialSet:
    """Raises `SecretError` when the time in it is none. Half a credential counts as none."""
    rest = dict(data)
    found: list[Credentials | None] = []
    for prefix in ("", f"{STAGED}-", f"{FORMER}-"):
        username, password = rest.pop(f"{prefix}username", ""), rest.pop(f"{prefix}password", "")
        hashed, algorithm = rest.pop(f"{prefix}{HASH}", None), rest.pop(f"{prefix}{ALGORITHM}", "")
        known = username and (password or hashed is not None)
        found.append(Credentials(username, password, hashed or "", algorithm) if known else None)
    written = rest.pop(ROTATED_AT, "").strip()
    try:
        rotated_at = datetime.fromisoformat(written) if written else None
    except ValueError as exc:
        raise SecretError(f"secret {secret_name}: {ROTATED_AT} is {written!r}, which is no time") from exc
    if rotated_at is not None and rotated_at.tzinfo is None:
        rotated_at = rotated_at.replace(tzinfo=UTC)
    current, staged, former = found
    return CredentialSet(current, rotated_at, staged, former, rest)


class RotationFacts(msgspec.Struct, frozen=True):
    """All that a decision rests on."""

    credential_set: CredentialSet
    now: datetime
    rotation: Rotation | None = None
    requested: datetime | None = None
    """Rotate at this time, unless it was rotated since."""
    known: Mapping[str, str] = {}
    """All users at the broker, each with the hash of its password."""
    prepared: bool = False
    """The staged user was seen at the broker with every right."""
    connected: bool = False
    """Somebody is connected as the former user."""


class UpdateSecret(msgspec.Struct, frozen=True):
    """Write this into the Secret, then decide again."""

    credential_set: CredentialSet
    why: str


class WaitUntil(msgspec.Struct, frozen=True):
    """Nothing to do before `until`, and nothing at all without one."""

    until: datetime | None
    why: str


def decide(name: str, facts: RotationFacts) -> UpdateSecret | WaitUntil:
    """The next step for the user `name` of the topology."""
    ring, now = facts.credential_set, facts.now
    replace = msgspec.structs.replace
    if ring.current is None:
        return _first(name, facts)
    if ring.staged is not None:
        return _switch(facts, ring, ring.current, ring.staged)
    if ring.former is not None:
        return _farewell(facts, ring, ring.former)
    if ring.rotated_at is None and facts.requested is None and facts.rotation is not None:
        return UpdateSecret(replace(ring, rotated_at=now), f"the age of {ring.current.username} counts from now on")
    due = _due(facts)
    if due is None or now < due:
        return WaitUntil(due, f"{ring.current.username} is in use")
    staged = generate(next_name(name, {*facts.known, ring.current.username}))
    return UpdateSecret(replace(ring, staged=staged), f"{staged.username} is to follow {ring.current.username}")


def next_name(name: str, known: Iterable[str]) -> str:
    """A generation that no user has or had, as far as anybody knows."""
    pattern = re.compile(rf"{re.escape(name)}\.([0-9]{{1,9}})")
    used = [int(found[1]) for each in known if (found := pattern.fullmatch(each)) is not None]
    return f"{name}.{max(used, default=0) + 1}"


def _switch(
    facts: RotationFacts, ring: CredentialSet, current: Credentials, staged: Credentials
) -> UpdateSecret | WaitUntil:
    if not facts.prepared:
        return WaitUntil(None, f"{staged.username} is being given its rights")
    switched = msgspec.structs.replace(ring, current=staged, rotated_at=facts.now, staged=None, former=current)
    return UpdateSecret(switched, f"{staged.username} takes over from {current.username}")


def is_account_of(name: str, username: str) -> bool:
    """Whether a user at the broker stands for the user `name` of a topology."""
    return re.fullmatch(rf"{re.escape(name)}(\.[0-9]+)?", username) is not None


def _first(name: str, facts: RotationFacts) -> UpdateSecret:
    """Of a Secret that is new, or was lost: whoever still works with the lost one gets the overlap, too."""
    first = generate(next_name(name, facts.known))
    mine = [each for each in facts.known if is_account_of(name, each) and facts.known[each]]
    former = None
    if mine:
        latest = max(mine, key=lambda each: (len(each), each))
        former = Credentials(latest, password_hash=facts.known[latest])
    ring = msgspec.structs.replace(facts.credential_set, current=first, rotated_at=facts.now, former=former)
    return UpdateSecret(ring, f"{first.username} is the first in this Secret")


def _farewell(facts: RotationFacts, ring: CredentialSet, former: Credentials) -> UpdateSecret | WaitUntil:
    """The former user stays for the overlap. Who is still connected then gets as long again, and is cut off after that:
    its process has the new Secret, or it never will."""
    minutes = facts.rotation.overlap_minutes if facts.rotation is not None else OVERLAP_MINUTES
    overlap = timedelta(minutes=minutes)
    over = (ring.rotated_at or facts.now) + overlap
    if facts.now < over:
        return WaitUntil(over, f"{former.username} may still be used")
    if facts.connected and facts.now < over + overlap:
        return WaitUntil(min(facts.now + LOOK_AGAIN, over + overlap), f"{former.username} is still connected")
    return UpdateSecret(msgspec.structs.replace(ring, former=None), f"{former.username} is done")


def _due(facts: RotationFacts) -> datetime | None:
    since = facts.credential_set.rotated_at
    times = []
    if facts.rotation is not None and since is not None:
        times.append(since + timedelta(hours=facts.rotation.every_hours))
    if facts.requested is not None and (since is None or facts.requested > since):
        times.append(facts.requested)
    return min(times, default=None)
