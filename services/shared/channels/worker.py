"""The process of a channel service: consumes notifications and sends each one through the channel's provider."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

import msgspec

from services.shared.channels.store import DeliveryRepository, DeliveryState, retention_rules
from services.shared.chassis.process import ServiceProcess
from services.shared.chassis.settings import DownstreamSettings
from services.shared.contracts import Event, EventData
from services.shared.contracts.notifications import NotificationRequested
from services.shared.contracts.orders import Contact
from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.errors import PermanentError, TransientError
from warren_messaging.handlers import Effect, Handlers
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.postgres.rate_limit import RateLimit

M = TypeVar("M")
Notification = Event[NotificationRequested]

# Delays grow by one second up to a minute, so 900 attempts take about 14 hours: a provider that is down overnight
# parks nothing. The queue's delivery limit (1000, in the topology file) must be higher.
RETRY = RetryPolicy(attempts=900)


class ProviderUnavailable(TransientError):
    """The provider is unreachable, slow, overloaded or broken, whatever the message is."""


class Channel(msgspec.Struct, Generic[M], frozen=True):
    """The parts in which channels differ."""

    service: str
    address_of: Callable[[Contact], str | None]
    normalize: Callable[[str], str]
    """Maps all spellings of one address to the same text, which is hashed for the delivery record."""
    hash_column: str
    compose: Callable[[Notification], M]
    """The provider's message for a notification. Raises ValueError for an address that cannot be used."""

    def repository(self) -> Callable[..., DeliveryRepository]:
        return partial(DeliveryRepository, hash_column=self.hash_column)

    def handlers(
        self,
        send: Callable[[M], Awaitable[None]],
        breaker: CircuitBreaker | None = None,
        rate_limit: RateLimit | None = None,
    ) -> Handlers[DeliveryRepository]:
        """The handlers of the channel's queue, with `send` as the call to the provider."""

        def record(event: Notification, state: DeliveryState, deliveries: DeliveryRepository) -> None:
            address = self.address_of(event.data.contact)
            # The hash can answer whether an address got a message without a list of addresses that could leak.
            digest = hashlib.sha256(self.normalize(address).encode()).digest() if address is not None else None
            deliveries.record(event, state, digest)

        async def prepare(event: Notification, deliveries: DeliveryRepository) -> Notification | None:
            has_address = bool(self.address_of(event.data.contact))
            record(event, DeliveryState.SENDING if has_address else DeliveryState.SKIPPED, deliveries)
            return event if has_address else None

        async def perform(event: Notification) -> None:
            try:
                message = self.compose(event)
            except ValueError as error:
                raise PermanentError(str(error)) from error
            await send(message)

        async def complete(
            event: Notification, intent: Notification, result: None, deliveries: DeliveryRepository
        ) -> Iterable[EventData]:
            record(event, DeliveryState.SENT, deliveries)
            return ()

        return {NotificationRequested: Effect(prepare, perform, complete, breaker, rate_limit)}

    def process(
        self, settings: DownstreamSettings, send: Callable[[M], Awaitable[None]], *, connections: int, days: int
    ) -> ServiceProcess:
        """`connections` limits concurrent sends; delivery records are kept for `days`."""
        process = ServiceProcess(self.service, settings, exchange="notification.exchange")
        provider = f"{self.service} provider"
        process.consume(
            f"{self.service}.queue",
            self.handlers(send, settings.breaker(provider, ProviderUnavailable), settings.rate_limit(provider)),
            self.repository(),
            # A send is slow, and another replica cannot send the deliveries that this one holds.
            prefetch=connections * 8,
            batch=connections * 4,
            concurrency=connections,
            retry=RETRY,
        )
        process.retain(*retention_rules(days))
        return process
