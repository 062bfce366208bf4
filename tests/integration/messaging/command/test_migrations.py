"""`warren-messaging migrations` on a real database."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.coffee_shop import CoffeeShop
from warren_messaging.postgres import migrations

SQL = Path(migrations.__file__).parents[1] / "migrations"
ALL_FILES = sorted(file.name for file in SQL.glob("*.sql"))


def test_apply_creates_the_tables_once(shop: CoffeeShop) -> None:
    first = shop.run("migrations", "apply", "coffee:service")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [f"applied {name}" for name in ALL_FILES]
    assert shop.run("migrations", "apply", "coffee:service").stdout == "nothing to apply\n"
    tables = {row[0] for row in shop.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert tables >= {"inbox", "outbox", "sequences", "failures", "retention", "messaging_migrations"}


def test_status_lists_what_is_pending_and_ends_with_1(shop: CoffeeShop) -> None:
    before = shop.run("migrations", "status", "coffee:service", "--json")
    assert before.returncode == 1
    assert json.loads(before.stdout) == {"schema": "public", "applied": [], "pending": ALL_FILES, "unknown": []}
    shop.run("migrations", "apply", "coffee:service")
    shop.sql("INSERT INTO messaging_migrations VALUES ('9999')")
    after = shop.run("migrations", "status", "coffee:service")
    assert after.returncode == 0
    assert after.stdout.splitlines()[-1] == "unknown  9999: a newer release of this package has applied it"


def test_dbmate_and_the_command_agree_on_what_is_applied(shop: CoffeeShop) -> None:
    dbmate = Path(sys.executable).parent / "dbmate"
    arguments = ["--no-dump-schema", "--migrations-table", "messaging_migrations", "--migrations-dir"]

    def migrate(folder: Path) -> str:
        url = shop.database_dsn
        done = subprocess.run(
            [dbmate, *arguments, folder, "migrate"],
            env={"DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    older = shop.folder / "older"
    older.mkdir()
    for name in ALL_FILES[:2]:
        (older / name).write_text((SQL / name).read_text())
    migrate(older)
    applied = shop.run("migrations", "apply", "coffee:service").stdout
    assert applied.splitlines() == [f"applied {name}" for name in ALL_FILES[2:]]
    assert migrate(SQL) == ""


def test_print_is_the_same_as_apply(shop: CoffeeShop) -> None:
    script = shop.run("migrations", "print").stdout
    shop.as_administrator("CREATE SCHEMA printed", shop.database)
    shop.run("migrations", "apply", "coffee:service", "--schema", "applied")

    async def execute() -> None:
        connection = await asyncpg.connect(shop.database_dsn, server_settings={"search_path": "printed"})
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    asyncio.run(execute())
    columns = (
        "SELECT table_name, column_name, data_type, column_default, is_nullable FROM information_schema.columns"
        " WHERE table_schema = $1 ORDER BY table_name, ordinal_position"
    )
    assert shop.sql(columns, "printed") == shop.sql(columns, "applied") != []
    for schema in ("applied", "printed"):
        url = f"{shop.database_url}?search_path={schema}"
        assert shop.run("migrations", "status", "coffee:service", COFFEE_DATABASE_URL=url).returncode == 0
    assert shop.run("migrations", "status", "coffee:service").returncode == 1


def test_processes_that_migrate_at_the_same_time_apply_each_migration_once(shop: CoffeeShop) -> None:
    async def apply_at_once() -> list[Any]:
        connections = [await asyncpg.connect(shop.database_dsn) for _ in range(6)]
        try:
            return await asyncio.gather(
                *(migrations.apply(each, "busy") for each in connections), return_exceptions=True
            )
        finally:
            await asyncio.gather(*(each.close() for each in connections))

    results = asyncio.run(apply_at_once())
    assert [each for each in results if isinstance(each, Exception)] == []
    assert sorted(migration.name for applied in results for migration in applied) == ALL_FILES


def test_a_migration_that_fails_changes_nothing_and_the_next_run_continues(shop: CoffeeShop) -> None:
    shop.sql("CREATE TABLE retention (other integer)")
    failed = shop.run("migrations", "apply", "coffee:service")
    assert failed.returncode == 78
    assert failed.stderr.startswith("warren-messaging: database at postgresql://")
    assert 'relation "retention" already exists' in failed.stderr
    assert "secret" not in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert [row[0] for row in shop.sql("SELECT version FROM messaging_migrations ORDER BY 1")] == ["0001", "0002"]
    shop.sql("DROP TABLE retention")
    assert shop.run("migrations", "apply", "coffee:service").stdout.startswith("applied 0003")


def test_a_locked_table_ends_the_attempt_instead_of_blocking_the_service(
    shop: CoffeeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 1)

    async def migrate_beside_a_reader() -> None:
        reader = await asyncpg.connect(shop.database_dsn)
        try:
            await reader.execute("CREATE TABLE messaging_migrations (version varchar PRIMARY KEY)")
            await reader.execute((SQL / ALL_FILES[0]).read_text().split("-- migrate:down")[0])
            await reader.execute("INSERT INTO messaging_migrations VALUES ('0001')")
            async with reader.transaction():
                await reader.fetch("SELECT FROM failures")
                address = migrations.DatabaseAddress(shop.database_url, ca_file=shop.servers.postgres.endpoint.ca_file)
                with pytest.raises(migrations.DatabaseUnavailable, match="locked a table for 1 s"):
                    async with migrations.connected(address) as connection:
                        await migrations.apply(connection)
            async with migrations.connected(address) as connection:
                assert (await migrations.apply(connection))[0].version == "0002"
        finally:
            await reader.close()

    asyncio.run(migrate_beside_a_reader())


def test_the_password_may_be_in_a_file_or_in_the_environment(shop: CoffeeShop) -> None:
    postgres = shop.servers.postgres.endpoint
    url = f"postgresql://{postgres.admin_username}@{postgres.host}:{postgres.port}/{shop.database}"
    command = ["migrations", "apply", "--ca-file", str(postgres.ca_file)]
    done = shop.run(*command, DATABASE_URL=url, PGPASSWORD=postgres.admin_password)
    assert (done.returncode, done.stderr) == (0, "")
    (shop.folder / "password").write_text(f"{postgres.admin_password}\n")
    done = shop.run(*command, "--password-file", "password", "--database-url", url)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 78, "which database? Name MODULE:SERVICE, --database-url, or set DATABASE_URL"),
        (["--database-url", "mysql://a@b/c"], 78, "database address 'mysql://a@b/c' is not postgresql://"),
        (["--database-url", "postgresql://a@127.0.0.1:1/b"], 69, "database at postgresql://a@127.0.0.1:1/b does not"),
        (
            ["--database-url", "postgresql://a@h/b?sslmode=maybe"],
            78,
            "database at postgresql://a@h/b refused: `sslmode` parameter must be one of",
        ),
        (["--database-url", "postgresql://a@h/b", "--password-file", "none"], 78, "cannot read the database password"),
    ],
)
def test_wrong_addresses_are_one_line(shop: CoffeeShop, options: list[str], code: int, message: str) -> None:
    done = shop.run("migrations", "apply", *options)
    assert done.returncode == code
    assert done.stderr.startswith(f"warren-messaging: {message}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("schema", ["", "$user"])
def test_a_name_that_a_search_path_cannot_hold_is_refused(shop: CoffeeShop, schema: str) -> None:
    refused = shop.run("migrations", "apply", "coffee:service", "--schema", schema)
    assert refused.returncode == 78
    assert refused.stderr == f"warren-messaging: {schema!r} cannot be the name of a schema\n"


def test_a_schema_may_have_any_other_name(shop: CoffeeShop) -> None:
    name = "Übel'\"; DROP SCHEMA public; --"
    assert shop.run("migrations", "apply", "coffee:service", "--schema", name).returncode == 0
    found = shop.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'outbox' AND schemaname = $1", name)
    assert found[0][0] == 1
