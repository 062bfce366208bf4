"""The runner owns its topology: a service without a file is removed from the broker, but not its messages."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devtools.local import topology
from devtools.local.system import System
from tests.system.shop import Shop

FILE = """
apiVersion: warren.dev/v1alpha1
kind: Topology
metadata: {name: wishlist}
spec:
  vhost: orders
  queues:
    wishlist.queue:
      deadLetter: {exchange: orders.dlx, routingKey: wishlist.dlq}
      deliveryLimit: 1000
    wishlist.dlq: {deliveryLimit: -1}
  bindings:
    - {source: workflow.exchange, queue: wishlist.queue, routingKey: order.created}
    - {source: redrive.exchange, queue: wishlist.queue, routingKey: wishlist.queue}
    - {source: orders.dlx, queue: wishlist.dlq, routingKey: wishlist.dlq}
  users:
    wishlist: {secretName: wishlist-rabbitmq, permissions: {read: ^wishlist\\.queue$}}
"""
NEVER_NAMED = "by-hand.queue"


class Runner:
    """Applies topologies to the broker as `make up` does, on this branch or on one with another topology file."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._file = folder / "wishlist.yaml"
        self._file.write_text(FILE)

    def apply(self, *, with_wishlist: bool) -> list[str]:
        reported: list[str] = []
        files = topology.load(topology.TOPOLOGY, *([self._file] if with_wishlist else []))
        self.ask(lambda api: topology.apply(files, api, self._system.secrets, reported.append))
        return reported

    def ask(self, what: Callable) -> object:
        async def asking() -> object:
            async with self._system.servers.broker.endpoints.management_api() as api:
                return await what(api)

        return asyncio.run(asking())

    def names(self, what: str) -> set[str]:
        return {each["name"] for each in self.ask(lambda api: api.get(f"/api/{what}"))}

    def sources(self, queue: str) -> set[str]:
        return {each["source"] for each in self.ask(lambda api: api.get(f"/api/queues/orders/{queue}/bindings"))} - {""}


@pytest.fixture
def runner(system: System, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(system, tmp_path)
    yield runner
    for queue in {"wishlist.queue", "wishlist.dlq", NEVER_NAMED} & runner.names("queues/orders"):
        runner.ask(lambda api, name=queue: api.delete(f"/api/queues/orders/{name}"))
    assert runner.apply(with_wishlist=False) == []


def test_a_service_without_a_topology_file_is_removed(runner: Runner) -> None:
    assert runner.apply(with_wishlist=True) == []
    assert runner.apply(with_wishlist=True) == []
    assert {"wishlist.queue", "wishlist.dlq"} <= runner.names("queues/orders")
    reported = runner.apply(with_wishlist=False)
    assert len(reported) == 1, reported
    assert reported[0].startswith("Removed")
    assert "queue wishlist.queue" in reported[0]
    assert not {"wishlist.queue", "wishlist.dlq"} & runner.names("queues/orders")
    assert "wishlist" not in runner.names("users")


def test_a_removed_queue_with_messages_is_kept_and_reported_and_unbound(runner: Runner, shop: Shop) -> None:
    runner.apply(with_wishlist=True)
    shop.reaches(shop.place("mug"), "COMPLETED")
    deadline = time.monotonic() + 30
    while not runner.ask(lambda api: api.get("/api/queues/orders/wishlist.queue")).get("messages"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    reported = runner.apply(with_wishlist=False)
    kept = [line for line in reported if line.startswith("Kept at the broker")]
    assert len(kept) == 1
    assert "queue wishlist.queue (" in kept[0]
    assert "workflow.exchange" not in runner.sources("wishlist.queue")
    shop.reaches(shop.place("mug"), "COMPLETED")
    runner.ask(lambda api: api.delete("/api/queues/orders/wishlist.queue/contents"))
    while not any(line.startswith("Removed") for line in runner.apply(with_wishlist=False)):
        assert time.monotonic() < deadline + 60  # the broker counts late
    assert not {"wishlist.queue", "wishlist.dlq"} & runner.names("queues/orders")


def test_an_instance_without_an_owner_gets_one_and_undeclared_queues_are_reported(runner: Runner) -> None:
    runner.ask(
        lambda api: api.put(
            f"/api/queues/orders/{NEVER_NAMED}", {"durable": True, "arguments": {"x-queue-type": "quorum"}}
        )
    )
    runner.ask(lambda api: api.delete(f"/api/global-parameters/broker_topology.{topology.OWNER}"))
    (reported,) = runner.apply(with_wishlist=False)
    assert f"no topology file declares: {NEVER_NAMED}." in reported
    assert f"broker_topology.{topology.OWNER}" in runner.names("global-parameters")
