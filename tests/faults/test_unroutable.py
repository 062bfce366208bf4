"""Events that the broker has no place for: they show, they stay, and they arrive once there is one."""

import asyncio

from devtools.local.topology import VHOST
from faults.harness import Rig
from faults.server_admin import eventually
from tests.faults.customers import Customers
from warren_messaging import BrokerAddress
from warren_messaging.dead_letters import deadletter
from warren_messaging.dead_letters.parked import UNROUTED, Parked
from warren_messaging.dead_letters.parking_lot import parking_lot


async def _replay(rig: Rig, to: str) -> int:
    broker = rig.servers.broker.address
    url = f"amqps://{broker.host}:{broker.amqps_port}/{VHOST}"
    address = BrokerAddress(url, rig.secrets / "dlq-rabbitmq", broker.ca_file)

    async def every(window: list[Parked]) -> list[Parked]:
        return window

    async with parking_lot(address, UNROUTED) as lot:
        return (await deadletter.replay(address, lot, every, to=[to])).replayed


def test_the_last_binding_is_lost(rig: Rig, customers: Customers) -> None:
    """What no service binds lies in unrouted.queue, and is replayed to whom it belongs."""
    rig.unbind("workflow.exchange", "q", "order.queue", "shipping.delivered")
    try:
        for _ in range(5):
            customers.order("item4")
        eventually(lambda: rig.depth("unrouted.queue") == 5)
        eventually(lambda: rig.orders("state = 'SHIPPED'") == 5)
    finally:
        rig.restore_topology()
    assert asyncio.run(_replay(rig, "order.queue")) == 5
    eventually(lambda: not rig.orders("state = 'SHIPPED'"))


def test_every_binding_is_lost(rig: Rig, customers: Customers) -> None:
    """What no queue at all takes comes back to its sender and stays in the outbox, with the reason."""
    for target in ("audit.fanout.exchange", "workflow.exchange"):
        rig.unbind("order.exchange", "e", target, "#")
    try:
        for _ in range(5):
            customers.order("item4")
        eventually(lambda: rig.count('"order".outbox', "last_error = 'no queue took it'") == 5)
        assert "ERROR returned by the broker, kept in the outbox order.created" in rig.said("order-api")
    finally:
        rig.restore_topology()
    eventually(lambda: not rig.waiting())
