"""A program of another project that uses the messaging library: the files of the tutorial, on servers of the tests."""

import asyncio
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from devtools.servers.servers import Servers
from tests.packages.tutorial import BLOCK, COMMAND

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "messaging" / "tutorial.md"
PASSWORD = "secret"  # users and roles belong to the whole server, so all tests use one password


def blocks(language: str) -> list[str]:
    """The code blocks of the tutorial in a language, in their order."""
    return [text for _, found, text in BLOCK.findall(TUTORIAL.read_text()) if found == language]


def project_files() -> dict[str, str]:
    """The files that the tutorial's reader writes."""
    return {name: text for name, _, text in BLOCK.findall(TUTORIAL.read_text()) if name}


def console() -> list[str]:
    """The commands that the tutorial's reader enters, in their order."""
    return [command for text in blocks("console") for command, _ in COMMAND.findall(text)]


class CoffeeShop:
    """The folder of the project, with a virtual host, a broker user and a database of its own.

    `variables` are the environment of its programs, with a PATH that finds `python` and `warren-messaging`.
    """

    def __init__(self, servers: Servers, folder: Path, variables: Mapping[str, str]) -> None:
        self.servers = servers
        self.folder = folder
        self.vhost = f"coffee-{secrets.token_hex(4)}"
        self.database = f"coffee_{secrets.token_hex(4)}"
        self.broker_port = servers.broker.endpoints.amqps_port
        self._variables = variables

    def __enter__(self) -> Self:
        for name, text in project_files().items():
            (self.folder / name).write_text(text)
        self.management("PUT", f"vhosts/{self.vhost}", {})
        self.management("PUT", f"permissions/{self.vhost}/{self.servers.broker.endpoints.admin_username}", ALL)
        self.add_user("coffee", ALL)
        self.as_administrator(f'CREATE DATABASE "{self.database}"')
        return self

    def __exit__(self, *_: object) -> None:
        self.management("DELETE", f"vhosts/{self.vhost}")
        self.as_administrator(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')

    # The broker

    def management(self, method: str, path: str, body: object = None) -> Any:
        broker = self.servers.broker.endpoints
        response = httpx.request(
            method,
            f"{broker.management_url}/api/{path}",
            json=body,
            auth=broker.login,
            verify=ssl.create_default_context(cafile=broker.ca_file),
            timeout=20,
        )
        response.raise_for_status()
        return response.json() if response.content else None

    def add_user(self, name: str, permissions: Mapping[str, str], tags: str = "") -> None:
        self.management("PUT", f"users/{name}", {"password": PASSWORD, "tags": tags})
        self.management("PUT", f"permissions/{self.vhost}/{name}", permissions)

    def broker_url(self, user: str = "coffee", password: str = PASSWORD) -> str:
        host = self.servers.broker.endpoints.host
        return f"amqps://{user}:{quote(password, safe='')}@{host}:{self.broker_port}/{self.vhost}"

    def queues(self) -> dict[str, Any]:
        """The queues of the virtual host with the arguments of their declaration."""
        return {each["name"]: each["arguments"] for each in self.management("GET", f"queues/{self.vhost}")}

    def depth(self, queue: str) -> int:
        """The number of messages in a queue that no consumer holds."""

        async def count() -> int:
            async with self.servers.broker.endpoints.channel(self.vhost) as channel:
                return (await channel.queue_declare(queue, passive=True)).message_count or 0

        return asyncio.run(count())

    def messages(self, queue: str) -> list[str]:
        """The bodies of at most 100 messages, which stay in the queue."""
        take = {"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}
        return [each["payload"] for each in self.management("POST", f"queues/{self.vhost}/{queue}/get", take)]

    # The database

    def as_administrator(self, statement: str, database: str = "postgres") -> list[Any]:
        return self._sql(database, statement)

    def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement in the database of the project, as the owner of the tables."""
        return self._sql(self.database, statement, *arguments)

    @property
    def database_dsn(self) -> str:
        return self.servers.postgres.endpoint.dsn(self.database)

    def _sql(self, database: str, statement: str, *arguments: object) -> list[Any]:
        async def run() -> list[Any]:
            async with self.servers.postgres.endpoint.connection(database) as connection:
                return list(await connection.fetch(statement, *arguments))

        return asyncio.run(run())

    @property
    def database_url(self) -> str:
        postgres = self.servers.postgres.endpoint
        secret = quote(postgres.admin_password, safe="")
        return f"postgresql://{postgres.admin_username}:{secret}@{postgres.host}:{postgres.port}/{self.database}"

    # Programs

    @property
    def environment(self) -> dict[str, str]:
        """What the tutorial's `export` lines set, for servers with certificates."""
        ca_file = str(self.servers.broker.endpoints.ca_file)
        return {
            **self._variables,
            "COFFEE_BROKER_URL": self.broker_url(),
            "COFFEE_BROKER_CA_FILE": ca_file,
            "COFFEE_DATABASE_URL": self.database_url,
            "COFFEE_DATABASE_CA_FILE": ca_file,
        }

    def run(self, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Run `warren-messaging` to its end. A variable that is None is left out."""
        return self.run_program("warren-messaging", *arguments, **environment)

    def run_program(self, *command: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=_without_none(self.environment | environment),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program beside the block. Its output goes to the file `output` in the folder."""
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    """Return when the condition holds; fail with the text `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


ALL = {"configure": ".*", "write": ".*", "read": ".*"}


def _without_none(environment: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if value is not None}
