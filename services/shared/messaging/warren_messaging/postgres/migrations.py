"""Creates and changes the library's tables with the SQL files that the package contains.

The files are in dbmate's form and are recorded in dbmate's way, in a table with one row for each applied version. So
`dbmate --migrations-table messaging_migrations` and this module may be used in turn on the same database. The table is
not called `schema_migrations`, dbmate's default, which belongs to the migrations of the program that uses the library.
"""

import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files

import asyncpg
import msgspec

from warren_messaging.errors import ConfigurationError, DatabaseUnavailable, reason_of
from warren_messaging.postgres.database import ACQUIRE_TIMEOUT, DatabaseAddress
from warren_messaging.transaction import Connection

MIGRATIONS_TABLE = "messaging_migrations"
LOCK_SECONDS = 10  # how long a statement waits for a table; whatever queues behind it waits as well

_CREATE = "CREATE TABLE IF NOT EXISTS {} (version varchar PRIMARY KEY)"
_SECTIONS = re.compile(r"-- migrate:up\n(?P<up>.*?)^-- migrate:down\n", re.DOTALL | re.MULTILINE)


class SchemaMigration(msgspec.Struct, frozen=True):
    """One file of the package."""

    version: str
    """The number that the file name begins with: the key in the migrations table."""
    name: str
    sql: str
    """The statements that apply it."""


class SchemaStatus(msgspec.Struct, frozen=True):
    """What a schema has of the migrations of this package."""

    schema: str
    applied: list[SchemaMigration]
    pending: list[SchemaMigration]
    unknown: list[str]
    """Versions that a newer release of the package has applied."""


def shipped() -> list[SchemaMigration]:
    """Return the migrations of this package in the order of their versions."""
    folder = files("warren_messaging") / "migrations"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [_parsed(name, (folder / name).read_text(encoding="utf-8")) for name in names]


def script(migration: SchemaMigration) -> str:
    """Return the SQL that applies a migration and records it, for programs that execute it in place of `apply`."""
    record = f"INSERT INTO {MIGRATIONS_TABLE} (version) VALUES ('{migration.version}');"  # noqa: S608 - a number
    return f"-- {migration.name}\n\n{migration.sql}\n{_CREATE.format(MIGRATIONS_TABLE)};\n{record}\n"


def tables() -> list[str]:
    """Return the names of the tables that the migrations create."""
    return [name for each in shipped() for name in re.findall(r"^CREATE TABLE (\w+)", each.sql, re.MULTILINE)]


def _parsed(name: str, text: str) -> SchemaMigration:
    sections = _SECTIONS.match(text)
    if sections is None:
        # Options such as `transaction:false` are refused too: each file is applied in one transaction.
        raise ValueError(f"{name} does not consist of '-- migrate:up' and '-- migrate:down', each alone on its line")
    return SchemaMigration(name.split("_", maxsplit=1)[0], name, sections["up"].strip() + "\n")


@asynccontextmanager
async def connected(address: DatabaseAddress, schema: str | None = None) -> AsyncIterator[Connection]:
    """Open one connection, with `schema` as its search path.

    Raises ConfigurationError when the server refuses the connection or a statement, DatabaseUnavailable when it does
    not answer.
    """
    address.require_valid()
    if schema in {"", "$user"}:  # a search path gives the second one another meaning
        raise ConfigurationError(f"{schema!r} cannot be the name of a schema")
    settings = {"application_name": "warren-messaging"} | ({"search_path": _quoted(schema)} if schema else {})
    try:
        connection = await asyncpg.connect(
            address.url,
            password=address.password() or None,  # None: PGPASSWORD, or ~/.pgpass
            ssl=address.tls(),
            timeout=ACQUIRE_TIMEOUT,
            server_settings=settings,
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=ACQUIRE_TIMEOUT)
    except asyncpg.LockNotAvailableError as error:
        raise DatabaseUnavailable(
            f"another session has locked a table for {LOCK_SECONDS} s: nothing of this migration was applied; try again"
        ) from error
    except asyncpg.PostgresConnectionError as error:
        raise DatabaseUnavailable(f"database at {address.location} is unavailable: {error}") from error
    except (asyncpg.PostgresError, asyncpg.ClientConfigurationError, ssl.SSLCertVerificationError) as error:
        raise ConfigurationError(f"database at {address.location} refused: {error}") from error
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise DatabaseUnavailable(f"database at {address.location} does not answer: {reason_of(error)}") from error


async def status(connection: Connection, schema: str | None = None) -> SchemaStatus:
    """Compare the schema with this package. Changes nothing.

    `schema` defaults to the one where the search path finds the migrations table, else to the first that exists. Raises
    ConfigurationError if there is none.
    """
    schema = schema or await _schema_of(connection)
    table = f"{_quoted(schema)}.{MIGRATIONS_TABLE}"
    versions: set[str] = set()
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
        versions = {row[0] for row in await connection.fetch(f"SELECT version FROM {table}")}  # noqa: S608 - quoted
    known = shipped()
    return SchemaStatus(
        schema=schema,
        applied=[each for each in known if each.version in versions],
        pending=[each for each in known if each.version not in versions],
        unknown=sorted(versions - {each.version for each in known}),
    )


async def apply(
    connection: Connection, schema: str | None = None, on_applied: Callable[[SchemaMigration], None] = lambda _: None
) -> list[SchemaMigration]:
    """Apply the pending migrations, each in a transaction with its entry in the migrations table. Returns them.

    Any number of processes may do this at the same time: each migration is applied once. `schema` is created if it does
    not exist. After an error the earlier migrations stay applied, and the failed one has changed nothing. The role must
    own the schema or have CREATE on it, unless nothing is pending.
    """
    if schema is not None and not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", _quoted(schema)):
        async with connection.transaction():
            await _lock(connection, schema)
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
    found = await status(connection, schema)
    table = f"{_quoted(found.schema)}.{MIGRATIONS_TABLE}"
    applied = []
    for migration in found.pending:
        async with connection.transaction():
            await _lock(connection, found.schema)
            # The lock does not limit its own waiting: the other process may be changing a large table.
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            await connection.execute(_CREATE.format(table))
            if await connection.fetchval(f"SELECT true FROM {table} WHERE version = $1", migration.version):  # noqa: S608 - quoted
                continue
            await connection.execute(f"SET LOCAL search_path = {_quoted(found.schema)}")
            await connection.execute(migration.sql)
            await connection.execute(f"INSERT INTO {table} (version) VALUES ($1)", migration.version)  # noqa: S608 - quoted
        applied.append(migration)
        on_applied(migration)
    return applied


async def _lock(connection: Connection, schema: str) -> None:
    """Exclude other processes that migrate this schema, until the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{MIGRATIONS_TABLE} of {schema}")


async def _schema_of(connection: Connection) -> str:
    schema = await connection.fetchval(
        "SELECT coalesce((SELECT nspname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
        " WHERE pg_class.oid = to_regclass($1)), current_schema())",
        MIGRATIONS_TABLE,
    )
    if schema is None:
        path = await connection.fetchval("SHOW search_path")
        raise ConfigurationError(f"no schema of the search path ({path}) exists: name one, it is then created")
    return str(schema)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
