"""Owners for people: who has what at a broker, and how what nobody looks after any more becomes free again."""

from __future__ import annotations

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.errors import DisownRefused
from broker_topology.migration.context import MIGRATION_NOTE
from broker_topology.planning.state import ObjectKind


class OwnerSummary(msgspec.Struct, frozen=True):
    """One owner, as the broker shows it."""

    owner: str
    objects: int
    missing: int
    """Of these, how many are not at the broker."""
    migrating: tuple[str, ...]
    """Queues whose messages are being moved."""

    def plain(self) -> dict[str, object]:
        """As data, for programs."""
        return {
            "owner": self.owner,
            "objects": self.objects,
            "missing": self.missing,
            "migrating": list(self.migrating),
        }

    def __str__(self) -> str:
        told = f"{self.owner}: {self.objects} object{'' if self.objects == 1 else 's'}"
        told += f", {self.missing} of them missing" if self.missing else ""
        return told + (f", migrating {', '.join(self.migrating)}" if self.migrating else "")


async def owners(api: ManagementApi) -> list[OwnerSummary]:
    """Every owner that has a record, by name. Raises `BrokerError`."""
    known = await ownership.records(api)
    claims = {each for record in known.values() for each in record.claims}
    vhosts = {each.vhost or each.name[0] for kind, each in claims if each.vhost or kind is ObjectKind.VHOST}
    observed = await observe(api, vhosts)
    there = {each for each in claims if each[1] in observed[each[0]]}
    return [
        OwnerSummary(owner, len(record.claims), len(record.claims - there), _migrating(record))
        for owner, record in sorted(known.items())
    ]


async def disown(api: ManagementApi, owner: str) -> int:
    """Forgets an owner: its objects stay as they are, belong to nobody, and the next who names one has it.

    Returns how many objects that are. Raises `DisownRefused` when there is no such owner, or when it has not finished
    the migration of a queue: only its record says what that queue was to be. Raises `BrokerError`.
    """
    known = await ownership.records(api)
    record = known.get(owner)
    if record is None:
        others = f"those with a record are: {', '.join(sorted(known))}" if known else "nobody has a record there"
        raise DisownRefused(f"{api.url} holds no record of owner {owner}; {others}")
    if moving := _migrating(record):
        raise DisownRefused(
            f"owner {owner} is moving the messages of queue {', '.join(moving)}; let it end that first: "
            f"apply its Topology once more (--owner {owner})"
        )
    await ownership.remove(api, owner)
    return len(record.claims)


def _migrating(record: OwnerRecord) -> tuple[str, ...]:
    return tuple(sorted(f"{vhost}/{name}" for vhost, name, _ in record.notes.get(MIGRATION_NOTE, ())))
