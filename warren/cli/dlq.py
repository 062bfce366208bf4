"""`warren dlq …`: list, show, replay and drop parked messages."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from warren.cli.access import BrokerAccess, DatabaseAccess
from warren.cli.arguments import Json, ListLimit, MessageLimit
from warren.cli.filters import MessageFilters

app = App(
    name="dlq",
    help="""List, show, replay and drop parked messages.

    A message that failed permanently, or too often, is in its service's parking lot (inventory.dlq); an event that no
    service binds is in unrouted.queue. Messages stay there until a command moves them. Every command may be
    interrupted and run again.

    Try:

        warren dlq list                                 # parked messages and their reasons
        warren dlq show 0192f3c4                        # one message in full
        warren dlq replay --queue payment --reason gateway --since 2h --dry-run
        warren dlq replay --all                         # each to its own queue
        warren dlq replay --queue unrouted --to fraud.queue
        warren dlq drop --id 0192f3c4
    """,
)

DryRun = Annotated[bool, Parameter(negative="", help="Only show the messages that match.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="All messages; required without a filter.")]

SHOWN = 20  # messages of a lot, without --limit


@app.command(name="list")
def list_(
    *,
    filters: MessageFilters | None = None,
    limit: ListLimit = SHOWN,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> None:
    """List parked messages: age, event type, order, reason and attempts.

    Listing changes nothing: every message keeps its place.

    Try:

        warren dlq list
        warren dlq list --queue inventory --type 'order.*' --since 1d --limit 0
        warren dlq list --limit 0 --json | jq -r .reason | sort | uniq -c
    """
    from warren.cli import dlq_actions

    dlq_actions.print_matching(filters or MessageFilters(), _access(broker, database), limit=limit, as_json=as_json)


@app.command
def show(
    identity: Annotated[str, Parameter(name="ID", help="Event id, message id or body hash, or the beginning of one.")],
    /,
    *,
    queue: Annotated[list[str] | None, Parameter(negative="", help="The queue to search; default: all.")] = None,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> None:
    """Show one message in full: properties, headers, body, and its recorded failure.

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
        Parameter(negative="", help="Only for unrouted events: the queue that receives them. May be repeated."),
    ] = None,
    limit: MessageLimit = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> int:
    """Put messages back into the queue that parked them.

    A message leaves the parking lot only after its queue has confirmed it. After an interruption a message may be
    delivered twice, which its consumer detects; it is never lost. A run replays each message that is parked at its
    start once: a message that fails again is parked again, and its attempts count from one. A message stays parked if
    no queue takes it, or if it claims another sender than it has. Exit code 1 if one stays.

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
    limit: MessageLimit = None,
    record: Annotated[
        Path | None,
        Parameter(
            help="The file to append the messages to. Default: a new file in $XDG_STATE_HOME/warren/dropped"
            " (~/.local/state/warren/dropped)."
        ),
    ] = None,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> int:
    """Remove messages permanently, after writing each in full to a file of JSON lines.

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
