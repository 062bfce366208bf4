"""The work of the `warren order` commands."""

import time
from contextlib import nullcontext
from datetime import datetime
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from warren.cli.screen import TableRow, age, err, out, print_json, safe_markup, table
from warren.client import FINAL_STATES, ApiClient, HistoryEntry, OrderView
from warren.errors import ClientError

POLL_SECONDS = 0.1
COLOURS = {"COMPLETED": "green", "CANCELLED": "red", "CANCELLING": "yellow"}


def place(body: dict[str, Any], key: str | None, *, watch: bool, as_json: bool, url: str | None) -> None:
    if not body["items"]:
        raise ClientError("name at least one item, such as: warren order place item1")
    with ApiClient(url) as client:
        order = client.place({name: value for name, value in body.items() if value is not None}, key)
        reference = f" as {safe_markup(order.reference)}" if order.reference else ""
        _report(
            client, order, f"accepted {order.id}{reference}, {safe_markup(order.total)}", watch=watch, as_json=as_json
        )


def show(name: str, customer: str | None, *, as_json: bool, url: str | None) -> None:
    with ApiClient(url) as client:
        found = client.find(name, customer)
        history = _history(client, found)
    if as_json:
        return print_json(msgspec.to_builtins(found) | {"history": msgspec.to_builtins(history)})
    table = Table(show_header=False, box=None)
    for title, value in (
        ("order", found.name),
        ("id", found.id),
        ("customer", found.customer),
        ("state", found.shown_state),
        ("items", ", ".join(f"{line['quantity']} x {line['sku']}" for line in found.lines)),
        ("total", found.total),
        ("tracking", found.tracking or ""),
        ("placed", found.created_at),
        ("version", found.version),
    ):
        table.add_row(title, safe_markup(value))
    out.print(table)
    if history:
        out.print(_events(history))
    return None


def watch(name: str, customer: str | None, *, as_json: bool, url: str | None) -> None:
    with ApiClient(url) as client:
        follow(client, client.find(name, customer), as_json=as_json)


def print_list(state: str | None, customer: str | None, limit: int, *, as_json: bool, url: str | None) -> None:
    with ApiClient(url) as client:
        found = client.list(state=state, customer=customer, limit=limit)
    if as_json:
        for order in found:
            print_json(msgspec.to_builtins(order))
        return
    if not found:
        out.print("no orders")
        return
    lines = [
        TableRow(
            (
                order.reference or order.short_id,
                order.customer,
                order.state,
                order.reason or "",
                order.total,
                age(_time(order.created_at)),
            ),
            COLOURS.get(order.state, ""),
        )
        for order in found
    ]
    heading = ("order", "customer", "state", "reason", "total", "age")
    out.print(table(heading, lines, flexible=(0, 1, 3)), soft_wrap=True)


def cancel(name: str, customer: str | None, *, watch: bool, as_json: bool, url: str | None) -> None:
    with ApiClient(url) as client:
        found = client.cancel(client.find(name, customer).id)
        _report(client, found, _state_line(found), watch=watch, as_json=as_json)


def confirm(name: str, customer: str | None, *, as_json: bool, url: str | None) -> None:
    with ApiClient(url) as client:
        found = client.confirm_delivery(client.find(name, customer).id)
        _report(client, found, _state_line(found), as_json=as_json)


def follow(client: ApiClient, order: OrderView, *, as_json: bool = False) -> OrderView:
    """Print each new state with the time since the start, until a final state; returns the order."""
    started = time.monotonic()
    last = ""
    with out.status(f"{safe_markup(order.name)} …") if out.is_terminal and not as_json else nullcontext():
        while True:
            if order.shown_state != last:
                last = order.shown_state
                if as_json:
                    print_json(msgspec.to_builtins(order))
                else:
                    out.print(f"  {time.monotonic() - started:6.2f} s  {_coloured(order, last)}")
            if order.state in FINAL_STATES:
                return order
            time.sleep(POLL_SECONDS)
            order = client.find(str(order.id))


def line_item(text: str) -> str | dict[str, object]:
    """Parse `sku` or `sku:quantity` into an item of the API. Raises ClientError."""
    sku, colon, quantity = text.partition(":")
    if not colon:
        return sku
    if not quantity.isdecimal():
        raise ClientError(f"{text!r} is not sku:quantity, such as mug:3")
    return {"sku": sku, "quantity": int(quantity)}


def _report(client: ApiClient, order: OrderView, line: str, *, watch: bool = False, as_json: bool) -> None:
    if not as_json:
        out.print(line)
    elif not watch:
        print_json(msgspec.to_builtins(order))
    if watch:
        follow(client, order, as_json=as_json)


def _state_line(order: OrderView) -> str:
    return f"{safe_markup(order.name)}: {_coloured(order, order.shown_state)}"


def _history(client: ApiClient, order: OrderView) -> list[HistoryEntry]:
    try:
        return client.history(order.id) or []
    except ClientError as error:
        if error.status != 404:
            err.print(f"history: {safe_markup(error)}", style="dim")
        return []


def _events(history: list[HistoryEntry]) -> Text:
    first = _time(history[0].time)
    lines = []
    for entry in history:
        time_ = _time(entry.time)
        after = f"{(time_ - first).total_seconds():8.2f} s" if time_ and first else "?"
        lines.append(TableRow((after, entry.type, entry.source.rsplit("/", 1)[-1])))
    return table(("after", "event", "from"), lines)


def _coloured(order: OrderView, text: str) -> str:
    colour = COLOURS.get(order.state)
    return f"[{colour}]{safe_markup(text)}[/{colour}]" if colour else safe_markup(text)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
