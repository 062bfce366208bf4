"""`warren trace`: the timeline of one order."""

from typing import Annotated

from cyclopts import Parameter

from warren.cli.arguments import Json
from warren.cli.order import Customer, OrderSelector, OrderUrl


def trace(
    order: OrderSelector,
    *,
    everything: Annotated[
        bool, Parameter(name="--all", negative="", help="Also show spans of the database and of the audit log.")
    ] = False,
    customer: Customer = None,
    as_json: Json = False,
    url: OrderUrl = None,
    traces_url: Annotated[
        str | None,
        Parameter(help="Jaeger's query API; default: $WARREN_TRACES_URL, then the running `warren up`."),
    ] = None,
) -> None:
    """Show what happened to one order, and when: requests, events, deliveries, retries and calls.

    `waited` is the time that a message spent in its queue, or an event in the outbox; a further attempt waited since
    the end of the last attempt. `took` is the time of the work; that of an event ends when the broker confirms it.

    Spans are read from the trace store, events from the audit service ($WARREN_AUDIT_URL, else that of the running
    `warren up`). Either is enough: without spans the timeline has only events and their times.

    Try:

        warren trace 123
        warren trace 123 --json | jq '.steps'
        kubectl port-forward svc/warren-jaeger 16686 &
        warren trace 123 --traces-url http://localhost:16686
    """
    from warren.cli import trace_actions

    trace_actions.show(order, customer, everything=everything, as_json=as_json, url=url, traces_url=traces_url)
