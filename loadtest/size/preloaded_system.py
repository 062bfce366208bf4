"""Warren with old rows or a long queue, whose progress is read at a cost that does not depend on them."""

import random
from collections.abc import Callable, Collection
from uuid import UUID

from aiormq import spec

from devtools.invariants import Check
from devtools.local.topology import VHOST
from loadtest.child import RunFailed
from loadtest.consumer import events
from loadtest.orders import exactly_once
from loadtest.orders.warren_system import WarrenSystem
from loadtest.size import history
from warren_messaging import new_id
from warren_messaging.amqp.pipeline import PublishFrame, PublishResult, forget, send

STOPPED = "email"
"""The service whose queue grows: an outage of the mail server is the likeliest reason for a long queue."""
QUEUE = f"{STOPPED}.queue"
WINDOW = 1000  # messages that share a wait for confirms
BODIES = 100  # different ones


class PreloadedSystem(WarrenSystem):
    """Starts without data; `fill_tables` or `fill_queue` preload it."""

    async def fill_tables(self, rows: int, on_table: Callable[[float, str], None]) -> int:
        """Insert `rows` rows into every table that grows with orders; returns the number of all rows."""
        total = await history.fill(self.servers.postgres.endpoint, rows, on_table)
        self._since = new_id()
        return total

    async def fill_queue(self, messages: int, on_progress: Callable[[float], None]) -> None:
        """Publish this number of messages to the stopped service's queue. Raises RunFailed if one is not confirmed."""
        rng = random.Random(1)  # noqa: S311 - not a secret
        bodies = [events.created(rng, "order") for _ in range(BODIES)]

        def properties(number: int) -> spec.Basic.Properties:
            return spec.Basic.Properties(delivery_mode=2, message_id=str(number))

        async with self.servers.broker.endpoints.channel(VHOST) as channel:
            for start in range(0, messages, WINDOW):
                frames = [
                    PublishFrame.of("", QUEUE, bodies[number % BODIES], properties(number))
                    for number in range(start, min(start + WINDOW, messages))
                ]
                batch = await send(channel, frames)
                await batch.finished
                if set(batch.results) != {PublishResult.CONFIRMED}:
                    raise RunFailed(f"{QUEUE} does not take every message")
                forget(channel, frames)
                on_progress(start / messages)
        self._received = await exactly_once.received_messages(self.servers.broker.endpoints)

    async def queue_depth(self) -> int:
        async with self.servers.broker.endpoints.channel(VHOST) as channel:
            return int((await channel.queue_declare(QUEUE, passive=True)).message_count)

    async def sequential_reads(self) -> dict[str, int]:
        """Rows read without an index so far, by table."""
        async with self.connection() as connection:
            rows = await connection.fetch("SELECT schemaname, relname, seq_tup_read FROM pg_stat_user_tables")
        return {f"{schema}.{table}": read for schema, table, read in rows}

    async def check_invariants(self, accepted: Collection[UUID]) -> list[Check]:
        """Check them over old and new orders, once: the messages of the stopped service are removed before."""
        if self._stopped:
            async with self.servers.broker.endpoints.channel(VHOST) as channel:
                await channel.queue_purge(QUEUE)
        return await super().check_invariants(accepted)
