"""`warren order …`: place, show, watch, list, cancel and confirm orders."""

import sys
import time
from contextlib import nullcontext
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from warren.client import FINAL, Client, ClientError, Order

app = App(name="order", help="Place orders and follow them.")

Url = Annotated[str | None, Parameter(help="The order service; default $WARREN_URL, then the running `warren up`.")]
Name = Annotated[str, Parameter(help="The order's id, or the customer's own number for it.")]
User = Annotated[str | None, Parameter(help="The customer, where several have an order of that number.")]

POLL_SECONDS = 0.1
COLOURS = {"COMPLETED": "green", "CANCELLED": "red", "CANCELLING": "yellow"}

_out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


@app.command
def place(
    *items: str,
    user: str = "guest",
    order_id: str | None = None,
    payment_token: str = "tok_ok",  # noqa: S107 - a name for a means of payment
    express: bool = False,
    email: str | None = None,
    phone: str | None = None,
    idempotency_key: str | None = None,
    watch: bool = False,
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
    watch
        Follow the order until it is completed or cancelled.
    """
    if not items:
        raise ClientError("name at least one article, such as: warren order place item1")
    contact = {name: value for name, value in (("email", email), ("phone", phone)) if value}
    body = {
        "orderId": order_id,
        "user": user,
        "items": [_item(item) for item in items],
        "paymentToken": payment_token,
        "express": express,
        "contact": contact or None,
    }
    with Client(url) as client:
        order = client.place({name: value for name, value in body.items() if value is not None}, idempotency_key)
        _out.print(f"accepted {order.id}" + (f" as {order.order_id}" if order.order_id else "") + f", {order.total}")
        if watch:
            follow(client, order)


@app.command
def show(order: Name, *, user: User = None, url: Url = None) -> None:
    """Show one order.

    Try: warren order show 123
    """
    with Client(url) as client:
        found = client.find(order, user)
    table = Table(show_header=False, box=None)
    for name, value in (
        ("order", found.name),
        ("id", str(found.id)),
        ("customer", found.customer),
        ("state", found.shown_state),
        ("items", ", ".join(f"{line['quantity']} x {line['sku']}" for line in found.lines)),
        ("total", found.total),
        ("tracking", found.tracking or ""),
        ("placed", found.created_at),
        ("version", str(found.version)),
    ):
        table.add_row(name, value)
    _out.print(table)


@app.command
def watch(order: Name, *, user: User = None, url: Url = None) -> None:
    """Follow one order live, until it is completed or cancelled.

    Try: warren order watch 123
    """
    with Client(url) as client:
        follow(client, client.find(order, user))


@app.command(name="list")
def list_(
    *,
    state: Annotated[str | None, Parameter(help="Only orders in this state, such as PAID.")] = None,
    user: Annotated[str | None, Parameter(help="Only this customer's orders.")] = None,
    limit: Annotated[int, Parameter(help="At most so many, 100 at the most.")] = 20,
    url: Url = None,
) -> None:
    """List orders, newest first.

    Try: warren order list --state CANCELLED --limit 5
    """
    with Client(url) as client:
        found = client.list(state=state, customer=user, limit=limit)
    table = Table(box=None)
    for column in ("order", "customer", "state", "total", "placed"):
        table.add_column(column, overflow="fold")
    table.add_column("id", no_wrap=True, min_width=36)
    for order in found:
        table.add_row(
            order.order_id or "", order.customer, _coloured(order), order.total, order.created_at[:19], str(order.id)
        )
    _out.print(table if found else "no orders")


@app.command
def cancel(
    order: Name,
    *,
    user: User = None,
    url: Url = None,
    watch: Annotated[bool, Parameter(help="Follow the order until it is over.")] = False,
) -> None:
    """Ask for an order to be cancelled; possible until the parcel has left.

    Try: warren order cancel 123 --watch
    """
    with Client(url) as client:
        found = client.cancel(client.find(order, user).id)
        _out.print(f"{found.name}: {_coloured(found)}")
        if watch:
            follow(client, found)


@app.command
def confirm(order: Name, *, user: User = None, url: Url = None) -> None:
    """Confirm as the customer that the parcel has arrived.

    Try: warren order confirm 123
    """
    with Client(url) as client:
        found = client.confirm_delivery(client.find(order, user).id)
        _out.print(f"{found.name}: {_coloured(found)}")


def follow(client: Client, order: Order) -> Order:
    """Print each state as it is reached, with the time since the first; returns the order in its final state."""
    started = time.monotonic()
    shown = ""
    with _out.status(f"{order.name} …") if _out.is_terminal else nullcontext():
        while True:
            if order.shown_state != shown:
                shown = order.shown_state
                _out.print(f"  {time.monotonic() - started:6.2f} s  {_coloured(order)}")
            if order.state in FINAL:
                return order
            time.sleep(POLL_SECONDS)
            order = client.find(str(order.id))


def _coloured(order: Order) -> str:
    colour = COLOURS.get(order.state)
    return f"[{colour}]{order.shown_state}[/{colour}]" if colour else order.shown_state


def _item(text: str) -> str | dict[str, object]:
    sku, colon, quantity = text.partition(":")
    if not colon:
        return sku
    if not quantity.isdigit():
        raise ClientError(f"{text!r} is not sku:quantity, such as mug:3")
    return {"sku": sku, "quantity": int(quantity)}
