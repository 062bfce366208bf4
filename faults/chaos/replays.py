"""What an operator does when the trouble is over: put back what is parked for a reason that has passed.

The same functions as `warren dlq replay`. Poison stays where it is: nobody can read it today either.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from devtools.local.topology import VHOST
from faults import queues
from faults.chaos.environment import Site
from warren.cli.access import BrokerAccess, DatabaseAccess
from warren.cli.filters import MessageFilters
from warren.cli.parked_search import parked_search
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.dead_letters import deadletter
from warren_messaging.dead_letters.parked import UNROUTED, Parked
from warren_messaging.dead_letters.parking_lot import parking_lot


def replay_unrouted(site: Site, key: str, queues: Sequence[str]) -> int:
    """Events of one type that no service was bound for, to those that are bound again."""

    async def chosen(window: list[Parked]) -> list[Parked]:
        return [message for message in window if key in {message.type, message.routing_key}]

    async def run() -> int:
        async with parking_lot(_address(site), UNROUTED) as lot:
            return (await deadletter.replay(_address(site), lot, chosen, to=queues)).replayed

    return asyncio.run(run())


def replay_all_unrouted(site: Site) -> int:
    """Each to those that are bound for it."""
    return sum(replay_unrouted(site, key, queues) for key, queues in queues.takers(site).items())


def replay_parked(site: Site) -> Counter[str]:
    """Every parked event that can be read, to the queue that gave it up; returns how many, by lot and reason."""
    replayed: Counter[str] = Counter()

    async def run() -> None:
        broker, database = _broker_access(site), _database_access(site)
        async with parked_search(broker, database, MessageFilters()) as wanted:
            for name in wanted.lots:
                if name == UNROUTED:
                    continue

                async def readable(window: list[Parked]) -> list[Parked]:
                    found = [pair for pair in await wanted.found(window) if pair[0].envelope.id is not None]
                    replayed.update(f"{message.lot}: {message.reason(failure)}" for message, failure in found)
                    return [message for message, _ in found]

                async with parking_lot(wanted.address, name) as lot:
                    if await lot.depth():
                        await deadletter.replay(
                            wanted.address,
                            lot,
                            readable,
                            before=lambda them: wanted.mark(them, "replayed", ("parked", "retrying", "dropped")),
                            undo=lambda them: wanted.mark(them, "parked", ("replayed",)),
                        )

    asyncio.run(run())
    return replayed


def _address(site: Site) -> BrokerAddress:
    return _broker_access(site).address()


def _broker_access(site: Site) -> BrokerAccess:
    broker = site.servers.broker.address
    url = f"amqps://{broker.host}:{broker.amqps_port}/{VHOST}"
    return BrokerAccess(
        broker_url=url,
        broker_credentials=site.secrets / "dlq-rabbitmq",
        broker_ca_file=broker.ca_file,
        management_url=broker.management_url,
    )


def _database_access(site: Site) -> DatabaseAccess:
    database = site.servers.postgres.address
    return DatabaseAccess(
        database_url=f"postgresql://{database.admin_username}@{database.host}:{database.port}/{database.database}",
        database_password_file=site.folder / "secrets" / "postgres-admin",
        database_ca_file=database.ca_file,
    )
