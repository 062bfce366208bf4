"""Lists the owners at a broker, and removes the record of one."""

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.errors import DisownRefused
from broker_topology.migration.context import MIGRATION_NOTE


class OwnerSummary(msgspec.Struct, frozen=True):
    """An owner, from the record that it has at the broker."""

    owner: str
    objects: int
    missing: int
    """The number of these objects that the broker does not hold."""
    migrating: tuple[str, ...]
    """Queues whose messages are being moved."""

    def __str__(self) -> str:
        text = f"{self.owner}: {self.objects} object{'' if self.objects == 1 else 's'}"
        text += f", {self.missing} of them missing" if self.missing else ""
        return text + (f", migrating {', '.join(self.migrating)}" if self.migrating else "")


async def owners(api: ManagementApi) -> list[OwnerSummary]:
    """Returns every owner that has a record, sorted by name. Raises `BrokerError`."""
    known = await ownership.records(api)
    observed = await observe(api, {vhost for record in known.values() for vhost in record.vhosts})
    return [
        OwnerSummary(
            owner,
            len(record.claims),
            sum(key not in observed[kind] for kind, key in record.claims),
            _migrating(record),
        )
        for owner, record in sorted(known.items())
    ]


async def disown(api: ManagementApi, owner: str) -> int:
    """Removes the record of an owner and returns the number of its objects, which stay. Another owner can claim them.

    Raises `BrokerError`. Raises `DisownRefused` when the owner is unknown, or while it migrates a queue: only its
    record has the desired arguments of that queue.
    """
    known = await ownership.records(api)
    record = known.get(owner)
    if record is None:
        others = f"the owners with a record are: {', '.join(sorted(known))}" if known else "no owner has a record there"
        raise DisownRefused(f"{api.url} holds no record of owner {owner}; {others}")
    if migrating := _migrating(record):
        raise DisownRefused(
            f"owner {owner} is moving the messages of queue {', '.join(migrating)}; complete that first: "
            f"apply its Topology once more (--owner {owner})"
        )
    await ownership.remove(api, owner)
    return len(record.claims)


def _migrating(record: OwnerRecord) -> tuple[str, ...]:
    return tuple(sorted(f"{vhost}/{name}" for vhost, name, _ in record.notes.get(MIGRATION_NOTE, ())))
