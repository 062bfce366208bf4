"""Reads and changes the services' tables `scheduled`, each in the schema of its service."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from warren.cli.failure_store import Connection, known_services, like_pattern, order_ids, service_tables
from warren.errors import ClientError
from warren_messaging.postgres.database import DatabaseAddress

Change = Literal["cancelled", "made due"]

_STATEMENTS: dict[Change, str] = {
    "cancelled": "DELETE FROM {table} WHERE id IN"
    " (SELECT id FROM {table} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE) RETURNING id",
    "made due": "UPDATE {table} SET due_at = least(due_at, now()) WHERE id IN"
    " (SELECT id FROM {table} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE) RETURNING id",
}


class ScheduledRecord(msgspec.Struct, frozen=True):
    service: str
    id: UUID
    due_at: datetime
    seconds: float
    """Until it is due, by the database's clock; negative: overdue."""
    event_type: str
    subject: UUID
    exchange: str
    expires_ms: int | None
    event: Any
    """The event as JSON, before it has its number and time; None if the body is not JSON."""


class ScheduleQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters; None does not filter."""

    services: Sequence[str] = ()
    ids: Sequence[UUID] | None = None
    due_before: datetime | None = None
    order: str | None = None
    """The order's id, or the customer's reference."""
    type: str | None = None
    """The event type; * and ? are wildcards."""
    limit: int | None = None


class ScheduleStore:
    def __init__(self, connection: Connection, schemas: list[str]) -> None:
        self._connection = connection
        self._schemas = schemas

    async def find(self, query: ScheduleQuery) -> list[ScheduledRecord]:
        """Return the matching messages, the next one first."""
        services = known_services(query.services, self._schemas)
        if not services:
            raise ClientError("no table of scheduled messages that this role may read")
        parts = " UNION ALL ".join(
            f"SELECT '{name}' AS service, * FROM \"{name}\".scheduled"  # noqa: S608 - known schemas
            for name in services
        )
        rows = await self._connection.fetch(
            "SELECT service, id, due_at, extract(epoch FROM due_at - now())::float8 AS seconds,"  # noqa: S608 - as above
            f" event_type, subject, exchange, expires_ms, body AS event FROM ({parts}) AS s"
            " WHERE ($1::uuid[] IS NULL OR id = ANY($1)) AND ($2::timestamptz IS NULL OR due_at < $2)"
            " AND ($3::uuid[] IS NULL OR subject = ANY($3)) AND ($4::text IS NULL OR event_type LIKE $4)"
            " ORDER BY due_at, service, position LIMIT $5",
            query.ids,
            query.due_before,
            None if query.order is None else await order_ids(self._connection, query.order),
            None if query.type is None else like_pattern(query.type),
            query.limit,
        )
        return [ScheduledRecord(**dict(row) | {"event": _json(row["event"])}) for row in rows]

    async def change(self, change: Change, messages: Iterable[ScheduledRecord]) -> set[UUID]:
        """Cancel messages or make them due. Returns the ids of those that were still scheduled.

        Raises ClientError without permission.
        """
        by_service: dict[str, list[UUID]] = {}
        for message in messages:
            by_service.setdefault(message.service, []).append(message.id)
        changed: set[UUID] = set()
        for service, ids in by_service.items():
            statement = _STATEMENTS[change].format(table=f'"{service}".scheduled')
            try:
                changed.update(row[0] for row in await self._connection.fetch(statement, ids))
            except asyncpg.InsufficientPrivilegeError as error:
                raise ClientError(f"the database role may not change {service}.scheduled ({error})") from error
        return changed


@asynccontextmanager
async def schedule_store(address: DatabaseAddress) -> AsyncIterator[ScheduleStore]:
    """Connect for a block. Raises ClientError when the server cannot be reached or refuses the role."""
    async with service_tables(address, "scheduled") as (connection, schemas):
        yield ScheduleStore(connection, schemas)


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
