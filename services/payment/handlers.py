"""Event handlers of the payment service. Both call the gateway, outside of transactions."""

from collections.abc import Iterable

from services.payment import domain
from services.payment.domain import ChargeResult, PaymentState, VoidResult
from services.payment.gateway import PaymentGateway
from services.payment.store import PaymentRepository
from services.shared.contracts import Event, EventData
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.orders import OrderCancelling, Participant, concerns
from warren_messaging.handlers import Effect, Handlers

Reserved = Event[InventoryReserved]
Cancelling = Event[OrderCancelling]


async def prepare_charge(event: Reserved, payments: PaymentRepository) -> Reserved | None:
    """Returns None once the order is cancelled, which also ends the retries of a charge that never succeeds."""
    payment = domain.reserve(payments.get(event.subject), event.data)
    payments.put(payment)
    return event if payment.state is PaymentState.CHARGING else None


async def complete_charge(
    event: Reserved, intent: Reserved, result: ChargeResult, payments: PaymentRepository
) -> Iterable[EventData]:
    payment, outcome = domain.complete_charge(payments.get(event.subject), result, event.data)
    payments.put(payment)
    return () if outcome is None else (outcome,)


async def prepare_void(event: Cancelling, payments: PaymentRepository) -> Cancelling | None:
    if not concerns(Participant.PAYMENT, event.data):
        return None
    payments.put(domain.cancel(payments.get(event.subject)))
    return event


async def complete_void(
    event: Cancelling, intent: Cancelling, result: VoidResult, payments: PaymentRepository
) -> Iterable[EventData]:
    payment, outcome = domain.complete_void(payments.get(event.subject), result)
    payments.put(payment)
    return (outcome,)


def handlers(gateway: PaymentGateway) -> Handlers[PaymentRepository]:
    """The order's id is the idempotency key of both calls."""

    async def charge(event: Reserved) -> ChargeResult:
        data = event.data
        return await gateway.charge(str(event.subject), data.total_cents, data.currency, data.payment_token)

    async def void(event: Cancelling) -> VoidResult:
        return await gateway.void(str(event.subject))

    return {
        InventoryReserved: Effect(prepare_charge, charge, complete_charge),
        OrderCancelling: Effect(prepare_void, void, complete_void),
    }
