"""The servers stop, crash and come back while orders are placed."""

from loadtest.faults.office import eventually
from loadtest.faults.rig import Rig
from tests.faults.customers import Customers
from warren.local.system import QUEUES


def test_the_broker_restarts(rig: Rig, customers: Customers) -> None:
    with customers.ordering(24, seconds=3):
        rig.servers.broker.rabbitmqctl("stop_app")
        rig.servers.broker.rabbitmqctl("start_app")
    eventually(lambda: all(rig.consumers()[queue] for queue in QUEUES), 30, "some consumer did not come back")


def test_the_broker_crashes(rig: Rig, customers: Customers) -> None:
    with customers.ordering(24, seconds=3):
        eventually(lambda: rig.depth("payment.queue") or rig.depth("order.queue") or rig.waiting(), 10)
        rig.crash_broker()


def test_the_database_crashes(rig: Rig, customers: Customers) -> None:
    blamed = rig.blamed()
    with customers.ordering(24, seconds=3):
        eventually(lambda: rig.waiting() or rig.count("inventory.inbox"), 10)
        rig.servers.postgres.restart(kill=True)
    eventually(rig.at_rest, 60)
    assert rig.blamed() == blamed, "a server that is away is no message's fault"
