"""`warren order …`: place, show, watch, list, cancel and confirm orders."""

from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from warren.cli.options import Json

State = Literal["PENDING", "CONFIRMED", "PAID", "SHIPPED", "COMPLETED", "CANCELLING", "CANCELLED"]
"""The order service's states; a test compares them."""

Url = Annotated[str | None, Parameter(help="The order service; default $WARREN_URL, then the running `warren up`.")]
Name = Annotated[
    str,
    Parameter(help="The order's id, the customer's own number for it, or the end of the id as `order list` shows it."),
]
User = Annotated[str | None, Parameter(help="The customer, where several have an order of that number.")]
Watch = Annotated[bool, Parameter(negative="", help="Follow the order until it is completed or cancelled.")]

app = App(
    name="order",
    help="""Place orders and follow them.

    Try:

        warren order place mug:2 teapot --user gayal --order-id 123 --watch
        warren order list --state CANCELLED
        warren order show 123
        warren order cancel 123
    """,
)


@app.command
def place(
    *items: str,
    user: str = "guest",
    order_id: str | None = None,
    payment_token: str = "tok_ok",  # noqa: S107 - a name for a means of payment
    express: Annotated[bool, Parameter(negative="")] = False,
    email: str | None = None,
    phone: str | None = None,
    idempotency_key: str | None = None,
    watch: Watch = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Place an order.

    Try:

        warren order place item1 item2 --user gayal --order-id 123

        warren order place mug:3 teapot --express --watch

        warren order place mug --payment-token tok_declined --watch

    Parameters
    ----------
    items
        Articles, each as `sku` or `sku:quantity`.
    user
        The customer.
    order_id
        The customer's own number for it; at most one of a customer's orders has it.
    payment_token
        Means of payment. The simulated gateway knows tok_ok, tok_declined, tok_flaky and more
        (services/payment/README.md).
    express
        Goes ahead of other orders.
    email
        Where mails about it go.
    phone
        Where text messages about it go.
    idempotency_key
        Names this request: sent again, it has no further effect and the same answer.
    """
    from warren.cli import orders

    contact = {name: value for name, value in (("email", email), ("phone", phone)) if value}
    body = {
        "orderId": order_id,
        "user": user,
        "items": [orders.line_item(item) for item in items],
        "paymentToken": payment_token,
        "express": express,
        "contact": contact or None,
    }
    orders.place(body, idempotency_key, watch=watch, as_json=as_json, url=url)


@app.command
def show(order: Name, *, user: User = None, as_json: Json = False, url: Url = None) -> None:
    """Show one order, with its history where the audit service can be asked.

    That is the one of the running `warren up`, or the one at $WARREN_AUDIT_URL.

    Try: warren order show 123
    """
    from warren.cli import orders

    orders.show(order, user, as_json=as_json, url=url)


@app.command
def watch(order: Name, *, user: User = None, as_json: Json = False, url: Url = None) -> None:
    """Follow one order live, until it is completed or cancelled.

    Try: warren order watch 123
    """
    from warren.cli import orders

    orders.watch(order, user, as_json=as_json, url=url)


@app.command(name="list")
def list_(
    *,
    state: Annotated[State | None, Parameter(help="Only orders in this state.")] = None,
    user: Annotated[str | None, Parameter(help="Only this customer's orders.")] = None,
    limit: Annotated[int, Parameter(help="At most so many.", validator=validators.Number(gte=1, lte=100))] = 20,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List orders, newest first: the customer's number or the end of the id, and the age. --json has everything.

    Try:

        warren order list --state CANCELLED --limit 5

        warren order list --json | jq -r .id
    """
    from warren.cli import orders

    orders.print_list(state, user, limit, as_json=as_json, url=url)


@app.command
def cancel(order: Name, *, user: User = None, watch: Watch = False, as_json: Json = False, url: Url = None) -> None:
    """Ask for an order to be cancelled; possible until the parcel has left.

    Try: warren order cancel 123 --watch
    """
    from warren.cli import orders

    orders.cancel(order, user, watch=watch, as_json=as_json, url=url)


@app.command
def confirm(order: Name, *, user: User = None, as_json: Json = False, url: Url = None) -> None:
    """Confirm as the customer that the parcel has arrived.

    Try: warren order confirm 123
    """
    from warren.cli import orders

    orders.confirm(order, user, as_json=as_json, url=url)
