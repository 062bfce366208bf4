"""`warren-messaging migrations`: the library's tables."""

import argparse
import asyncio
import os
from pathlib import Path

from warren_messaging.command.load import load_service
from warren_messaging.command.output import print_json
from warren_messaging.errors import ConfigurationError
from warren_messaging.postgres import migrations
from warren_messaging.postgres.database import DatabaseAddress

EXAMPLES = """\
examples:
  warren-messaging migrations apply shop:service
  warren-messaging migrations apply --database-url postgresql://owner@localhost/shop --schema orders
  warren-messaging migrations status shop:service
  warren-messaging migrations print > db/migrations/20261128_messaging.sql

The table messaging_migrations has the applied ones, in dbmate's form (dbmate --migrations-table messaging_migrations).
The password is read from --password-file, the URL, PGPASSWORD or ~/.pgpass. A service finds another schema than
`public` by the search path of its role, or by ?search_path=SCHEMA at the end of its database URL.
"""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summary = "create or change the library's tables"
    parser = commands.add_parser(
        "migrations",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    printing = subcommands.add_parser(
        "print", help="print the SQL of all migrations, or of those after a version, with their records"
    )
    printing.add_argument("--after", metavar="VERSION", default="", help="leave out this version and those before it")
    printing.set_defaults(command=_print)
    for name, function, text in (
        ("apply", _apply, "apply those that are pending; may run in several processes at once"),
        ("status", _status, "show which are applied; exit code 1 if some are pending"),
    ):
        each = subcommands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        each.add_argument("service", nargs="?", metavar="MODULE:SERVICE", help="take the address from its settings")
        each.add_argument("--database-url", metavar="URL", help="postgresql://role@host:port/database; or DATABASE_URL")
        each.add_argument("--password-file", metavar="FILE", type=Path)
        each.add_argument("--ca-file", metavar="FILE", type=Path, help="verify the server's certificate with this CA")
        each.add_argument("--schema", help="default: the first of the role's search path; apply creates it")
        each.add_argument("--json", action="store_true", help="print JSON")
        each.set_defaults(command=function)


def _print(options: argparse.Namespace) -> int:
    shipped = migrations.shipped()
    if options.after and options.after not in {each.version for each in shipped}:
        known = ", ".join(each.version for each in shipped)
        raise ConfigurationError(f"there is no migration {options.after!r}: the versions are {known}")
    for migration in shipped:
        if migration.version > options.after:
            print(migrations.script(migration))
    return 0


def _apply(options: argparse.Namespace) -> int:
    async def apply() -> list[migrations.SchemaMigration]:
        async with migrations.connected(_address(options), options.schema) as connection:
            return await migrations.apply(connection, options.schema, on_applied)

    def on_applied(migration: migrations.SchemaMigration) -> None:
        if not options.json:
            print(f"applied {migration.name}", flush=True)

    applied = asyncio.run(apply())
    if options.json:
        print_json({"applied": [each.name for each in applied]})
    elif not applied:
        print("nothing to apply")
    return 0


def _status(options: argparse.Namespace) -> int:
    async def read() -> migrations.SchemaStatus:
        async with migrations.connected(_address(options), options.schema) as connection:
            return await migrations.status(connection, options.schema)

    status = asyncio.run(read())
    names = {"applied": [each.name for each in status.applied], "pending": [each.name for each in status.pending]}
    if options.json:
        print_json({"schema": status.schema, **names, "unknown": status.unknown})
    else:
        for state, found in names.items():
            for name in found:
                print(f"{state:8}{name}")
        for version in status.unknown:
            print(f"unknown  {version}: a newer release of this package has applied it")
    return 1 if status.pending else 0


def _address(options: argparse.Namespace) -> DatabaseAddress:
    url = options.database_url
    if url is None and options.service is not None:
        settings = load_service(options.service).settings
        address = settings.database
        return DatabaseAddress(
            address.url, options.password_file or address.password_file, options.ca_file or address.ca_file
        )
    url = url or os.environ.get("DATABASE_URL")
    if url is None:
        raise ConfigurationError("which database? Name MODULE:SERVICE, --database-url, or set DATABASE_URL")
    return DatabaseAddress(url, options.password_file, options.ca_file)
