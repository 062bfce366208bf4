"""What a customer may send, with every limit, and what becomes of it."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec

from services.order.answers import PricedLine
from services.order.prices import PriceList
from services.shared.chassis.http.problems import Problem
from services.shared.chassis.text import TEXT_RULE
from services.shared.contracts.addresses import MAIL_ADDRESS, PHONE_NUMBER, mail_address, phone_number
from services.shared.contracts.orders import Contact
from services.shared.contracts.values import SINGLE_LINE, Sku

MOST_PIECES = 1000  # of one article in one order

Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=100,
        pattern=SINGLE_LINE,
        description=f"1 to 100 characters, {TEXT_RULE}",
    ),
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


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sku: Sku
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MOST_PIECES)] = 1


class ContactDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the customer wants to hear from the shop; an absent channel stays silent."""

    email: Email | None = None
    phone: Phone | None = None


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An order as a customer sends it."""

    user: Name | None = None
    """The customer. With a token it may be left out; if given, it must be the token's subject."""
    items: Annotated[list[Sku | Item], msgspec.Meta(min_length=1, max_length=100)]
    """A bare article number means one piece. The same article given twice counts together."""
    order_id: Name | None = None
    """The customer's own number for it; at most one order of a customer has it."""
    payment_token: PaymentToken = "tok_ok"  # noqa: S105 - a name for a means of payment, not a secret of ours
    express: bool = False
    contact: ContactDetails = ContactDetails()


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is in order by itself, priced, and ready to be stored."""

    id: UUID
    customer: str
    reference: str | None
    key: str | None
    """Idempotency-Key."""
    fingerprint: bytes
    """Equal for equal requests, however they were written down."""
    lines: list[PricedLine]
    total_cents: int
    currency: str
    payment_token: str
    express: bool
    contact: Contact
    traceparent: str | None = None
    """W3C trace context of the request. It is none of its content: a repetition may have another one."""


def placement_of(
    request: PlaceOrder,
    *,
    identity: UUID,
    customer: str,
    key: str | None,
    prices: PriceList,
    traceparent: str | None = None,
) -> Placement:
    """Raises Problem 422 that names an unknown article, one with too many pieces, or an address that is none."""
    quantities: dict[str, int] = {}
    for each in request.items:
        sku, quantity = (each, 1) if isinstance(each, str) else (each.sku, each.quantity)
        quantities[sku] = quantities.get(sku, 0) + quantity
    if unknown := [sku for sku in quantities if sku not in prices.articles]:
        raise Problem(
            422,
            "Unknown article",
            f"There is no article {', '.join(map(repr, unknown))}. GET /articles lists what there is.",
            unknown=unknown,
        )
    if excess := [sku for sku, quantity in quantities.items() if quantity > MOST_PIECES]:
        raise Problem(
            422, "Too many pieces", f"More than {MOST_PIECES} pieces of {', '.join(map(repr, excess))}.", excess=excess
        )
    lines = [PricedLine(sku, quantities[sku], prices.articles[sku]) for sku in sorted(quantities)]
    return Placement(
        id=identity,
        customer=customer,
        reference=request.order_id,
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


def _address(text: str | None, field: str, rule: Callable[[str], str], accepted: str) -> str | None:
    """The form of it that messages are sent to."""
    try:
        return None if text is None else rule(text)
    except ValueError as error:
        raise Problem(422, "Address not accepted", f"{field}: {error}. Accepted is one {accepted}.") from error


def _fingerprint(request: PlaceOrder, customer: str, quantities: dict[str, int]) -> bytes:
    contact = [request.contact.email, request.contact.phone]
    said: list[Any] = [
        customer,
        request.order_id,
        sorted(quantities.items()),
        request.payment_token,
        request.express,
        contact,
    ]
    return hashlib.sha256(msgspec.json.encode(said)).digest()
