"""Replays parked messages after the faults, as an operator does with `warren dlq replay`.

Poison messages stay parked: no consumer can ever read them.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from devtools.local.topology import VHOST
from faults.harness import FaultHarness
from warren.cli.access import BrokerAccess, DatabaseAccess
from warren.cli.filters import MessageFilters
from warren.cli.parked_search import parked_search
from warren_messaging.dead_letters import actions
from warren_messaging.dead_letters.parked_message import UNROUTED, ParkedMessage
from warren_messaging.dead_letters.parking_lot import parking_lot


def replay_unrouted(harness: FaultHarness, event_type: str, queues: Sequence[str]) -> int:
    """Replay the unrouted events of one type to `queues`; returns how many."""

    async def chosen(window: list[ParkedMessage]) -> list[ParkedMessage]:
        return [message for message in window if event_type in {message.type, message.routing_key}]

    async def run() -> int:
        address = _broker_access(harness).address()
        async with parking_lot(address, UNROUTED) as lot:
            return (await actions.replay(address, lot, chosen, to=queues)).replayed

    return asyncio.run(run())


def replay_all_unrouted(harness: FaultHarness) -> int:
    """Replay every unrouted event to the queues that are bound to it."""
    return sum(replay_unrouted(harness, key, queues) for key, queues in harness.subscribers().items())


def replay_parked(harness: FaultHarness) -> Counter[str]:
    """Replay every readable parked event to its queue; returns how many, by parking lot and reason."""
    replayed: Counter[str] = Counter()

    async def run() -> None:
        async with parked_search(_broker_access(harness), _database_access(harness), MessageFilters()) as wanted:
            for name in wanted.lots:
                if name == UNROUTED:
                    continue

                async def readable(window: list[ParkedMessage]) -> list[ParkedMessage]:
                    found = [pair for pair in await wanted.match(window) if pair[0].envelope.id is not None]
                    replayed.update(f"{message.lot}: {message.reason(failure)}" for message, failure in found)
                    return [message for message, _ in found]

                async with parking_lot(wanted.address, name) as lot:
                    if await lot.depth():
                        await actions.replay(
                            wanted.address,
                            lot,
                            readable,
                            before=lambda them: wanted.mark(them, "replayed", ("parked", "retrying", "dropped")),
                            undo=lambda them: wanted.mark(them, "parked", ("replayed",)),
                        )

    asyncio.run(run())
    return replayed


def _broker_access(harness: FaultHarness) -> BrokerAccess:
    broker = harness.servers.broker.endpoints
    return BrokerAccess(
        broker_url=f"amqps://{broker.host}:{broker.amqps_port}/{VHOST}",
        broker_credentials=harness.secrets / "dlq-rabbitmq",
        broker_ca_file=broker.ca_file,
        management_url=broker.management_url,
    )


def _database_access(harness: FaultHarness) -> DatabaseAccess:
    database = harness.servers.postgres.endpoint
    return DatabaseAccess(
        database_url=database.url(),
        database_password_file=harness.folder / "secrets" / "postgres-admin",
        database_ca_file=database.ca_file,
    )
