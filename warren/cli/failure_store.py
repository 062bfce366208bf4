"""What the services' own tables say about messages: `failures` and `outbox`, each in the schema of its service."""

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
    """The outbox of one service."""

    service: str
    waiting: int
    leased: int
    """Held by a process that is publishing them at this moment."""
    failed: int
    """Tried at least once, and not taken."""
    oldest: datetime | None
    attempts: int
    """Of the event that was tried most often."""
    last_error: str | None
    """Of the same event."""


class FailureQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of a list of failures; None does not filter."""

    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    reason: str | None = None
    """A regular expression, in PostgreSQL's words, searched without regard to case."""
    order: str | None = None
    """The order's id, or the customer's number for it."""
    type: str | None = None
    """* and ? stand for any characters."""
    limit: int | None = None


class FailureStore:
    """Reads and marks them as one role. Schemas that the role may not read are as good as absent."""

    def __init__(self, connection: Connection, schemas: list[str]) -> None:
        self._connection = connection
        self.services = schemas

    def require(self, services: Iterable[str]) -> list[str]:
        """Those, or all when none is named. Raises ClientError for one that has no tables here."""
        wanted = list(services) or self.services
        if unknown := sorted(set(wanted) - set(self.services)):
            raise ClientError(
                f"no tables of {', '.join(unknown)} that this role may read; there are: {', '.join(self.services)}"
            )
        return wanted

    async def failures(self, service: str, keys: Collection[str]) -> dict[str, FailureRecord]:
        """By key, those of `keys` that are on record."""
        if service not in self.services or not keys:
            return {}
        rows = await self._connection.fetch(
            f'SELECT {_COLUMNS} FROM "{service}".failures WHERE key = ANY($1::text[])',  # noqa: S608 - a known schema
            list(keys),
        )
        return {row["key"]: FailureRecord(service, *row) for row in rows}

    async def mark(self, service: str, keys: Collection[str], state: str, among: tuple[str, ...]) -> None:
        """Set the state of failures that are in one of the states `among`. Raises ClientError if it is forbidden."""
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

    async def found(self, services: Iterable[str], wanted: FailureQuery) -> list[FailureRecord]:
        """Latest first."""
        parts = " UNION ALL ".join(
            f"SELECT '{name}' AS service, {_COLUMNS} FROM \"{name}\".failures"  # noqa: S608 - known schemas
            for name in self.require(services)
        )
        subjects = None if wanted.order is None else await self._orders(wanted.order)
        try:
            rows = await self._connection.fetch(
                f"SELECT * FROM ({parts}) AS f"  # noqa: S608 - as above
                " WHERE ($1::text IS NULL OR state = $1) AND ($2::timestamptz IS NULL OR last_at >= $2)"
                " AND ($3::timestamptz IS NULL OR last_at < $3) AND ($4::text IS NULL OR reason ~* $4)"
                " AND ($5::uuid[] IS NULL OR subject = ANY($5)) AND ($6::text IS NULL OR event_type LIKE $6)"
                " ORDER BY last_at DESC LIMIT $7",
                wanted.state,
                wanted.since,
                wanted.until,
                wanted.reason,
                subjects,
                None if wanted.type is None else _like(wanted.type),
                wanted.limit,
            )
        except asyncpg.InvalidRegularExpressionError as error:
            raise ClientError(f"{wanted.reason!r} is no regular expression: {error}") from error
        return [FailureRecord(*row) for row in rows]

    async def _orders(self, name: str) -> list[UUID]:
        """The ids of the orders of that number, several customers' perhaps. Raises ClientError if there is none."""
        try:
            return [UUID(name)]
        except ValueError:
            pass
        if not await self._connection.fetchval("SELECT has_table_privilege(to_regclass('\"order\".orders'), 'SELECT')"):
            raise ClientError(f"the database role may not look up order numbers: give the id of {name!r} instead")
        rows = await self._connection.fetch('SELECT id FROM "order".orders WHERE reference = $1', name)
        if not rows:
            raise ClientError(f"no order {name!r}")
        return [row["id"] for row in rows]

    async def outboxes(self, services: Iterable[str]) -> list[OutboxBacklog]:
        """One for each service, by name."""
        found = []
        for name in self.require(services):
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


@asynccontextmanager
async def failure_store(address: DatabaseAddress) -> AsyncIterator[FailureStore]:
    """Connected for a block. Raises ClientError when the server is away or refuses us, in words for a person."""
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
        raise ClientError(f"database at {address.url} cannot be used: {error or type(error).__name__}") from error
    try:
        found = await connection.fetch(
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND c.relname IN ('failures', 'outbox')"
            " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
            " GROUP BY 1 HAVING count(*) = 2 ORDER BY 1"
        )
        yield FailureStore(connection, [row[0] for row in found])
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ClientError(f"database at {address.url}: {error or type(error).__name__}") from error
    finally:
        connection.terminate()


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
