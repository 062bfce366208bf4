"""Migrations wait for the database server, and give each role only the rights that its service needs."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from devtools.servers.servers import Servers
from faults.proxy import FaultProxy
from services.shared.chassis.migrations import wait_for_server
from tests.service_replica import ServiceDatabase


async def test_migrations_wait_for_a_server_that_starts_late(servers: Servers) -> None:
    database = servers.postgres.endpoint
    async with FaultProxy(database.port).serving() as proxy:
        proxy.refuse()
        url = f"postgresql://{database.admin_username}@localhost:{proxy.port}/warren"
        waiting = asyncio.create_task(wait_for_server(url, database.admin_password, database.ca_file, 600))
        done, _ = await asyncio.wait([waiting], timeout=2.5)
        assert not done
        proxy.heal()
        await asyncio.wait_for(waiting, 60)


async def test_a_refused_login_ends_the_wait_and_so_does_the_time_limit(servers: Servers) -> None:
    database = servers.postgres.endpoint
    async with FaultProxy(database.port).serving() as proxy:
        url = f"postgresql://{database.admin_username}@localhost:{proxy.port}/warren"
        await asyncio.wait_for(wait_for_server(url, "not the password", database.ca_file, 600), 60)
        proxy.refuse()
        began = time.monotonic()
        await wait_for_server(url, database.admin_password, database.ca_file, 1)
        assert time.monotonic() - began >= 1


@pytest.fixture
async def db(servers: Servers, tmp_path: Path) -> AsyncIterator[ServiceDatabase]:
    async with ServiceDatabase(servers, tmp_path) as db:
        yield db


async def test_no_password_reaches_the_servers_log(servers: Servers, db: ServiceDatabase) -> None:
    async with servers.postgres.endpoint.connection("postgres") as admin:
        await admin.execute(f'CREATE DATABASE "{db.name}"')
        await admin.execute(f"ALTER DATABASE \"{db.name}\" SET log_statement = 'ddl'")
    await db.prepare("probe")
    async with db.connection("probe"):
        pass
    log = servers.postgres.log_file.read_text(errors="replace")
    assert 'ROLE "probe" LOGIN PASSWORD \'SCRAM-SHA-256$' in log
    assert db.address("probe").password_file.read_text() not in log


async def test_a_service_role_has_no_rights_outside_its_schema(db: ServiceDatabase) -> None:
    await db.prepare("email", "gateway")
    for role, tables in (("email", ("messaging_migrations", "migrations")), ("gateway", ("migrations",))):
        async with db.connection(role) as connection:
            for table in tables:
                assert await connection.fetch(f"SELECT version FROM {table}")  # noqa: S608 - a constant
                for statement in (
                    f"DELETE FROM {table}",  # noqa: S608 - a constant
                    f"UPDATE {table} SET version = '0'",  # noqa: S608 - a constant
                    f"INSERT INTO {table} VALUES ('0')",  # noqa: S608 - a constant
                    "CREATE TEMPORARY TABLE scratch (id int)",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
        for database in ("postgres", "template1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
                async with db.connection(role, database):
                    pass


async def test_the_role_of_a_metrics_exporter_is_created_on_request(
    servers: Servers, db: ServiceDatabase, tmp_path: Path
) -> None:
    await db.prepare("probe")
    server = servers.postgres.endpoint
    secrets = tmp_path / "migrate"
    for role in ("email", "monitoring"):
        (secrets / f"{role}-postgres").mkdir(parents=True)
        (secrets / f"{role}-postgres" / "password").write_text("test-password")
    (secrets / "admin").write_text(server.admin_password)
    url = f"postgresql://{server.admin_username}@localhost:{server.port}/{db.name}"
    command = [sys.executable, "-m", "services.migrate", "email", "--monitoring", f"--url={url}"]
    command += [f"--password-file={secrets / 'admin'}", f"--ca-file={server.ca_file}", f"--secrets={secrets}"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    dsn = server.dsn(db.name, username="monitoring", password="test-password")
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT pg_has_role(current_user, 'pg_monitor', 'member')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT * FROM email.outbox")
    finally:
        await connection.close()
