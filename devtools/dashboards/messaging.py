"""Dashboard "Messaging": queues, outboxes, retries, parking lots and circuit breakers of every service."""

from devtools.dashboards.board import Board, Row, Variable
from devtools.dashboards.links import logs, traces
from devtools.dashboards.message_flow import CONSUMED, NS, SERVICE, processing, publishing
from devtools.dashboards.panels import (
    GREEN,
    RED,
    YELLOW,
    Limits,
    Panel,
    Query,
    Style,
    Text,
    graph,
    number,
    states,
)
from devtools.dashboards.promql import largest, rate

QUEUES = f'{NS}, queue=~".+[.]queue", queue!="unrouted.queue"'
QUEUE = f'{NS}, queue=~"$queue"'
DESTINATION = '"messaging_destination_name"'
PARKING_LOTS = 'queue=~".+[.]dlq"'
DEPTH = "rabbitmq_detailed_queue_messages"
OF_SERVICE = (traces(), logs())
TRIPPED = {0: ("closed", GREEN), 1: ("half-open", YELLOW), 2: ("open", RED)}


def board() -> Board:
    return Board(
        uid="warren-messaging",
        title="Messaging",
        description=(
            "Messages between the services: what waits where, how fast it is published and processed, what fails."
        ),
        variables=[
            Variable("namespace", "Namespace", "warren_build_info"),
            Variable("service", "Service", f"warren_build_info{{{NS}}}", several=True),
            Variable("queue", "Queue", f"{DEPTH}{{{QUEUES}}}", several=True),
        ],
        rows=[
            Row("Now", [_now()]),
            Row("Queues", [[_ready(), _unacknowledged(), _drain()], [_consumers(), _retries(), _parked()]]),
            publishing(),
            processing(),
            Row("Protection", [[(_breakers(), 12), (_errors(), 6), (_reconnects(), 6)]]),
        ],
    )


def _now() -> list[Panel]:
    return [
        number(
            Text(
                "Messages in queues",
                "Waiting, delivered and delayed messages of the chosen queues. It is near 0 without load.",
            ),
            "short",
            Query(f"sum ({largest(DEPTH, QUEUE, ['queue'])})", "messages"),
        ),
        number(
            Text(
                "Oldest event in an outbox",
                "Age of the oldest committed event that the broker has not confirmed. Below a second; 11 s after a "
                "crash.",
                "`warren outbox` lists the events with the broker's reason.",
                alerts=["WarrenOutboxStalled"],
            ),
            "s",
            Query(largest("warren_outbox_oldest_age_seconds", NS), "oldest"),
            limits=Limits(warning=11, critical=60),
            decimals=1,
        ),
        number(
            Text(
                "Parked messages",
                "Messages that no retry can help. 0 is normal; each one is a step of an order that does not happen.",
                "`warren dlq list` shows the reasons; repair the cause, then `warren dlq replay`.",
                alerts=["WarrenMessagesParked"],
            ),
            "short",
            Query(f"sum ({largest(DEPTH, f'{NS}, {PARKING_LOTS}', ['queue'])})", "parked"),
            limits=Limits(critical=1),
        ),
        number(
            Text(
                "Unrouted events",
                "Events that no service binds. 0 is normal.",
                "A binding is missing: see the dashboard Topology operator. `warren dlq replay` sends the events "
                "again.",
                alerts=["WarrenEventsUnrouted"],
            ),
            "short",
            Query(largest(DEPTH, f'{NS}, queue="unrouted.queue"'), "unrouted"),
            limits=Limits(critical=1),
        ),
        number(
            Text(
                "Queues without consumers",
                "Queues with messages that no process consumes. 0 is normal.",
                "Start the service of the queue; see the panel Consumers.",
                alerts=["WarrenQueueWithoutConsumers"],
            ),
            "short",
            Query(
                f"count (({largest(DEPTH, QUEUE, ['queue'])} > 0) unless"
                f" {largest('rabbitmq_detailed_queue_consumers', QUEUE, ['queue'])} > 0) or vector(0)",
                "queues",
            ),
            limits=Limits(critical=1),
        ),
        number(
            Text(
                "Circuit breakers not closed",
                "External systems that a service does not call at present. 0 is normal.",
                "The system that the panel Circuit breakers names fails. Messages wait; nothing is lost.",
                alerts=["WarrenCircuitBreakerOpen"],
            ),
            "short",
            Query(f"sum (warren_circuit_breaker_state{{{NS}}} > bool 0)", "breakers"),
            limits=Limits(critical=1),
        ),
    ]


def _ready() -> Panel:
    return graph(
        Text(
            "Ready messages",
            "Messages that wait for a consumer. Short peaks are normal; a queue that grows for minutes is not.",
            "Compare the panels Processed and Published; add replicas, or find the slow handler in Time to process.",
            alerts=["WarrenQueueGrowing"],
        ),
        "short",
        [Query(largest(f"{DEPTH}_ready", QUEUE, ["queue"]), "{{queue}}")],
    )


def _unacknowledged() -> Panel:
    return graph(
        Text(
            "Unacknowledged messages",
            "Messages that consumers have received and not yet finished: at most prefetch times consumers.",
            "At the limit for minutes: handlers or the database are slow. See Time to process.",
        ),
        "short",
        [Query(largest(f"{DEPTH}_unacked", QUEUE, ["queue"]), "{{queue}}")],
    )


def _drain() -> Panel:
    by_queue = (
        f'label_replace(rate({CONSUMED}_count{{{NS}}}[$__rate_interval]), "queue", "$1", {DESTINATION}, ".+:(.+)")'
    )
    return graph(
        Text(
            "Time to drain",
            "Depth of a queue divided by the rate at which it is processed now, at most an hour: how long the last "
            "message waits. Seconds are normal.",
            "Above the patience of a customer: add replicas of the service.",
            alerts=["WarrenQueueGrowing"],
        ),
        "s",
        [
            Query(
                f"clamp_max({largest(DEPTH, QUEUE, ['queue'])} / on (queue) (sum by (queue) ({by_queue}) > 0), 3600)",
                "{{queue}}",
            )
        ],
        limits=Limits(critical=60),
    )


def _consumers() -> Panel:
    return graph(
        Text(
            "Consumers",
            "Consumers of each queue: one for each replica of its service.",
            "At 0 the service is stopped or cannot connect; its messages wait.",
            alerts=["WarrenQueueWithoutConsumers"],
        ),
        "short",
        [Query(largest("rabbitmq_detailed_queue_consumers", QUEUE, ["queue"]), "{{queue}}")],
        style=Style(steps=True),
    )


def _retries() -> Panel:
    depth, ready, unacknowledged = (largest(DEPTH + kind, QUEUE, ["queue"]) for kind in ("", "_ready", "_unacked"))
    return graph(
        Text(
            "Retries waiting",
            "Messages whose last attempt failed and that wait for the next one, 1 s to a minute. Single ones are "
            "normal.",
            "`warren retries list` names the reasons; usually an external system fails.",
            alerts=["WarrenRetriesWaiting"],
        ),
        "short",
        [Query(f"clamp_min({depth} - {ready} - {unacknowledged}, 0)", "{{queue}}")],
        style=Style(stacked=True),
    )


def _parked() -> Panel:
    return graph(
        Text(
            "Parked and unrouted messages",
            "Messages that wait for a person: 0 is normal.",
            "`warren dlq list` shows the reasons; repair the cause, then `warren dlq replay`.",
            alerts=["WarrenMessagesParked", "WarrenEventsUnrouted"],
        ),
        "short",
        [Query(largest(DEPTH, f'{NS}, queue=~".+[.]dlq|unrouted[.]queue"', ["queue"]) + " > 0", "{{queue}}")],
        style=Style(stacked=True, steps=True),
    )


def _breakers() -> Panel:
    return states(
        Text(
            "Circuit breakers",
            "closed: calls pass. open: the external system fails and messages wait in their queue. half-open: one call "
            "tries.",
            "The external system of the breaker fails. Messages continue by themselves when it is back.",
            alerts=["WarrenCircuitBreakerOpen"],
        ),
        [Query(largest("warren_circuit_breaker_state", SERVICE, ["service", "breaker"]), "{{service}} {{breaker}}")],
        TRIPPED,
    )


def _errors() -> Panel:
    return graph(
        Text(
            "Errors of components",
            "Times that a part of a process had to wait for a server. 0 is normal.",
            "The logs of the service name the part that waits and its server.",
        ),
        "ops",
        [Query(rate("warren_component_errors_total", SERVICE, ["service"]), "{{service}}")],
        links=OF_SERVICE,
    )


def _reconnects() -> Panel:
    return graph(
        Text(
            "Reconnects",
            "Connections that were made again. 0 is normal, except while the broker restarts.",
            "Steady reconnects: see Clients in the dashboard Broker and the logs of the service.",
        ),
        "ops",
        [Query(rate("warren_reconnects_total", SERVICE, ["service"]), "{{service}}")],
        links=OF_SERVICE,
    )
