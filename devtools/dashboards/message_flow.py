"""The rows "Publishing" and "Processing" of the dashboard "Messaging"."""

from devtools.dashboards.board import Row
from devtools.dashboards.links import logs, traces
from devtools.dashboards.panels import RED, YELLOW, Limits, Panel, Query, Style, Text, graph
from devtools.dashboards.promql import largest, quantile, rate

NS = 'namespace="$namespace"'
SERVICE = f'{NS}, service=~"$service"'
CONSUMED = "messaging_process_duration_seconds"
PUBLISHED = "messaging_client_operation_duration_seconds"
OF_SERVICE = (traces(), logs())


def publishing() -> Row:
    """Return the row about what services send to the broker, and what waits in their outboxes."""
    lines = [[_published(), _publish_duration(), _refused()], [_outbox(), _outbox_age(), _scheduled()]]
    return Row("Publishing", lines)


def processing() -> Row:
    """Return the row about what consumers do with their deliveries."""
    lines = [[_processed(), _process_duration(), _in_progress()], [_failed(), _reasons(), _repeated()]]
    return Row("Processing", lines)


def _published() -> Panel:
    return graph(
        Text(
            "Published",
            "Events that the broker confirmed, by service. The rate follows the orders.",
            "A service at 0 while its outbox grows cannot publish: see Outbox and the dashboard Broker.",
        ),
        "mps",
        [Query(rate("messaging_client_sent_messages_total", f'{SERVICE}, error_type=""', ["service"]), "{{service}}")],
        links=OF_SERVICE,
    )


def _publish_duration() -> Panel:
    return graph(
        Text(
            "Time to publish",
            "From the write to the broker's confirm, 99th percentile. Milliseconds; up to 100 ms with a busy disk.",
            "Slow for all services: the broker's disk or its quorum (dashboard Broker).",
        ),
        "s",
        [
            Query(
                quantile(0.99, PUBLISHED, f'{SERVICE}, messaging_operation_name="publish"', ["service"]),
                "{{service}}",
                exemplars=True,
            )
        ],
        links=OF_SERVICE,
    )


def _refused() -> Panel:
    selector = f'{SERVICE}, error_type!=""'
    return graph(
        Text(
            "Publishes that failed",
            "Events that the broker returned (no queue takes them) or refused. 0 is normal. They stay in the outbox.",
            "returned: a binding is missing (dashboard Topology operator). refused: a queue is full or a "
            "permission is missing.",
            alerts=["WarrenOutboxStalled"],
        ),
        "mps",
        [
            Query(
                rate("messaging_client_sent_messages_total", selector, ["service", "error_type"]),
                "{{service}} {{error_type}}",
            )
        ],
        links=OF_SERVICE,
    )


def _outbox() -> Panel:
    return graph(
        Text(
            "Events in the outbox",
            "Committed events that the broker has not confirmed. A few at any time under load, 0 without.",
            "A growing outbox: the broker is unavailable, blocks publishers, or refuses the events. `warren outbox` "
            "has the reason.",
            alerts=["WarrenOutboxStalled"],
        ),
        "short",
        [Query(largest("warren_outbox_events", SERVICE, ["service"]), "{{service}}")],
        links=OF_SERVICE,
    )


def _outbox_age() -> Panel:
    return graph(
        Text(
            "Oldest event in the outbox",
            "Below a second; up to 11 s after the crash of a process, whose events another one takes over.",
            "`warren outbox` lists the events with the broker's reason.",
            alerts=["WarrenOutboxStalled"],
        ),
        "s",
        [Query(largest("warren_outbox_oldest_age_seconds", SERVICE, ["service"]), "{{service}}")],
        limits=Limits(critical=60),
        links=OF_SERVICE,
    )


def _scheduled() -> Panel:
    return graph(
        Text(
            "Scheduled messages",
            "Messages that are published later, such as payment reminders. They end when they are sent or cancelled.",
            "Overdue messages: see Oldest event in the outbox; the same relay sends both.",
            alerts=["WarrenScheduledMessageOverdue"],
        ),
        "short",
        [
            Query(largest("warren_scheduled_messages", SERVICE, ["service"]), "{{service}}"),
            Query(
                largest("warren_scheduled_overdue_seconds", SERVICE, ["service"]) + " > 1",
                "{{service}}, seconds overdue",
            ),
        ],
    )


def _processed() -> Panel:
    return graph(
        Text(
            "Processed",
            "Deliveries that ended, by consumer. The rate follows the orders.",
            "A consumer below the rate of its events: see Ready messages.",
        ),
        "mps",
        [Query(rate(f"{CONSUMED}_count", SERVICE, ["service"]), "{{service}}")],
        links=OF_SERVICE,
    )


def _process_duration() -> Panel:
    return graph(
        Text(
            "Time to process",
            "From the start of a delivery to its commit, 99th percentile; calls of external systems included. Below "
            "0.1 s without such calls.",
            "Open a point's trace: it shows the database's and the external system's share.",
        ),
        "s",
        [Query(quantile(0.99, CONSUMED, SERVICE, ["service"]), "{{service}}", exemplars=True)],
        links=OF_SERVICE,
    )


def _in_progress() -> Panel:
    return graph(
        Text(
            "Messages in progress",
            "Deliveries that a process works on now: at most its prefetch.",
            "At the limit for minutes: see Time to process.",
        ),
        "short",
        [Query(f'sum by (queue) (warren_messages_in_progress{{{SERVICE}, queue=~"$queue"}})', "{{queue}}")],
    )


def _failed() -> Panel:
    return graph(
        Text(
            "Failed deliveries",
            "Attempts that failed. Retried ones come back by themselves and single ones are normal; parked ones wait "
            "for a person.",
            "The next panel has the reasons.",
            alerts=["WarrenMessagesParked", "WarrenRetriesWaiting"],
        ),
        "mps",
        [Query(rate("warren_failed_deliveries_total", SERVICE, ["outcome"]), "{{outcome}}")],
        style=Style(stacked=True, colors={"retried": YELLOW, "parked": RED}),
    )


def _reasons() -> Panel:
    return graph(
        Text(
            "Failed deliveries by reason",
            "transient, timeout, database: a server or an external system failed. malformed, sender, permanent, value: "
            "no retry can help. exhausted: the last attempt failed. error: a mistake in the code.",
            "`warren failures` lists the messages with the reason in words.",
        ),
        "mps",
        [Query(rate("warren_failed_deliveries_total", SERVICE, ["reason"]), "{{reason}}")],
        style=Style(stacked=True),
    )


def _repeated() -> Panel:
    return graph(
        Text(
            "Repeated deliveries",
            "Deliveries that the inbox recognised and that had no second effect: normal after crashes, reconnects and "
            "replays.",
            "Many without such a cause: consumers lose their connections. See Reconnects.",
        ),
        "mps",
        [Query(rate("warren_repeated_deliveries_total", SERVICE, ["service"]), "{{service}}")],
        links=OF_SERVICE,
    )
