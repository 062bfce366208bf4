"""`warren retries …`: messages that failed and wait for their next attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from warren.cli.access import BrokerAccess, DatabaseAccess
from warren.cli.arguments import (
    EventType,
    FailedBefore,
    FailedSince,
    FailureReason,
    Json,
    ListLimit,
    OrderSubject,
    parse_time,
)

if TYPE_CHECKING:
    from warren.cli.retry_delays import RetryDelay, WaitingMessage

app = App(
    name="retries",
    help="""List messages that failed and wait for their next attempt.

    A message whose attempt failed waits in its queue, longer after each attempt. After the last attempt it is parked:
    see `warren dlq`. `warren failures` also lists messages that have succeeded since.

    Try:

        warren retries list
        warren retries list --queue payment --reason gateway
    """,
)


@app.command(name="list")
def list_(
    *,
    queue: Annotated[
        list[str] | None, Parameter(help="payment or payment.queue. May be repeated; default: all.", negative="")
    ] = None,
    reason: FailureReason = None,
    since: FailedSince = None,
    until: FailedBefore = None,
    order: OrderSubject = None,
    type: EventType = None,  # noqa: A002 - the option's name
    limit: ListLimit = 50,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> None:
    """List messages in delayed retry, the next one first: event type, order, attempts, reason and next attempt.

    The time of the next attempt is computed from the number of attempts and the queue's arguments; `now` means that the
    queue delivers the message as soon as a consumer takes messages.

    Try:

        warren retries list
        warren retries list --queue payment --type 'inventory.*' --since 10m
        warren retries list --limit 0 --json | jq -r .reason | sort | uniq -c

    Exit codes: 0 success, also without a message; 1 the database cannot be used; 2 wrong usage.
    """
    import asyncio

    from warren.cli.failure_store import FailureQuery, failure_store
    from warren.cli.retry_delays import QUEUE_SUFFIX, waiting_messages
    from warren.cli.screen import print_json

    query = FailureQuery(
        state="retrying",
        since=parse_time(since),
        until=parse_time(until),
        reason=reason,
        order=order,
        type=type,
    )
    services = [name.removesuffix(QUEUE_SUFFIX) for name in queue or ()]
    address = (database or DatabaseAccess()).address()

    async def find() -> list[WaitingMessage]:
        async with failure_store(address) as store:
            failures = await store.find(services, query)
        return waiting_messages(failures, _delays(broker or BrokerAccess(), database or DatabaseAccess()))

    found = asyncio.run(find())
    visible = found[:limit] if limit else found
    if as_json:
        for each in visible:
            print_json(_document(each))
    else:
        _print_table(visible, len(found))


def _delays(broker: BrokerAccess, database: DatabaseAccess) -> dict[str, RetryDelay]:
    """Return the delays of the broker's queues, or none, with the reason on standard error."""
    from warren.cli.discovery import QueuesNotListed, list_queues
    from warren.cli.retry_delays import delays_of
    from warren.cli.screen import err, safe_markup

    if database.database_url and not broker.broker_url:
        err.print("without --broker-url: the next attempt is not known", style="yellow")
        return {}
    try:
        return delays_of(list_queues(broker.management(), broker.address()))
    except QueuesNotListed as error:
        err.print(f"{safe_markup(error)}: the next attempt is not known", style="yellow")
        return {}


def _document(each: WaitingMessage) -> dict[str, Any]:
    """The failure, as `warren failures --json` prints it, with queue and next attempt."""
    import msgspec

    next_at = None if each.next_attempt is None else each.next_attempt.isoformat()
    return {"queue": each.queue, **msgspec.to_builtins(each.failure), "next_attempt_at": next_at}


def _print_table(messages: list[WaitingMessage], total: int) -> None:
    from warren.cli.screen import TableRow, age, out, table, until

    if not messages:
        out.print("no matching message", style="dim")
        return
    rows = []
    for each in messages:
        failure = each.failure
        cells = (
            each.queue,
            failure.event_type or "?",
            failure.subject or "?",
            failure.attempts,
            age(failure.first_at),
            until(each.next_attempt),
        )
        rows.append(TableRow(cells, below=(failure.reason,)))
    out.print(
        table(("queue", "type", "order", "attempts", "waiting", "next attempt"), rows, flexible=(1,)), soft_wrap=True
    )
    if total > len(messages):
        out.print(f"… and {total - len(messages):,} more (--limit 0 shows all)", style="dim")
