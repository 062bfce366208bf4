"""The use cases of the order API: place, read, list, cancel, confirm the delivery."""

from uuid import UUID

import msgspec

from services.order import domain
from services.order.domain import Order, OrderState
from services.order.errors import (
    CancellationTooLate,
    CustomerForbidden,
    CustomerMissing,
    DeliveryNotConfirmable,
    OrderNotFound,
)
from services.order.placement_batcher import PlacementBatcher
from services.order.prices import PriceList
from services.order.queries import OrderFilter, OrderQueries
from services.order.requests import PlaceOrder, to_placement
from services.order.responses import OrderPage, OrderResponse
from services.order.store import OrderRepository
from services.shared.chassis.http.auth import Identity
from services.shared.chassis.tracing import order_context
from services.shared.contracts.orders import CancelReason
from warren_messaging import codec
from warren_messaging.outbox.outbox import Outbox


class OrderService:
    """Every method checks that `caller` may act for the customer, and raises OrderError or Unavailable."""

    def __init__(self, *, batcher: PlacementBatcher, outbox: Outbox, queries: OrderQueries, prices: PriceList) -> None:
        self._batcher = batcher
        self._outbox = outbox
        self._queries = queries
        self._prices = prices

    async def place(
        self, caller: Identity, request: PlaceOrder, key: str | None, traceparent: str | None = None
    ) -> OrderResponse:
        customer = request.user or caller.subject
        if customer is None:
            raise CustomerMissing("user: without a token, the request must name the customer.")
        if not caller.may_act_for(customer):
            raise CustomerForbidden(f"The token is not for user {customer!r}.")
        placement = to_placement(
            request, order_id=codec.new_id(), customer=customer, key=key, prices=self._prices, traceparent=traceparent
        )
        return await self._batcher.submit(placement)

    async def find(self, caller: Identity, order_id: UUID) -> OrderResponse:
        response = await self._queries.find(order_id)
        if response is None or not caller.may_act_for(response.customer):
            raise _not_found(order_id)
        return response

    async def page(self, caller: Identity, wanted: OrderFilter) -> OrderPage:
        """Return a page of orders, with a token only of its caller. Raises CustomerForbidden for another customer."""
        if wanted.customer is not None and not caller.may_act_for(wanted.customer):
            raise CustomerForbidden(f"The token is not for customer {wanted.customer!r}.")
        return await self._queries.page(msgspec.structs.replace(wanted, customer=caller.subject or wanted.customer))

    async def cancel(self, caller: Identity, order_id: UUID, traceparent: str | None = None) -> OrderResponse:
        async with self._outbox.transaction(OrderRepository) as orders:
            order = await self._lock(orders, caller, order_id)
            if not order.cancellable and order.state is not OrderState.CANCELLING:
                why = "its parcel has left" if order.reason is None else "it is cancelled already"
                raise CancellationTooLate(f"The order is {order.state}: {why}.", state=order.state)
            context = order_context("cancel order", order_id, order.traceparent, traceparent)
            orders.apply_and_announce(domain.cancel(order, CancelReason.CUSTOMER), traceparent=context)
        return await self.find(caller, order_id)

    async def confirm_delivery(self, caller: Identity, order_id: UUID, traceparent: str | None = None) -> OrderResponse:
        async with self._outbox.transaction(OrderRepository) as orders:
            order = await self._lock(orders, caller, order_id)
            if not order.can_confirm_delivery:
                raise DeliveryNotConfirmable(f"The order is {order.state}, not SHIPPED.", state=order.state)
            context = order_context("confirm delivery", order_id, order.traceparent, traceparent)
            orders.apply_and_announce(domain.confirm_delivery(order), traceparent=context)
        return await self.find(caller, order_id)

    async def _lock(self, orders: OrderRepository, caller: Identity, order_id: UUID) -> Order:
        await orders.lock([order_id])
        order = orders.find(order_id)
        if order is None or not caller.may_act_for(order.customer):
            raise _not_found(order_id)
        return order


def _not_found(order_id: UUID) -> OrderNotFound:
    return OrderNotFound(f"There is no order {order_id}.")
