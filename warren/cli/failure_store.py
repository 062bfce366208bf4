"""Reads and updates the services' tables `failures` and `outbox`, each in the schema of its service."""

import ssl
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec

from warren.errors import ClientError
from warren_messaging.dead_letters.parked_message import FailureRecord
from warren_messaging.postgres.database import DatabaseAddress

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

CONNECT_TIMEOUT = 10.0  # seconds
STATEMENT_TIMEOUT = 30.0  # seconds

_COLUMNS = "key, event_type, subject, attempts, reason, state, first_at, last_at"


class OutboxBacklog(msgspec.Struct, frozen=True):
    """The unpublished events of one service."""

    service: str
    waiting: int
    leased: int
    """Events that a process is publishing now."""
    failed: int
    """Events that were tried at least once without success."""
    oldest: datetime | None
    attempts: int
    """The attempts of the event with the most attempts."""
    last_error: str | None
    """The last error of the same event."""


class FailureQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of a list of failures; None does not filter."""

    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    reason: str | None = None
    """A regular expression of PostgreSQL, matched without regard to case."""
    order: str | None = None
    """The order's id, or the customer's reference."""
    type: str | None = None
    """The event type; * and ? are wildcards."""
    limit: int | None = None


class FailureStore:
    """The tables as one database role sees them. A schema that the role may not read counts as absent."""

    def __init__(self, connection: Connection, schemas: list[str]) -> None:
        self._connection = connection
        self.services = schemas

    async def by_key(self, service: str, keys: Collection[str]) -> dict[str, FailureRecord]:
        """Return the recorded failures among `keys`."""
        if service not in self.services or not keys:
            return {}
        rows = await self._connection.fetch(
            f'SELECT {_COLUMNS} FROM "{service}".failures WHERE key = ANY($1::text[])',  # noqa: S608 - a known schema
            list(keys),
        )
        return {row["key"]: FailureRecord(service, *row) for row in rows}

    async def set_state(self, service: str, keys: Collection[str], state: str, among: tuple[str, ...]) -> None:
        """Set the state of the failures whose present state is in `among`. Raises ClientError without permission."""
        if service not in self.services:
            return
        try:
            await self._connection.execute(
                f'UPDATE "{service}".failures SET state = $2 WHERE key = ANY($1::text[])'  # noqa: S608 - a known schema
                " AND state = ANY($3::text[])",
                list(keys),
                state,
                list(among),
            )
        except asyncpg.InsufficientPrivilegeError as error:
            raise ClientError(f"the database role may not update {service}.failures ({error})") from error

    async def find(self, services: Iterable[str], query: FailureQuery) -> list[FailureRecord]:
        """Return the matching failures, latest first."""
        parts = " UNION ALL ".join(
            f"SELECT '{name}' AS service, {_COLUMNS} FROM \"{name}\".failures"  # noqa: S608 - known schemas
            for name in self._known(services)
        )
        subjects = None if query.order is None else await order_ids(self._connection, query.order)
        try:
            rows = await self._connection.fetch(
                f"SELECT * FROM ({parts}) AS f"  # noqa: S608 - as above
                " WHERE ($1::text IS NULL OR state = $1) AND ($2::timestamptz IS NULL OR last_at >= $2)"
                " AND ($3::timestamptz IS NULL OR last_at < $3) AND ($4::text IS NULL OR reason ~* $4)"
                " AND ($5::uuid[] IS NULL OR subject = ANY($5)) AND ($6::text IS NULL OR event_type LIKE $6)"
                " ORDER BY last_at DESC LIMIT $7",
                query.state,
                query.since,
                query.until,
                query.reason,
                subjects,
                None if query.type is None else like_pattern(query.type),
                query.limit,
            )
        except asyncpg.InvalidRegularExpressionError as error:
            raise ClientError(f"{query.reason!r} is not a regular expression: {error}") from error
        return [FailureRecord(*row) for row in rows]

    async def outboxes(self, services: Iterable[str]) -> list[OutboxBacklog]:
        """Return the backlog of each service, by name."""
        found = []
        for name in self._known(services):
            row = await self._connection.fetchrow(
                f"""
                SELECT count(*), count(*) FILTER (WHERE leased_until > now() AND attempts = 0),
                    count(*) FILTER (WHERE attempts > 0), min(created_at), coalesce(max(attempts), 0),
                    (array_agg(last_error ORDER BY attempts DESC, position) FILTER (WHERE attempts > 0))[1]
                FROM "{name}".outbox
                """  # noqa: S608 - a known schema
            )
            found.append(OutboxBacklog(name, *(row or ())))
        return found

    def _known(self, services: Iterable[str]) -> list[str]:
        return known_services(services, self.services)


@asynccontextmanager
async def failure_store(address: DatabaseAddress) -> AsyncIterator[FailureStore]:
    """Connect for a block. Raises ClientError when the server cannot be reached or refuses the role."""
    async with service_tables(address, "failures", "outbox") as (connection, schemas):
        yield FailureStore(connection, schemas)


@asynccontextmanager
async def service_tables(address: DatabaseAddress, *tables: str) -> AsyncIterator[tuple[Connection, list[str]]]:
    """Connect for a block; yields the connection and the schemas with tables of these names that the role may read.

    Raises ClientError when the server cannot be reached or refuses the role.
    """
    try:
        connection = await asyncpg.connect(
            address.url,
            password=address.password() or None,
            ssl=address.tls(),
            timeout=CONNECT_TIMEOUT,
            command_timeout=STATEMENT_TIMEOUT,
            server_settings={"application_name": "warren cli"},
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, ssl.SSLError) as error:
        raise ClientError(f"database at {address.location} cannot be used: {error or type(error).__name__}") from error
    try:
        found = await connection.fetch(
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND c.relname = ANY($1::text[])"
            " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
            " GROUP BY 1 HAVING count(*) = cardinality($1::text[]) ORDER BY 1",
            tables,
        )
        yield connection, [row[0] for row in found]
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ClientError(f"database at {address.location}: {error or type(error).__name__}") from error
    finally:
        connection.terminate()


def known_services(wanted: Iterable[str], schemas: list[str]) -> list[str]:
    """Return `wanted`, or all schemas if it is empty. Raises ClientError for a service without readable tables."""
    chosen = list(wanted) or schemas
    if unknown := sorted(set(chosen) - set(schemas)):
        raise ClientError(f"no tables of {', '.join(unknown)} that this role may read; there are: {', '.join(schemas)}")
    return chosen


async def order_ids(connection: Connection, name: str) -> list[UUID]:
    """Return the ids of all customers' orders with this reference. Raises ClientError if there is none."""
    try:
        return [UUID(name)]
    except ValueError:
        pass
    if not await connection.fetchval("SELECT has_table_privilege(to_regclass('\"order\".orders'), 'SELECT')"):
        raise ClientError(f"the database role may not look up references: give the id of {name!r} instead")
    rows = await connection.fetch('SELECT id FROM "order".orders WHERE reference = $1', name)
    if not rows:
        raise ClientError(f"no order {name!r}")
    return [row["id"] for row in rows]


def like_pattern(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
