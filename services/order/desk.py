"""What a customer may ask of the order service, whoever brings the question in."""

from uuid import UUID

from services.order import domain
from services.order.answers import OrderAnswer, OrderPage
from services.order.domain import Order, State
from services.order.intake import Intake
from services.order.placements import Refusal
from services.order.prices import PriceList
from services.order.queries import BadCursor, Queries
from services.order.requests import PlaceOrder, placement_of
from services.order.store import OrderBook
from services.shared.chassis.http.auth import Identity
from services.shared.chassis.http.problems import Problem
from services.shared.contracts.orders import CancelReason
from warren_messaging import codec
from warren_messaging.outbox.outbox import Outbox


class Desk:
    """Every refusal is raised as a Problem. An order of somebody else is answered like one that does not exist."""

    def __init__(self, *, intake: Intake, outbox: Outbox, queries: Queries, prices: PriceList) -> None:
        self._intake = intake
        self._outbox = outbox
        self._queries = queries
        self._prices = prices

    async def place(
        self, identity: Identity, request: PlaceOrder, key: str | None, traceparent: str | None = None
    ) -> OrderAnswer:
        customer = request.user or identity.subject
        if customer is None:
            raise Problem(422, "No customer", "user: without a token, the request has to name the customer.")
        if not identity.may_act_for(customer):
            raise Problem(403, "Forbidden", f"The token is not for user {customer!r}.")
        placement = placement_of(
            request,
            identity=codec.new_id(),
            customer=customer,
            key=key,
            prices=self._prices,
            traceparent=traceparent,
        )
        match await self._intake.place(placement):
            case Refusal.KEY_REUSED:
                raise Problem(422, "Idempotency-Key reused", "This Idempotency-Key came with another body before.")
            case Refusal.REFERENCE_TAKEN:
                raise Problem(409, "Order number taken", f"There is another order with orderId {request.order_id!r}.")
            case OrderAnswer() as answer:
                return answer

    async def find(self, identity: Identity, order_id: UUID) -> OrderAnswer:
        answer = await self._queries.order(order_id)
        if answer is None or not identity.may_act_for(answer.customer):
            raise _unknown(order_id)
        return answer

    async def page(
        self,
        identity: Identity,
        *,
        limit: int,
        customer: str | None,
        reference: str | None,
        state: State | None,
        cursor: str | None,
    ) -> OrderPage:
        if customer is not None and not identity.may_act_for(customer):
            raise Problem(403, "Forbidden", f"The token is not for customer {customer!r}.")
        try:
            return await self._queries.page(
                limit=limit, customer=identity.subject or customer, reference=reference, state=state, cursor=cursor
            )
        except BadCursor:
            raise Problem(400, "Bad request", "cursor: take it from `next` of the page before.") from None

    async def cancel(self, identity: Identity, order_id: UUID, traceparent: str | None = None) -> OrderAnswer:
        async with self._outbox.transaction(OrderBook) as book:
            order = await self._locked(book, identity, order_id)
            if not order.cancellable and order.state is not State.CANCELLING:
                why = "its parcel has left" if order.reason is None else "it is cancelled already"
                raise Problem(409, "Too late to cancel", f"The order is {order.state}: {why}.", state=order.state)
            book.announce_about(order, book.keep(domain.cancel(order, CancelReason.CUSTOMER)), traceparent=traceparent)
        return await self.find(identity, order_id)

    async def confirm_delivery(self, identity: Identity, order_id: UUID, traceparent: str | None = None) -> OrderAnswer:
        async with self._outbox.transaction(OrderBook) as book:
            order = await self._locked(book, identity, order_id)
            if not order.receivable:
                raise Problem(409, "Nothing to confirm", f"The order is {order.state}, not SHIPPED.", state=order.state)
            book.announce_about(order, book.keep(domain.confirm_receipt(order)), traceparent=traceparent)
        return await self.find(identity, order_id)

    async def _locked(self, book: OrderBook, identity: Identity, order_id: UUID) -> Order:
        await book.lock([order_id])
        order = book.find(order_id)
        if order is None or not identity.may_act_for(order.customer):
            raise _unknown(order_id)
        return order


def _unknown(order_id: UUID) -> Problem:
    return Problem(404, "Not found", f"There is no order {order_id}.")
