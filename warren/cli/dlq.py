"""`warren dlq …`: look into parking lots, replay from them, drop from them."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from warren.cli.access import BrokerAccess, DatabaseAccess
from warren.cli.filters import MessageFilters
from warren.cli.options import Json, Limit, Most

app = App(
    name="dlq",
    help="""Parking lots: what could not be processed, why, and what is to become of it.

    A message that failed for good, or too often, lies in its service's parking lot (inventory.dlq); an event that no
    service binds lies in unrouted.queue. Nothing leaves by itself. Every command may be interrupted and run again.

    Try:

        warren dlq list                                 # what is parked, and why
        warren dlq show 0192f3c4                        # one message in full
        warren dlq replay --queue payment --reason gateway --since 2h --dry-run
        warren dlq replay --all                         # each to its own queue
        warren dlq replay --queue unrouted --to fraud.queue
        warren dlq drop --id 0192f3c4
    """,
)

DryRun = Annotated[bool, Parameter(negative="", help="Only show what would be done.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="Really all messages: no filter is meant.")]

SHOWN = 20  # messages of a lot, unless --limit says otherwise


@app.command(name="list")
def list_(
    *,
    filters: MessageFilters | None = None,
    limit: Limit = SHOWN,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> None:
    """List what is parked: how old, which event, about which order, why, after how many attempts.

    Looking changes nothing: every message goes back to its place.

    Try:

        warren dlq list
        warren dlq list --queue inventory --type 'order.*' --since 1d --limit 0
        warren dlq list --limit 0 --json | jq -r .reason | sort | uniq -c
    """
    from warren.cli import dlq_actions

    dlq_actions.listed(filters or MessageFilters(), _access(broker, database), limit=limit, as_json=as_json)


@app.command
def show(
    identity: Annotated[str, Parameter(name="ID", help="Event id, message id or body hash, or how it begins.")],
    /,
    *,
    queue: Annotated[list[str] | None, Parameter(negative="", help="Where to look; everywhere by default.")] = None,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> None:
    """Show one message in full: properties, headers, body, and the record of its failure.

    Try:

        warren dlq show 0192f3c4 --queue inventory
    """
    from warren.cli import dlq_actions

    dlq_actions.show(MessageFilters(queue=queue or [], id=identity), _access(broker, database), as_json=as_json)


@app.command
def replay(
    *,
    filters: MessageFilters | None = None,
    everything: All = False,
    to: Annotated[
        list[str] | None,
        Parameter(negative="", help="Only for unrouted events: the queue to put them into. May be repeated."),
    ] = None,
    limit: Most = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> int:
    """Put messages back into the one queue that gave them up.

    A message leaves the parking lot only after its queue has confirmed it; interrupted and run again, it may be
    delivered twice, which its consumer notices, and is never lost. Taken is at most what is parked at the beginning,
    each message once: one that fails again is parked again, with its attempts counted from one. One that no queue
    takes stays, and so does one that claims to come from another service than it did. Exit code 1 if any stays.

    Try:

        warren dlq replay --queue payment --since 2h --dry-run
        warren dlq replay --reason 'took too long' --limit 100
        warren dlq replay --queue unrouted --type order.created --to fraud.queue
    """
    from warren.cli import dlq_actions

    return dlq_actions.replay(
        filters or MessageFilters(),
        _access(broker, database),
        everything=everything,
        to=to or [],
        limit=limit,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command
def drop(
    *,
    filters: MessageFilters | None = None,
    everything: All = False,
    limit: Most = None,
    record: Annotated[
        Path | None,
        Parameter(
            help="Where to write what is dropped; appended to. Default: a new file in $XDG_STATE_HOME/warren/dropped"
            " (~/.local/state/warren/dropped)."
        ),
    ] = None,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> int:
    """Remove messages for good, after writing each in full to a file of JSON lines.

    Try:

        warren dlq drop --id 0192f3c4
        warren dlq drop --queue email --reason expired --until 7d --record old.jsonl
    """
    from warren.cli import dlq_actions

    return dlq_actions.drop(
        filters or MessageFilters(),
        _access(broker, database),
        everything=everything,
        limit=limit,
        record=record,
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
    )


def _access(broker: BrokerAccess | None, database: DatabaseAccess | None) -> tuple[BrokerAccess, DatabaseAccess]:
    return broker or BrokerAccess(), database or DatabaseAccess()
