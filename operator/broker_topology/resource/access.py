"""Who may connect, and what they may do."""

from __future__ import annotations

from typing import Annotated, Literal

from broker_topology.resource.bounds import NOTHING, Expression, Meta, Name, NotNegative, SpecPart, Tags

CredentialSource = Literal["Generate", "Import"]


class Permissions(SpecPart, frozen=True, kw_only=True):
    """Regular expressions over names; the default permits nothing."""

    configure: Expression = NOTHING
    write: Expression = NOTHING
    read: Expression = NOTHING


class TopicPermission(SpecPart, frozen=True, kw_only=True):
    """Regular expressions over routing keys of one topic exchange."""

    exchange: Name
    write: Expression = NOTHING
    read: Expression = NOTHING
    """Limits the keys this user may bind with, not what it consumes."""


class UserLimits(SpecPart, frozen=True, kw_only=True):
    max_connections: NotNegative | None = None
    max_channels: NotNegative | None = None


class Rotation(SpecPart, frozen=True, kw_only=True):
    """A new user and password now and then, both valid for a while, so that no connection is refused in between."""

    every_hours: Annotated[int, Meta(ge=1, le=87_600)]
    overlap_minutes: Annotated[int, Meta(ge=1, le=10_080)] = 10
    """How long the former user stays. Longer than a changed Secret takes to reach every process: Kubernetes needs up
    to two minutes for a mounted one."""


class User(SpecPart, frozen=True, kw_only=True):
    """The map key is the user's name; with rotation, users are called `<name>.<generation>`."""

    secret_name: Annotated[str, Meta(max_length=253)] | None = None
    """Holds `username` and `password` (or `passwordHash`). Required (see `validation`)."""
    credentials: CredentialSource = "Generate"
    """`Generate` makes a password where the Secret has none and takes the one it has; `Import` only takes, and waits
    for the Secret."""
    tags: Tags = []
    permissions: Permissions = Permissions()
    topic_permissions: Annotated[list[TopicPermission], Meta(max_length=200)] = []
    limits: UserLimits = UserLimits()
    rotation: Rotation | None = None
