"""The payment of one order in memory. The test controls every step of every delivery."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

from services.payment.domain import Blocked, Charged, ChargeResult, Declined, Payment, Refunded, Voided, VoidResult
from services.payment.gateway import ConfirmationPending, GatewayError
from services.payment.handlers import handlers
from services.payment.store import PaymentRepository
from services.shared.contracts import AnyEvent, EventData
from services.shared.contracts.orders import OrderCancelling, Participant
from tests.events import inventory_reserved, order_cancelling
from warren_messaging.errors import TransientError
from warren_messaging.handlers import Effect
from warren_messaging.testing import event_of

RESERVED = inventory_reserved(uuid4(), express=True).data
CANCELLING = order_cancelling(Participant.INVENTORY, Participant.PAYMENT)


class FakeGateway:
    """Fulfils the contract of PaymentGateway for one key. `plan` has the results of the first calls of `charge`."""

    def __init__(self, plan: Sequence[str]) -> None:
        self._plan = list(plan)
        self._answer: ChargeResult | None = None
        self.entries: list[int] = []

    async def charge(self, key: str, amount_cents: int, currency: str, token: str) -> ChargeResult:
        fate = self._plan.pop(0) if self._plan else "ok"
        if fate == "failure":
            raise GatewayError("503")
        if self._answer is None and fate == "unconfirmed":
            raise ConfirmationPending("not yet")
        if self._answer is None:
            self._answer = Declined("card_declined") if fate == "declined" else Charged("ch_1")
            if isinstance(self._answer, Charged):
                self.entries.append(amount_cents)
        if fate == "lost":
            raise GatewayError("no answer")
        return self._answer

    async def void(self, key: str) -> VoidResult:
        if isinstance(self._answer, Charged):
            self.entries.append(-self.entries[0])
            self._answer = Blocked()
        elif self._answer is None:
            self._answer = Blocked()
        return Refunded("ch_1", self.entries[0], "EUR") if self.entries else Voided()


class InMemoryPayments(PaymentRepository):
    """A transaction on the only payment."""

    def __init__(self, harness: "PaymentHarness") -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._harness = harness
        self._current[harness.order_id] = harness.payment

    async def save(self) -> None:
        self._harness.payment = self._current[self._harness.order_id]


class PaymentHarness:
    """`deliver` yields after each step of a delivery; dropping the iterator is a crash."""

    def __init__(self, plan: Sequence[str] = ()) -> None:
        self.order_id = uuid4()
        self.payment = Payment(self.order_id)
        self.gateway = FakeGateway(plan)
        self.published: list[EventData] = []
        self.published_before_cancelling: list[EventData] | None = None
        self.done: set[UUID] = set()
        self._handlers: dict[Any, Any] = dict(handlers(self.gateway))

    def event(self, data: EventData) -> AnyEvent:
        return event_of(data, subject=self.order_id)

    async def deliver(self, event: AnyEvent) -> AsyncIterator[str]:
        """Processes one delivery. It ends early when the call raises TransientError."""
        effect: Effect[Any, Any, Any] = self._handlers[type(event.data)]
        if event.logicalid in self.done:
            return
        uow = InMemoryPayments(self)
        intent = await effect.prepare(event, uow)
        await uow.save()
        if isinstance(event.data, OrderCancelling) and self.published_before_cancelling is None:
            self.published_before_cancelling = list(self.published)
        if intent is None:
            self.done.add(event.logicalid)
            return
        yield "prepared"
        try:
            answer = await effect.perform(intent)
        except TransientError:
            return
        yield "performed"
        if event.logicalid not in self.done:
            uow = InMemoryPayments(self)
            for data in await effect.complete(event, intent, answer, uow):
                uow.announce(data, cause=event)
            await uow.save()
            self.published += [each.data for each in uow.announcements]
            self.done.add(event.logicalid)

    async def finish(self, *events: AnyEvent) -> None:
        """Redelivers unfinished events, as the broker does."""
        for _ in range(10):
            for event in events:
                if event.logicalid not in self.done:
                    async for _ in self.deliver(event):
                        pass
        assert all(event.logicalid in self.done for event in events)
