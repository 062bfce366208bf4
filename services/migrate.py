"""Prepares the database: a role and a schema for each service, then its migrations with dbmate.

    python -m services.migrate --help

Running it again changes nothing but the salts of the stored passwords.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import structlog

from services.registry import SERVICES
from services.shared.chassis import logs
from services.shared.chassis.migrations import MigrationError, ServiceSchema, prepare_database, wait_for_server

FOLDER = Path(__file__).resolve().parent
SCHEMAS = {each.name: ServiceSchema(each.name, FOLDER / each.name / "migrations") for each in SERVICES} | {
    schema: ServiceSchema(schema, FOLDER / each.name / f"{schema}_migrations", messaging=False)
    for each in SERVICES
    for schema in each.own_schemas
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m services.migrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("schemas", nargs="*", default=list(SCHEMAS), metavar="SCHEMA", help="default: all")
    parser.add_argument("--url", required=True, help="postgresql://owner@host:port/database")
    parser.add_argument("--password-file", type=Path, required=True, help="the owner's password")
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True, help="folder with <schema>-postgres/password")
    parser.add_argument("--monitoring", action="store_true", help="also the role `monitoring`, which reads statistics")
    parser.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="how long to wait for the server to come up"
    )
    options = parser.parse_args()
    if unknown := set(options.schemas) - set(SCHEMAS):
        parser.error(f"unknown schema {', '.join(sorted(unknown))}; there are {', '.join(SCHEMAS)}")
    try:
        password = options.password_file.read_text().strip()
        asyncio.run(wait_for_server(options.url, password, options.ca_file, options.wait))
        schemas = [SCHEMAS[name] for name in options.schemas]
        server = (options.url, password, options.ca_file)
        asyncio.run(prepare_database(*server, options.secrets, schemas, monitoring=options.monitoring))
    except (MigrationError, OSError) as error:
        logs.configure("migrate", log_format=logs.requested_format(os.environ), level="info")
        structlog.get_logger().critical("migration failed", reason=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
