"""Dashboard "Broker": the nodes of RabbitMQ, their limits, their traffic and their quorum queues."""

from devtools.dashboards.board import Board, Row, Variable
from devtools.dashboards.panels import (
    BLUE,
    GREEN,
    PURPLE,
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

NS = 'namespace="$namespace"'
NODE = f'{NS}, job="rabbitmq"'
BY_NODE = f"* on (instance, job) group_left (rabbitmq_node) rabbitmq_identity_info{{{NODE}}}"
ALARMS = {"memory": "rabbitmq_alarms_memory_used_watermark", "disk": "rabbitmq_alarms_free_disk_space_watermark"}


def board() -> Board:
    return Board(
        uid="warren-broker",
        title="Broker",
        description=(
            "RabbitMQ: whether it accepts messages, how near its nodes are to their limits, and what passes through."
        ),
        variables=[Variable("namespace", "Namespace", 'rabbitmq_build_info{job="rabbitmq"}')],
        rows=[
            Row("Now", [_now()]),
            Row("Limits of the nodes", [[_memory(), _disk(), _files(), _alarms()]]),
            Row("Traffic", [[_published(), _delivered(), _lost()]]),
            Row("Clients", [[_connections(), _churn(), _logins()]]),
            Row("Queues", [[_messages(), _latency(), _segments()]]),
        ],
    )


def _now() -> list[Panel]:
    return [
        number(
            Text(
                "Nodes",
                "Nodes that answer. A quorum queue needs the majority of its nodes.",
                "`kubectl get pods`, and the logs of the missing node.",
                alerts=["WarrenBrokerDown"],
            ),
            "short",
            Query(f"sum (up{{{NODE}}})", "nodes"),
            limits=Limits(critical=1, below=True),
        ),
        number(
            Text(
                "Alarms",
                "Alarms block every publisher. 0 is normal.",
                "The panel Alarms names the resource.",
                alerts=["WarrenBrokerAlarm"],
            ),
            "short",
            Query(" + ".join(f"sum ({alarm}{{{NODE}}})" for alarm in ALARMS.values()), "alarms"),
            limits=Limits(critical=1),
        ),
        number(
            Text("Messages", "Messages in all queues: ready, unacknowledged, delayed."),
            "short",
            Query(f"sum (rabbitmq_queue_messages{{{NODE}}})", "messages"),
        ),
        number(
            Text("Published", "Messages that publishers sent, per second."),
            "mps",
            Query(f"sum ({_rate('received')})", "published"),
            decimals=0,
        ),
        number(
            Text("Connections", "Connections of services: two for each process."),
            "short",
            Query(f"sum (rabbitmq_connections{{{NODE}}})", "connections"),
        ),
        number(
            Text(
                "Time since the last start",
                "Of the node that was started last.",
                "Short: a node restarted; see its logs.",
            ),
            "s",
            Query(f"min (rabbitmq_erlang_uptime_seconds{{{NODE}}})", "uptime"),
        ),
    ]


def _memory() -> Panel:
    return graph(
        Text(
            "Memory, share of the limit",
            "At 1 the node blocks all publishers. Below 0.6.",
            "Long queues and many connections need memory: see the dashboard Messaging. Give the node more.",
            alerts=["WarrenBrokerAlarm"],
        ),
        "percentunit",
        [
            Query(
                f"rabbitmq_process_resident_memory_bytes{{{NODE}}}"
                f" / rabbitmq_resident_memory_limit_bytes{{{NODE}}} {BY_NODE}",
                "{{rabbitmq_node}}",
            )
        ],
        style=Style(maximum=1),
        limits=Limits(warning=0.6, critical=0.8),
    )


def _disk() -> Panel:
    return graph(
        Text(
            "Free disk space above the limit",
            "At 0 the node blocks all publishers.",
            "Enlarge the volume; see Segments of the longest log.",
            alerts=["WarrenBrokerAlarm"],
        ),
        "bytes",
        [
            Query(
                f"(rabbitmq_disk_space_available_bytes{{{NODE}}}"
                f" - rabbitmq_disk_space_available_limit_bytes{{{NODE}}}) {BY_NODE}",
                "{{rabbitmq_node}}",
            )
        ],
        limits=Limits(warning=4 * 2**30, critical=2**30, below=True),
    )


def _files() -> Panel:
    return graph(
        Text(
            "File descriptors, share of the limit",
            "Connections and files of queues. A few per cent.",
            "Near 1 the node refuses connections: find the client in the panel Connections opened and closed.",
        ),
        "percentunit",
        [
            Query(
                f"rabbitmq_process_open_fds{{{NODE}}} / rabbitmq_process_max_fds{{{NODE}}} {BY_NODE}",
                "{{rabbitmq_node}}",
            )
        ],
        style=Style(maximum=1),
        limits=Limits(critical=0.8),
    )


def _alarms() -> Panel:
    return states(
        Text(
            "Alarms",
            "An alarm of one node blocks the publishers of the whole cluster. Consumers continue.",
            "Free the resource that the alarm names. Events wait in the outboxes.",
            alerts=["WarrenBrokerAlarm"],
        ),
        [Query(f"max ({alarm}{{{NODE}}})", name) for name, alarm in ALARMS.items()],
        {0: ("no alarm", GREEN), 1: ("alarm", RED)},
    )


def _published() -> Panel:
    return graph(
        Text(
            "Published, confirmed, routed",
            "Confirmed equals published. Routed is more: an event goes to several queues.",
            "Published without confirmed: a queue has no quorum, or the disk is slow (Commit latency).",
        ),
        "mps",
        [
            Query(f"sum ({_rate('received')})", "published"),
            Query(f"sum ({_rate('confirmed')})", "confirmed"),
            Query(f"sum ({_rate('routed')})", "routed"),
        ],
        style=Style(colors={"published": BLUE, "confirmed": GREEN, "routed": PURPLE}),
    )


def _delivered() -> Panel:
    return graph(
        Text(
            "Delivered, acknowledged, redelivered",
            "Acknowledged follows delivered. Redelivered is near 0, except while consumers restart or retry.",
            "Many redelivered messages: see Failed deliveries in the dashboard Messaging.",
        ),
        "mps",
        [
            Query(f"sum ({_rate('delivered_consume_manual_ack')})", "delivered"),
            Query(f"sum ({_rate('acknowledged')})", "acknowledged"),
            Query(f"sum ({_rate('redelivered')})", "redelivered"),
        ],
        style=Style(colors={"delivered": BLUE, "acknowledged": GREEN, "redelivered": YELLOW}),
    )


def _lost() -> Panel:
    return graph(
        Text(
            "Unroutable and dead-lettered",
            "Returned messages stay in the publisher's outbox; dropped ones are lost, and no service publishes so. "
            "Dead-lettered ones go to parking lots. 0 is normal.",
            "returned: a binding is missing (dashboard Topology operator). rejected: `warren dlq list`.",
            alerts=["WarrenMessagesParked", "WarrenEventsUnrouted"],
        ),
        "mps",
        [
            Query(f"sum ({_rate('unroutable_returned')})", "returned"),
            Query(f"sum ({_rate('unroutable_dropped')})", "dropped"),
            Query(f"sum ({_rate('dead_lettered_rejected')})", "dead-lettered, rejected"),
            Query(f"sum ({_rate('dead_lettered_delivery_limit')})", "dead-lettered, delivery limit"),
            Query(f"sum ({_rate('dead_lettered_expired')})", "dead-lettered, expired"),
        ],
    )


def _connections() -> Panel:
    return graph(
        Text(
            "Connections, channels, consumers",
            "Two connections for each process. Constant, except for scaling and rolling updates.",
            "A drop: services lost the broker. Steady growth: a client does not close its connections.",
        ),
        "short",
        [
            Query(f"sum (rabbitmq_connections{{{NODE}}})", "connections"),
            Query(f"sum (rabbitmq_channels{{{NODE}}})", "channels"),
            Query(f"sum (rabbitmq_consumers{{{NODE}}})", "consumers"),
        ],
        style=Style(steps=True),
    )


def _churn() -> Panel:
    return graph(
        Text(
            "Connections opened and closed",
            "Near 0. Probes, `warren` commands and rolling updates open single ones.",
            "Steadily above 1: a client reconnects in a loop. The broker's log names it.",
        ),
        "ops",
        [
            Query(f"sum (rate(rabbitmq_connections_opened_total{{{NODE}}}[$__rate_interval]))", "opened"),
            Query(f"sum (rate(rabbitmq_connections_closed_total{{{NODE}}}[$__rate_interval]))", "closed"),
        ],
        style=Style(colors={"opened": GREEN, "closed": YELLOW}),
    )


def _logins() -> Panel:
    return graph(
        Text(
            "Failed logins",
            "0 is normal.",
            "A service has an old password: after a rotation it reads the new one at its next connect. The broker's "
            "log names the user.",
        ),
        "ops",
        [Query(f"sum (rate(rabbitmq_auth_attempts_failed_total{{{NODE}}}[$__rate_interval]))", "failed")],
        style=Style(colors={"failed": RED}),
    )


def _latency() -> Panel:
    return graph(
        Text(
            "Commit latency",
            "Time until a majority of the nodes has stored a message, of the slowest queue. Milliseconds.",
            "A slow disk or network of one node slows every publisher.",
        ),
        "s",
        [Query(f"rabbitmq_raft_max_commit_latency_seconds{{{NODE}}} {BY_NODE}", "{{rabbitmq_node}}")],
    )


def _messages() -> Panel:
    return graph(
        Text(
            "Messages in all queues",
            "Ready ones wait for a consumer, unacknowledged ones are with one. Near 0 without load.",
            "The dashboard Messaging has each queue.",
            alerts=["WarrenQueueGrowing"],
        ),
        "short",
        [
            Query(f"sum (rabbitmq_queue_messages_ready{{{NODE}}})", "ready"),
            Query(f"sum (rabbitmq_queue_messages_unacked{{{NODE}}})", "unacknowledged"),
        ],
        style=Style(stacked=True, colors={"ready": YELLOW, "unacknowledged": BLUE}),
    )


def _segments() -> Panel:
    return graph(
        Text(
            "Segments of the longest log",
            "Files of the queue that keeps the most. Constant: they are removed when their messages are acknowledged.",
            "Steady growth: old messages stay in a queue, such as a parking lot.",
            alerts=["WarrenMessagesParked"],
        ),
        "short",
        [Query(f"rabbitmq_raft_max_num_segments{{{NODE}}} {BY_NODE}", "{{rabbitmq_node}}")],
    )


def _rate(counter: str) -> str:
    return f"rate(rabbitmq_global_messages_{counter}_total{{{NODE}}}[$__rate_interval])"
