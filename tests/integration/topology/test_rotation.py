"""Credentials rotate while services publish and consume."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiormq
import pytest
import yaml

import broker_topology
from broker_topology import LoadedTopology, ManagementApi
from broker_topology.broker.management_api import path
from broker_topology.broker.ownership import remove
from broker_topology.credentials.directory import SecretDirectory
from broker_topology.planning.result import TopologyResult
from broker_topology.rotation.rotator import RotationStatus, Rotator
from services.shared.contracts import Event
from services.shared.contracts.orders import OrderConfirmed
from tests.integration.topology.migrated_queue import Killed
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging.amqp import publisher
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.consumer import consumer
from warren_messaging.outbox import relay
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.transaction import Transaction

SECRET = "probe-rabbitmq"


@pytest.fixture
async def env(servers, tmp_path):
    env = MessagingEnv(servers, tmp_path)
    await env.set_up()
    yield env
    await env.tear_down()


class RotationLoop:
    """Reconciles the users of the environment, with a clock that tests can advance."""

    def __init__(self, env: MessagingEnv, api: ManagementApi) -> None:
        self.env, self.api = env, api
        self.secrets = SecretDirectory(env.folder)
        self.owner = f"rotation-{env.vhost}"
        self.ahead = timedelta()
        self.requested: dict[str, datetime] = {}
        self.outcome: TopologyResult | None = None
        self.rotations = RotationStatus()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def resources(self) -> tuple[LoadedTopology, LoadedTopology]:
        """Returns the resource with the rotated user, and a peer with the objects of its permissions."""
        head = {"apiVersion": "warren.dev/v1alpha1", "kind": "Topology"}
        user = {
            "secretName": SECRET,
            "permissions": {"read": "^probe.queue$", "write": "^order.exchange$"},
            "topicPermissions": [{"exchange": "order.exchange", "write": r"^order\."}],
            "rotation": {"everyHours": 24, "overlapMinutes": 1},
        }
        spec = {"vhost": self.env.vhost, "prune": "Never", "users": {"probe": user}}
        others = {
            "vhost": self.env.vhost,
            "exchanges": {"order.exchange": {"type": "topic"}},
            "queues": {"probe.queue": {}},
        }
        documents = [head | {"metadata": {"name": "users"}, "spec": spec}]
        documents += [head | {"metadata": {"name": "others"}, "spec": others}]
        ours, peer = (broker_topology.parse(yaml.safe_dump(each), "test")[0] for each in documents)
        return ours, peer

    async def run(self) -> None:
        ours, peer = self.resources()
        rotator = Rotator(self.secrets, self.api, now=self.now)
        account_credentials = await rotator.before(ours, self.requested)
        self.outcome = await broker_topology.reconcile(
            [ours],
            owner=self.owner,
            api=self.api,
            secrets=self.secrets,
            peers=[peer],
            account_credentials=account_credentials,
        )
        assert self.outcome.ready, self.outcome.objects
        self.rotations = await rotator.after(ours, self.outcome, self.requested)

    async def users(self) -> set[str]:
        listed = await self.api.get(path("users") + "?columns=name")
        return {each["name"] for each in listed if each["name"].split(".")[0] == "probe"}

    async def connected(self) -> set[str]:
        listed = await self.api.get(path("connections") + "?columns=user,vhost")
        return {each["user"] for each in listed if each["user"].split(".")[0] == "probe"}

    async def current(self) -> str:
        return str((await self.secrets.contents(SECRET)).data["username"])


@pytest.fixture
async def rotation(env, servers):
    endpoints = servers.broker.endpoints
    async with ManagementApi(
        endpoints.management_url, endpoints.admin_username, endpoints.admin_password, ca_file=endpoints.ca_file
    ) as api:
        rotation = RotationLoop(env, api)
        for user in await rotation.users() - {"probe"}:  # of another test: users belong to the whole broker
            await api.delete(path("users", user))
        yield rotation
        for user in await rotation.users():
            await api.delete(path("users", user))
        await remove(api, rotation.owner)


async def test_services_work_without_interruption_while_credentials_rotate(env, rotation, monkeypatch):
    for module in (consumer, publisher, relay):
        monkeypatch.setattr(module, "RELOAD_SECONDS", 0.5)
    await env.sql("CREATE TABLE seen (id uuid)")
    sent: list[uuid.UUID] = []

    async def on_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[OrderConfirmed]:
        await uow.connection.execute("INSERT INTO seen VALUES ($1)", event.subject)
        return []

    async def publish(outbox: Outbox, closing: asyncio.Event) -> None:
        while not closing.is_set():
            subject = uuid.uuid4()
            async with outbox.transaction(Transaction) as uow:
                uow.announce(OrderConfirmed(customer="gayal"), subject=subject)
            sent.append(subject)
            await asyncio.sleep(0.01)

    async def seen() -> bool:
        return {row["id"] for row in await env.sql("SELECT id FROM seen")} >= set(sent)

    async with env.outbox() as outbox, env.consumer({OrderConfirmed: on_confirmed}), working(outbox, publish):
        await rotation.run()
        assert await rotation.users() == {"probe"}
        for generation, previous in (("probe.1", "probe"), ("probe.2", "probe.1")):
            before = len(sent)
            rotation.requested = {"probe": rotation.now()}
            await rotation.run()
            assert await rotation.current() == generation
            assert await rotation.users() == {previous, generation}

            async def moved(generation: str = generation) -> bool:
                return await rotation.connected() == {generation}

            await eventually(moved, 30)
            await rotation.run()
            assert await rotation.users() == {previous, generation}  # the overlap is not over
            rotation.ahead += timedelta(minutes=1)
            await rotation.run()
            assert await rotation.users() == {generation}
            await eventually(lambda before=before: len(sent) > before + 20)
    async with env.consumer({OrderConfirmed: on_confirmed}):
        await eventually(seen)
    assert {result for _, result in env.telemetry.publish_results} == {PublishResult.CONFIRMED}
    assert len(env.telemetry.publish_results) == len(sent)
    assert env.telemetry.failures == []
    assert [state for state in env.telemetry.statuses if not state.endswith(": consuming")] == []


@asynccontextmanager
async def working(outbox: Outbox, publish: Callable[[Outbox, asyncio.Event], Coroutine[Any, Any, None]]):
    closing = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish(outbox, closing))
        try:
            yield
        finally:
            closing.set()


class KilledAfterWrites:
    """Allows that many writes, to the broker or into the Secret, and kills the process at the next."""

    def __init__(self, rotation: RotationLoop, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = writes
        for owner, names in ((rotation.api, ("put", "post", "delete")), (rotation.secrets, ("replace",))):
            for name in names:
                monkeypatch.setattr(owner, name, self._dying(getattr(owner, name)))

    def _dying(self, write: Any) -> Any:
        async def dying(*arguments: Any) -> Any:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return await write(*arguments)

        return dying


async def assert_can_work(env):
    """Asserts that a process that reads the Secret now can connect, consume, and publish."""
    address = env.broker_address()
    connection = await aiormq.connect(f"{address.with_credentials()}?cafile={address.ca_file}")
    try:
        channel = await connection.channel()
        await channel.queue_declare("probe.queue", passive=True)
        body = {"exchange": "order.exchange", "routing_key": "order.confirmed", "mandatory": True}
        assert isinstance(await channel.basic_publish(b"{}", **body), aiormq.spec.Basic.Ack)
    finally:
        await connection.close()


async def kill_after_each(writes: range, env, rotation) -> int:
    """Runs one rotation for each of these numbers of writes; returns how often the process was killed."""
    await rotation.run()
    died = 0
    for generation, allowed in enumerate(writes, 1):
        rotation.requested = {"probe": rotation.now()}
        for _ in range(3):  # prepare and switch; remove the previous user; nothing to do
            with pytest.MonkeyPatch.context() as monkeypatch:
                KilledAfterWrites(rotation, allowed, monkeypatch)
                try:
                    await rotation.run()
                except Killed:
                    died += 1
            await assert_can_work(env)
            rotation.ahead += timedelta(minutes=1)
        for _ in range(3):
            await rotation.run()
            rotation.ahead += timedelta(minutes=1)
        assert await rotation.current() == f"probe.{generation}"
        assert await rotation.users() == {f"probe.{generation}"}
    return died


async def test_a_killed_rotation_leaves_a_valid_secret_and_continues(env, rotation):
    assert await kill_after_each(range(0, 8, 2), env, rotation) >= 4


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_rotation_killed_after_any_write_leaves_a_valid_secret_and_continues(env, rotation):
    assert await kill_after_each(range(18), env, rotation) > 10


async def test_a_deleted_secret_is_generated_again_with_an_overlap_for_the_previous_user(env, rotation):
    await rotation.run()
    rotation.requested = {"probe": rotation.now()}
    await rotation.run()
    rotation.ahead += timedelta(minutes=1)
    await rotation.run()
    held = await rotation.secrets.contents(SECRET)
    assert await rotation.secrets.replace(SECRET, {}, held.version)
    await rotation.run()
    assert await rotation.current() == "probe.2"
    await assert_can_work(env)
    assert await rotation.users() == {"probe.1", "probe.2"}
    rotation.ahead += timedelta(minutes=1)
    await rotation.run()
    assert await rotation.users() == {"probe.2"}
    await assert_can_work(env)
