"""Environment of the `warren dlq` tests: parking lots, a redrive exchange, the user `dlq` with its real permissions."""

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from aiormq import spec

import broker_topology
from devtools.paths import CHECKOUT
from devtools.servers.servers import Servers
from services.shared.chassis.migrations import ServiceSchema, prepare_database
from tests.messaging_env import MessagingEnv, eventually
from warren import cli
from warren.cli import screen
from warren_messaging.amqp.connection import BrokerAddress


class ParkingLotEnv(MessagingEnv):
    """Adds the queues `unrouted.queue` and `other.queue`, the redrive exchange, and the command line."""

    async def set_up(self) -> None:
        await super().set_up()
        users = {
            name: user
            for item in broker_topology.load([CHECKOUT / "charts" / "warren" / "topology"])
            for name, user in item.spec.users.items()
        }
        allowed = users["dlq"].permissions
        await self.add_user("dlq", write=allowed.write, read=allowed.read, tags=",".join(users["dlq"].tags))
        async with self.channel() as channel:
            await channel.exchange_declare("redrive.exchange", exchange_type="direct", durable=True)
            await channel.queue_bind("probe.queue", "redrive.exchange", "probe.queue")
            for queue in ("unrouted.queue", "other.queue"):
                arguments = {"x-queue-type": "quorum", "x-delivery-limit": -1}
                await channel.queue_declare(queue, durable=True, arguments=arguments)
            await channel.queue_bind("other.queue", "redrive.exchange", "other.queue")

    @property
    def dlq(self) -> BrokerAddress:
        return self.broker_address("dlq")

    async def park(self, *bodies: bytes, lot: str = "probe.dlq", exchange: str = "", **properties: Any) -> None:
        """Publish messages directly to a parking lot. The message id is the event's id, if the body is an event."""
        async with self.channel() as channel:
            for start in range(0, len(bodies), 1000):
                frames = [
                    channel.basic_publish(
                        body,
                        exchange=exchange,
                        routing_key=lot,
                        properties=spec.Basic.Properties(
                            **({"delivery_mode": 2, "message_id": _id(body)} | properties)
                        ),
                        wait=False,
                    )
                    for body in bodies[start : start + 1000]
                ]
                await asyncio.gather(*frames)

    async def park_bare(self, body: bytes, lot: str = "probe.dlq") -> None:
        """Publish a message without properties: by the management API, since the AMQP driver adds a message id."""
        message = {"routing_key": lot, "payload": body.decode(), "payload_encoding": "string", "properties": {}}
        async with self.management_api() as api:
            response = await api.post(f"exchanges/{self.vhost}/amq.default/publish", json=message)
            assert response.json() == {"routed": True}

    async def reject(self, *messages: tuple[bytes, spec.Basic.Properties]) -> None:
        """Publish messages to probe.queue and reject them there, as a consumer would: the broker parks them."""
        depth = await self.depth("probe.dlq")
        async with self.channel() as channel:
            for body, properties in messages:
                await channel.basic_publish(
                    body, exchange="redrive.exchange", routing_key="probe.queue", properties=properties
                )
                message = await channel.basic_get("probe.queue")
                await channel.basic_reject(message.delivery_tag, requeue=False)
        await eventually(lambda: self.has_depth("probe.dlq", depth + len(messages)))

    async def has_depth(self, queue: str, count: int) -> bool:
        return await self.depth(queue) == count

    async def has_depth_of_at_least(self, queue: str, count: int) -> bool:
        return await self.depth(queue) >= count

    async def bodies(self, queue: str) -> list[bytes]:
        """Remove all ready messages and return their bodies, faster than with one `basic.get` for each."""
        count = await self.depth(queue)
        found: list[bytes] = []

        async def take(message: Any) -> None:
            found.append(bytes(message.body))

        async with self.channel() as channel:
            if count:
                await channel.basic_consume(queue, take, no_ack=True)
                await eventually(lambda: len(found) >= count)
        return found

    def environment(self, user: str = "dlq") -> dict[str, str]:
        address, postgres = self.broker_address(user), self.servers.postgres.endpoint
        password = self.folder / "owner-password"
        password.write_text(postgres.admin_password)
        return {
            "WARREN_BROKER_URL": address.url,
            "WARREN_BROKER_CREDENTIALS": str(address.credentials),
            "WARREN_BROKER_CA_FILE": str(address.ca_file),
            "WARREN_MANAGEMENT_URL": self.servers.broker.endpoints.management_url,
            "XDG_STATE_HOME": str(self.folder / "state"),
            "WARREN_DATABASE_URL": f"postgresql://postgres@{postgres.host}:{self.database_port}/{self.database_name}",
            "WARREN_DATABASE_PASSWORD_FILE": str(password),
            "WARREN_DATABASE_CA_FILE": str(postgres.ca_file),
        }

    async def add_service(self, name: str) -> None:
        """Create the queue, the parking lot and the tables of another service."""
        async with self.channel() as channel:
            arguments = {"x-queue-type": "quorum", "x-delivery-limit": -1}
            await channel.queue_declare(f"{name}.dlq", durable=True, arguments=arguments)
            await channel.queue_bind(f"{name}.dlq", "orders.dlx", f"{name}.dlq")
            arguments |= {"x-dead-letter-exchange": "orders.dlx", "x-dead-letter-routing-key": f"{name}.dlq"}
            await channel.queue_declare(f"{name}.queue", durable=True, arguments=arguments)
            await channel.queue_bind(f"{name}.queue", "redrive.exchange", f"{name}.queue")
        postgres = self.servers.postgres.endpoint
        secret = self.folder / f"{name}-postgres" / "password"
        secret.parent.mkdir(parents=True)
        secret.write_text("probe-password")
        url, schemas = postgres.url(self.database_name), [ServiceSchema(name)]
        await prepare_database(url, postgres.admin_password, postgres.ca_file, self.folder, schemas)

    async def warren(self, *arguments: str, user: str = "dlq", **environment: str) -> "CommandResult":
        """Run `warren` with these arguments in this process; returns its output and exit code."""
        return await asyncio.to_thread(self._warren, list(arguments), self.environment(user) | environment)

    def _warren(self, arguments: list[str], environment: dict[str, str]) -> "CommandResult":
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(os, "environ", environment)
            patch.setattr(screen.out, "width", screen.WIDTH)  # whatever COLUMNS was when a test first imported it
            patch.chdir(self.folder)
            try:
                code = cli.load(arguments)()
            except SystemExit as error:
                code = int(error.code or 0)
        return CommandResult(code, out.getvalue(), err.getvalue())

    @asynccontextmanager
    async def process(self, *program: str, pipe: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a Python program in a separate process, so that a test can kill it."""
        environment = self.environment() | {
            "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'operator'}:{CHECKOUT / 'services/shared/messaging'}"
        }
        out = asyncio.subprocess.PIPE if pipe else asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, cwd=self.folder, env=environment, stdout=out, stderr=out
        )
        yield process
        if process.returncode is None:
            process.kill()
        await process.wait()


class CommandResult:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def _id(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["id"])
    except (ValueError, KeyError, TypeError):
        return None


@pytest.fixture
async def env(servers: Servers, tmp_path: Path) -> AsyncIterator[ParkingLotEnv]:
    async with ParkingLotEnv(servers, tmp_path) as env:
        yield env
