"""The request to place an order with its limits, and the placement that it becomes."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec

from services.order.errors import InvalidAddress, TooManyPieces, UnknownArticle
from services.order.prices import PriceList
from services.order.responses import PricedLine
from services.shared.chassis.text import TEXT_RULE
from services.shared.contracts.addresses import MAIL_ADDRESS, PHONE_NUMBER, mail_address, phone_number
from services.shared.contracts.orders import Contact
from services.shared.contracts.values import SINGLE_LINE, Sku

MAX_PIECES = 1000  # of one article in one order

Name = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=100, pattern=SINGLE_LINE, description=f"1 to 100 characters, {TEXT_RULE}"),
]
Email = Annotated[str, msgspec.Meta(max_length=254, description=f"a mail address, {MAIL_ADDRESS}")]
Phone = Annotated[str, msgspec.Meta(max_length=32, description=f"a telephone number, {PHONE_NUMBER}")]
PaymentToken = Annotated[
    str,
    msgspec.Meta(
        max_length=64,
        pattern=r"^tok_[A-Za-z0-9_-]+$(?!\n)",
        description="`tok_` and letters, digits, hyphens or underscores",
    ),
]


class OrderItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sku: Sku
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_PIECES)] = 1


class ContactDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses for notifications; a channel without an address sends nothing."""

    email: Email | None = None
    phone: Phone | None = None


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request to place an order."""

    user: Name | None = None
    """The customer. Optional with a token; if given, it must be the token's subject."""
    items: Annotated[list[Sku | OrderItem], msgspec.Meta(min_length=1, max_length=100)]
    """A plain article number means one piece. Repeated articles are added up."""
    reference: Name | None = msgspec.field(default=None, name="orderId")
    """The customer's own number; a customer has at most one order with it."""
    payment_token: PaymentToken = "tok_ok"  # noqa: S105 - a name for a means of payment, not a secret
    express: bool = False
    contact: ContactDetails = ContactDetails()


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request with prices, ready to be stored."""

    order_id: UUID
    customer: str
    reference: str | None
    key: str | None
    """Idempotency-Key."""
    fingerprint: bytes
    """Equal for requests with the same content, whatever their JSON looks like."""
    lines: list[PricedLine]
    total_cents: int
    currency: str
    payment_token: str
    express: bool
    contact: Contact
    traceparent: str | None = None
    """W3C trace context of the request. Not part of its content: a repeated request may have another one."""


def to_placement(
    request: PlaceOrder,
    *,
    order_id: UUID,
    customer: str,
    key: str | None,
    prices: PriceList,
    traceparent: str | None = None,
) -> Placement:
    """Raises UnknownArticle, TooManyPieces or InvalidAddress."""
    quantities: dict[str, int] = {}
    for each in request.items:
        sku, quantity = (each, 1) if isinstance(each, str) else (each.sku, each.quantity)
        quantities[sku] = quantities.get(sku, 0) + quantity
    if unknown := [sku for sku in quantities if sku not in prices.articles]:
        skus = ", ".join(map(repr, unknown))
        raise UnknownArticle(f"There is no article {skus}. GET /articles lists all articles.", unknown=unknown)
    if excess := [sku for sku, quantity in quantities.items() if quantity > MAX_PIECES]:
        raise TooManyPieces(f"More than {MAX_PIECES} pieces of {', '.join(map(repr, excess))}.", excess=excess)
    lines = [PricedLine(sku, quantities[sku], prices.articles[sku]) for sku in sorted(quantities)]
    return Placement(
        order_id=order_id,
        customer=customer,
        reference=request.reference,
        key=key,
        fingerprint=_fingerprint(request, customer, quantities),
        lines=lines,
        total_cents=sum(line.quantity * line.unit_cents for line in lines),
        currency=prices.currency,
        payment_token=request.payment_token,
        express=request.express,
        contact=Contact(
            email=_address(request.contact.email, "contact.email", mail_address, MAIL_ADDRESS),
            phone=_address(request.contact.phone, "contact.phone", phone_number, PHONE_NUMBER),
        ),
        traceparent=traceparent,
    )


def _address(text: str | None, field: str, normalize: Callable[[str], str], accepted: str) -> str | None:
    try:
        return None if text is None else normalize(text)
    except ValueError as error:
        raise InvalidAddress(f"{field}: {error}. Accepted is one {accepted}.") from error


def _fingerprint(request: PlaceOrder, customer: str, quantities: dict[str, int]) -> bytes:
    content: list[Any] = [
        customer,
        request.reference,
        sorted(quantities.items()),
        request.payment_token,
        request.express,
        [request.contact.email, request.contact.phone],
    ]
    return hashlib.sha256(msgspec.json.encode(content)).digest()
