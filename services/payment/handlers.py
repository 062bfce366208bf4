"""Event handlers of the payment service: two effects that call the gateway outside of transactions."""

from collections.abc import Iterable

from services.payment import domain
from services.payment.domain import ChargeResult, PaymentState, VoidResult
from services.payment.gateway import PaymentGateway
from services.payment.store import PaymentRepository
from services.shared.contracts import Event, EventData
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.orders import OrderCancelling, Participant, concerns
from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.handlers import Effect, Handlers
from warren_messaging.postgres.rate_limit import RateLimit

ReservedEvent = Event[InventoryReserved]
CancellingEvent = Event[OrderCancelling]


async def prepare_charge(event: ReservedEvent, repository: PaymentRepository) -> ReservedEvent | None:
    """Return None once the order is cancelled, which also ends the retries of a charge that never succeeds."""
    payment = domain.start_charge(repository.get(event.subject), event.data)
    repository.put(payment)
    return event if payment.state is PaymentState.CHARGING else None


async def complete_charge(
    event: ReservedEvent, intent: ReservedEvent, result: ChargeResult, repository: PaymentRepository
) -> Iterable[EventData]:
    payment, outcome = domain.complete_charge(repository.get(event.subject), result, event.data)
    repository.put(payment)
    return () if outcome is None else (outcome,)


async def prepare_void(event: CancellingEvent, repository: PaymentRepository) -> CancellingEvent | None:
    if not concerns(Participant.PAYMENT, event.data):
        return None
    repository.put(domain.cancel(repository.get(event.subject)))
    return event


async def complete_void(
    event: CancellingEvent, intent: CancellingEvent, result: VoidResult, repository: PaymentRepository
) -> Iterable[EventData]:
    payment, outcome = domain.complete_void(repository.get(event.subject), result)
    repository.put(payment)
    return (outcome,)


def handlers(
    gateway: PaymentGateway, breaker: CircuitBreaker | None = None, rate_limit: RateLimit | None = None
) -> Handlers[PaymentRepository]:
    """Return the event handlers. Both effects call the gateway with the order's id as the idempotency key, and share
    the breaker and the rate limit."""

    async def charge(event: ReservedEvent) -> ChargeResult:
        data = event.data
        return await gateway.charge(str(event.subject), data.total_cents, data.currency, data.payment_token)

    async def void(event: CancellingEvent) -> VoidResult:
        return await gateway.void(str(event.subject))

    return {
        InventoryReserved: Effect(prepare_charge, charge, complete_charge, breaker, rate_limit),
        OrderCancelling: Effect(prepare_void, void, complete_void, breaker, rate_limit),
    }
