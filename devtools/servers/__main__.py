"""python -m devtools.servers NAME…: private servers for trying both packages without Docker.

They have a broker user and a database of each name. Ctrl-C stops both; their data stays for the next run.
"""

import argparse
import asyncio
import fcntl
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="name of a service, such as coffee: broker user, database and its owner",
    )
    names = parser.parse_args().names
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
            parser.error(f"{name!r} is not a lower-case name")
    folder = instance_dir("tutorial")
    try:
        with sigterm_as_interrupt(), locked(folder), Servers(folder, report=ProgressReport()) as servers:
            variables = administration(servers)
            for name in names:
                variables |= prepare(servers, name, folder / "secrets" / name)
            file = folder / f"{names[0]}.env"
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


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the instance for a block. Raises LocalError if another process runs its servers."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "instance.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError(
                "the servers of this checkout are already running. For services with several names, stop them with"
                ' Ctrl-C in their terminal and start them with all names, such as: make servers NAME="coffee tea"'
            ) from None
        yield


def administration(servers: Servers) -> dict[str, str]:
    """Return the variables of `broker-topology` for the broker's administrator. The file holds the password alone."""
    broker = servers.broker.endpoints
    return {
        "BROKER_TOPOLOGY_URL": broker.management_url,
        "BROKER_TOPOLOGY_USERNAME": broker.admin_username,
        "BROKER_TOPOLOGY_PASSWORD_FILE": str(servers.instance_dir / "secrets" / "rabbitmq-admin"),
        "BROKER_TOPOLOGY_CA_FILE": str(broker.ca_file),
    }


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
