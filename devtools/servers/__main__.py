"""python -m devtools.servers NAME: private servers for trying the messaging library without Docker.

They have a broker user and a database of that name. Ctrl-C stops both; their data stays for the next run.
"""

import argparse
import asyncio
import re
import sys
from pathlib import Path

from broker_topology.broker.management_api import ManagementApi, path
from devtools.errors import LocalError
from devtools.paths import instance_dir
from devtools.processes.supervisor import sigterm_as_interrupt
from devtools.servers.credentials import load_or_create_secret
from devtools.servers.endpoints import BrokerEndpoints, DatabaseEndpoint
from devtools.servers.servers import Servers
from warren.progress import ProgressReport


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m devtools.servers", description=__doc__)
    parser.add_argument("name", help="name of the service, such as coffee: broker user, database and its owner")
    name = parser.parse_args().name
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
        parser.error(f"{name!r} is not a lower-case name")
    try:
        with sigterm_as_interrupt(), Servers(instance_dir("tutorial"), report=ProgressReport()) as servers:
            variables = prepare(servers, name, servers.instance_dir / "secrets" / name)
            file = servers.instance_dir / f"{name}.env"
            file.write_text("".join(f"export {key}={value}\n" for key, value in variables.items()))
            file.chmod(0o600)
            print(f"In another terminal:\n\n    . {file}\n")
            while True:
                input("Enter stops the broker, Ctrl-C both servers. ")
                servers.broker.stop()
                input("The broker is stopped. Enter starts it. ")
                servers.broker.start()
    except (KeyboardInterrupt, EOFError):
        return 0
    except LocalError as error:
        print(f"devtools.servers: {error}", file=sys.stderr)
        return 1


def prepare(servers: Servers, name: str, secret: Path) -> dict[str, str]:
    """Create a broker user with every permission, and a database with its owner; the file `secret` has their password.

    Returns the variables of `Service.from_environment` for both. Running it again changes nothing.
    """
    broker, postgres = servers.broker.endpoints, servers.postgres.endpoint
    password = load_or_create_secret(secret)
    asyncio.run(_create_user(broker, name, password))
    asyncio.run(_create_database(postgres, name, password))
    prefix = name.upper()
    return {
        f"{prefix}_BROKER_URL": f"amqps://{name}:{password}@{broker.host}:{broker.amqps_port}/",
        f"{prefix}_BROKER_CA_FILE": str(broker.ca_file),
        f"{prefix}_DATABASE_URL": f"postgresql://{name}:{password}@{postgres.host}:{postgres.port}/{name}",
        f"{prefix}_DATABASE_CA_FILE": str(postgres.ca_file),
    }


async def _create_user(broker: BrokerEndpoints, name: str, password: str) -> None:
    async with ManagementApi(broker.management_url, *broker.login, ca_file=broker.ca_file) as api:
        await api.put(path("users", name), {"password": password, "tags": ""})
        await api.put(path("permissions", "/", name), {"configure": ".*", "write": ".*", "read": ".*"})


async def _create_database(postgres: DatabaseEndpoint, name: str, password: str) -> None:
    """DDL takes no parameters: the command line checks `name`, and the password has no quote."""
    async with postgres.connection("postgres") as connection:
        verb = "ALTER" if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name) else "CREATE"
        await connection.execute(f"{verb} ROLE \"{name}\" LOGIN PASSWORD '{password}'")
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')


if __name__ == "__main__":
    sys.exit(main())
