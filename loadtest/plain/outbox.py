"""The outbox of the plain implementation: encodes events, and relays them. Uses the shared contracts alone."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from aio_pika.abc import AbstractConnection, AbstractExchange
from uuid_utils.compat import uuid7

from loadtest.messages import persistent_message
from services.shared.contracts import CATALOGUE, AnyEvent, Event, EventData

BATCH = 100
POLL_SECONDS = 0.1
_envelopes = msgspec.json.Decoder(Event[msgspec.Raw])
_data = {name: msgspec.json.Decoder(kind) for name, kind in CATALOGUE.items()}
_encoder = msgspec.json.Encoder()


def decode(body: bytes) -> AnyEvent:
    event = _envelopes.decode(body)
    return msgspec.structs.replace(event, data=_data[event.type].decode(event.data))


def encode(event: AnyEvent) -> bytes:
    return _encoder.encode(event)


def new_event(service: str, data: EventData, subject: UUID, cause: AnyEvent | None) -> AnyEvent:
    event_id = uuid7()
    return Event(
        specversion="1.0",
        id=event_id,
        source=f"/warren/{service}",
        type=data.TYPE,
        subject=subject,
        time=datetime.now(UTC),
        logicalid=event_id,
        sourcesequence=1,
        causationid=None if cause is None else cause.id,
        data=data,
    )


class PlainRelay:
    def __init__(self, pool: Any, table: str, connection: AbstractConnection, exchange: str, user: str) -> None:
        self._pool = pool
        self._connection = connection
        self._exchange = exchange
        self._user = user
        self._select_unsent = (
            f"SELECT id, routing_key, subject, body FROM {table} WHERE sent_at IS NULL"  # noqa: S608
            f" ORDER BY position LIMIT {BATCH}"
        )
        self._mark_sent = f"UPDATE {table} SET sent_at = now() WHERE id = ANY($1::uuid[])"  # noqa: S608

    async def run(self) -> None:
        """Run until cancelled."""
        channel = await self._connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(self._exchange, ensure=False)
        while True:
            if not await self._publish_batch(exchange):
                await asyncio.sleep(POLL_SECONDS)

    async def _publish_batch(self, exchange: AbstractExchange) -> int:
        rows = await self._pool.fetch(self._select_unsent)
        for event_id, routing_key, subject, body in rows:
            message = persistent_message(
                body, routing_key, event_id=event_id, subject=subject, user=self._user, app=self._user
            )
            await exchange.publish(message, routing_key)
        if rows:
            await self._pool.execute(self._mark_sent, [row[0] for row in rows])
        return len(rows)
