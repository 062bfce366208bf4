"""`warren schedule …`: list, cancel and send scheduled messages, in the services' own tables."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from warren.cli.access import DatabaseAccess
from warren.cli.arguments import Json, ListLimit, MessageLimit
from warren.cli.schedule_filters import ScheduleFilters

app = App(
    name="schedule",
    help="""List, cancel and send scheduled messages: events that a service publishes at a later time.

    Try:

        warren schedule list                                     # what is published next
        warren schedule list --service order --within 1h
        warren schedule cancel 0192f3c4-5ae1-7c40-9d3e-2f6a8b1c0d5e
        warren schedule cancel --type order.payment_reminder --dry-run
        warren schedule send-now --order 123
    """,
)

Ids = Annotated[tuple[str, ...], Parameter(name="ID", help="Ids of scheduled messages, as listed.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="All messages; required without an id or a filter.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only show the messages that match.")]


@app.command(name="list")
def list_(
    *,
    filters: ScheduleFilters | None = None,
    limit: ListLimit = 50,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> None:
    """List scheduled messages, next one first: when it is due, its service, event type and order.

    A message that is `overdue` waits for a process of its service: none runs, or its database is busy.

    Try:

        warren schedule list
        warren schedule list --service order --type 'order.*' --within 10m
        warren schedule list --limit 0 --json | jq -r .event_type | sort | uniq -c
    """
    from warren.cli import schedule_actions

    schedule_actions.print_list((), filters or ScheduleFilters(), database, limit=limit or None, as_json=as_json)


@app.command
def cancel(
    ids: Ids = (),
    /,
    *,
    filters: ScheduleFilters | None = None,
    everything: All = False,
    limit: MessageLimit = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> int:
    """Cancel scheduled messages: they are never published. Prints what was cancelled, in full with --json.

    Exit code 1 if a message of that id is not scheduled, for example because it was published already.

    Try:

        warren schedule cancel 0192f3c4-5ae1-7c40-9d3e-2f6a8b1c0d5e
        warren schedule cancel --type order.payment_reminder --dry-run
    """
    from warren.cli import schedule_actions

    return schedule_actions.change(
        "cancelled", ids, filters or ScheduleFilters(), database, everything, limit, dry_run=dry_run, as_json=as_json
    )


@app.command
def send_now(
    ids: Ids = (),
    /,
    *,
    filters: ScheduleFilters | None = None,
    everything: All = False,
    limit: MessageLimit = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> int:
    """Make scheduled messages due now: a process of their service publishes them within a second.

    Exit code 1 if a message of that id is not scheduled, for example because it was published already.

    Try:

        warren schedule send-now 0192f3c4-5ae1-7c40-9d3e-2f6a8b1c0d5e
        warren schedule send-now --service order --within 10m
    """
    from warren.cli import schedule_actions

    return schedule_actions.change(
        "made due", ids, filters or ScheduleFilters(), database, everything, limit, dry_run=dry_run, as_json=as_json
    )
