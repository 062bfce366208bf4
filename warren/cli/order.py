"""`warren order …`: place, show, watch, list, cancel and confirm orders."""

from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from warren.cli.arguments import Json

OrderState = Literal["PENDING", "CONFIRMED", "PAID", "SHIPPED", "COMPLETED", "CANCELLING", "CANCELLED"]
"""Same as `services.order.domain.OrderState`, which a test checks."""

OrderUrl = Annotated[
    str | None, Parameter(name="--url", help="The order API; default: $WARREN_URL, then the running `warren up`.")
]
OrderSelector = Annotated[
    str,
    Parameter(help="The order's id, the customer's reference, or the end of the id as `order list` shows it."),
]
CUSTOMER = Parameter(name=("--customer", "--user"))
Customer = Annotated[str | None, CUSTOMER, Parameter(help="The customer, if several customers use the same reference.")]
Watch = Annotated[bool, Parameter(negative="", help="Follow the order until it is completed or cancelled.")]

app = App(
    name="order",
    help="""Place and follow orders.

    Try:

        warren order place mug:2 teapot --customer gayal --reference 123 --watch
        warren order list --state CANCELLED
        warren order show 123
        warren order cancel 123
    """,
)


@app.command
def place(
    *items: str,
    customer: Annotated[str, CUSTOMER] = "guest",
    reference: Annotated[str | None, Parameter(name=("--reference", "--order-id"))] = None,
    payment_token: str = "tok_ok",  # noqa: S107 - a name for a means of payment
    express: Annotated[bool, Parameter(negative="")] = False,
    email: str | None = None,
    phone: str | None = None,
    idempotency_key: str | None = None,
    watch: Watch = False,
    as_json: Json = False,
    url: OrderUrl = None,
) -> None:
    """Place an order.

    Try:

        warren order place item1 item2 --customer gayal --reference 123

        warren order place mug:3 teapot --express --watch

        warren order place mug --payment-token tok_declined --watch

    Parameters
    ----------
    items
        Items, each as `sku` or `sku:quantity`.
    customer
        The customer.
    reference
        The customer's reference of the order, unique for this customer.
    payment_token
        Means of payment. The simulated gateway knows tok_ok, tok_declined, tok_flaky and more
        (services/payment/README.md).
    express
        Process this order before others.
    email
        The mail address for notifications.
    phone
        The phone number for notifications.
    idempotency_key
        Identifies this request: a repetition has no further effect and returns the same response.
    """
    from warren.cli import order_actions

    contact = {name: value for name, value in (("email", email), ("phone", phone)) if value}
    body = {
        "orderId": reference,
        "user": customer,
        "items": [order_actions.line_item(item) for item in items],
        "paymentToken": payment_token,
        "express": express,
        "contact": contact or None,
    }
    order_actions.place(body, idempotency_key, watch=watch, as_json=as_json, url=url)


@app.command
def show(order: OrderSelector, *, customer: Customer = None, as_json: Json = False, url: OrderUrl = None) -> None:
    """Show one order, with its history from the audit service.

    The audit service is that of the running `warren up`, or the one at $WARREN_AUDIT_URL.

    Try: warren order show 123
    """
    from warren.cli import order_actions

    order_actions.show(order, customer, as_json=as_json, url=url)


@app.command
def watch(order: OrderSelector, *, customer: Customer = None, as_json: Json = False, url: OrderUrl = None) -> None:
    """Follow one order until it is completed or cancelled.

    Try: warren order watch 123
    """
    from warren.cli import order_actions

    order_actions.watch(order, customer, as_json=as_json, url=url)


@app.command(name="list")
def list_(
    *,
    state: Annotated[OrderState | None, Parameter(help="Only orders in this state.")] = None,
    customer: Annotated[str | None, CUSTOMER, Parameter(help="Only this customer's orders.")] = None,
    limit: Annotated[int, Parameter(help="Show at most this many.", validator=validators.Number(gte=1, lte=100))] = 20,
    as_json: Json = False,
    url: OrderUrl = None,
) -> None:
    """List orders, newest first. The first column is the reference, or the end of the id; --json prints all fields.

    Try:

        warren order list --state CANCELLED --limit 5

        warren order list --json | jq -r .id
    """
    from warren.cli import order_actions

    order_actions.print_list(state, customer, limit, as_json=as_json, url=url)


@app.command
def cancel(
    order: OrderSelector,
    *,
    customer: Customer = None,
    watch: Watch = False,
    as_json: Json = False,
    url: OrderUrl = None,
) -> None:
    """Cancel an order; possible until the parcel has left.

    Try: warren order cancel 123 --watch
    """
    from warren.cli import order_actions

    order_actions.cancel(order, customer, watch=watch, as_json=as_json, url=url)


@app.command
def confirm(order: OrderSelector, *, customer: Customer = None, as_json: Json = False, url: OrderUrl = None) -> None:
    """Confirm, as the customer, that the parcel has arrived.

    Try: warren order confirm 123
    """
    from warren.cli import order_actions

    order_actions.confirm(order, customer, as_json=as_json, url=url)
