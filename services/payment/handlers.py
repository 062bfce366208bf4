"""What the payment service does about each event. Both are calls to the gateway, made outside of transactions."""

from collections.abc import Iterable

import msgspec

from services.payment import domain
from services.payment.domain import ChargeAnswer, VoidAnswer
from services.payment.gateway import Gateway
from services.payment.store import Payments
from services.shared.contracts import Event, EventData
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.orders import OrderCancelling
from warren_messaging.handlers import Effect, Handlers


class Charge(msgspec.Struct, frozen=True):
    key: str
    amount_cents: int
    currency: str
    token: str


class Void(msgspec.Struct, frozen=True):
    key: str


async def prepare_charge(event: Event[InventoryReserved], payments: Payments) -> Charge | None:
    """None once the order is cancelled, which is also what ends the tries of a charge that never succeeds."""
    payment = payments.put(domain.reserve(payments.of(event.subject), event.data))
    if not domain.may_charge(payment):
        return None
    return Charge(str(event.subject), event.data.total_cents, event.data.currency, event.data.payment_token)


async def settle_charge(
    event: Event[InventoryReserved], intent: Charge, answer: ChargeAnswer, payments: Payments
) -> Iterable[EventData]:
    payment, outcome = domain.settle_charge(payments.of(event.subject), answer, event.data)
    payments.put(payment)
    return () if outcome is None else (outcome,)


async def prepare_void(event: Event[OrderCancelling], payments: Payments) -> Void | None:
    if not domain.concerns(event.data):
        return None
    payments.put(domain.cancel(payments.of(event.subject)))
    return Void(str(event.subject))


async def settle_void(
    event: Event[OrderCancelling], intent: Void, answer: VoidAnswer, payments: Payments
) -> Iterable[EventData]:
    payment, outcome = domain.settle_void(payments.of(event.subject), answer)
    payments.put(payment)
    return (outcome,)


def handlers(gateway: Gateway) -> Handlers[Payments]:
    """The table, for the gateway that moves the money."""

    async def charge(intent: Charge) -> ChargeAnswer:
        return await gateway.charge(intent.key, intent.amount_cents, intent.currency, intent.token)

    async def void(intent: Void) -> VoidAnswer:
        return await gateway.void(intent.key)

    return {
        InventoryReserved: Effect(prepare_charge, charge, settle_charge),
        OrderCancelling: Effect(prepare_void, void, settle_void),
    }
