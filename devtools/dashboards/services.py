"""Dashboard "Services": rate, errors and duration of requests and messages, and the resources of each process."""

from devtools.dashboards.board import Board, Row, Variable
from devtools.dashboards.links import logs, traces
from devtools.dashboards.panels import Limits, Panel, Query, Style, Text, graph, number
from devtools.dashboards.promql import largest, quantile, rate, ratio

NS = 'namespace="$namespace"'
SERVICE = f'{NS}, service=~"$service"'
PROCESS = f'{SERVICE}, job="warren"'
REQUESTS = "http_requests_total"
REQUEST = "http_request_duration_seconds"
MESSAGE = "messaging_process_duration_seconds"
FAILED_REQUESTS = rate(REQUESTS, f'{SERVICE}, status_code=~"5.."')
FAILED_MESSAGES = rate("warren_failed_deliveries_total", SERVICE)
LINKS = (traces(), logs())


def board() -> Board:
    return Board(
        uid="warren-services",
        title="Services",
        description="Each process: its requests and messages (rate, errors, duration), CPU, memory and connections.",
        variables=[
            Variable("namespace", "Namespace", "warren_build_info"),
            Variable("service", "Service", f"warren_build_info{{{NS}}}", several=True),
        ],
        rows=[
            Row("Now", [_now()]),
            Row(
                "HTTP",
                [
                    [
                        _requests(),
                        _request_errors(),
                        _request_duration(0.5, "median"),
                        _request_duration(0.99, "99th percentile"),
                    ]
                ],
            ),
            Row(
                "Messages",
                [
                    [
                        _messages(),
                        _message_errors(),
                        _message_duration(0.5, "median"),
                        _message_duration(0.99, "99th percentile"),
                    ]
                ],
            ),
            Row("Resources", [[_cpu(), _memory(), _collections(), _files()]]),
            Row("Database and retention", [[_pool(), _retention(), _removed(), _certificates()]]),
        ],
    )


def _now() -> list[Panel]:
    return [
        number(
            Text(
                "Processes",
                "Processes that answer Prometheus.",
                "The next panel counts those that do not.",
                alerts=["WarrenProcessDown"],
            ),
            "short",
            Query(f"sum (up{{{PROCESS}}})", "up"),
        ),
        number(
            Text(
                "Processes that do not answer",
                "0 is normal, except for moments of a rolling update.",
                "Read the logs of the process; locally, `warren status`.",
                alerts=["WarrenProcessDown"],
            ),
            "short",
            Query(f"sum (up{{{PROCESS}}} == bool 0)", "down"),
            limits=Limits(critical=1),
        ),
        number(
            Text("Requests", "HTTP requests per second."),
            "reqps",
            Query(rate(REQUESTS, SERVICE), "requests"),
            decimals=1,
        ),
        number(
            Text(
                "Failed requests",
                "Share of requests that were answered with 500 or more. 0 is normal.",
                "The row HTTP names the service.",
                alerts=["WarrenApiErrors"],
            ),
            "percentunit",
            Query(ratio(FAILED_REQUESTS, rate(REQUESTS, SERVICE)), "failed"),
            limits=Limits(warning=0.01, critical=0.05),
            decimals=2,
        ),
        number(
            Text("Messages", "Deliveries that were processed per second."),
            "mps",
            Query(rate(f"{MESSAGE}_count", SERVICE), "messages"),
            decimals=1,
        ),
        number(
            Text(
                "Failed deliveries",
                "Share of the deliveries whose attempt failed. Single ones are normal: they are retried.",
                "The dashboard Messaging has the reasons.",
                alerts=["WarrenRetriesWaiting", "WarrenMessagesParked"],
            ),
            "percentunit",
            Query(ratio(FAILED_MESSAGES, rate(f"{MESSAGE}_count", SERVICE)), "failed"),
            limits=Limits(warning=0.05, critical=0.25),
            decimals=2,
        ),
    ]


def _requests() -> Panel:
    return graph(
        Text(
            "Requests",
            "HTTP requests by service and status. 2xx and single 4xx are normal.",
            "5xx: see Failed requests.",
        ),
        "reqps",
        [
            Query(
                "sum by (service, class) (label_replace(rate("
                f'{REQUESTS}{{{SERVICE}}}[$__rate_interval]), "class", "${{1}}xx", "status_code", "(.).*"))',
                "{{service}} {{class}}",
            )
        ],
        style=Style(stacked=True),
        links=LINKS,
    )


def _request_errors() -> Panel:
    by = ["service"]
    failed = rate(REQUESTS, f'{SERVICE}, status_code=~"5.."', by)
    return graph(
        Text(
            "Failed requests",
            "Share of requests that were answered with 500 or more. 503 is the answer while the database is "
            "unavailable or the outbox is full.",
            "order-api: customers cannot order. See its traces and logs (click on a point).",
            alerts=["WarrenApiErrors"],
        ),
        "percentunit",
        [Query(ratio(failed, rate(REQUESTS, SERVICE, by)), "{{service}}")],
        limits=Limits(critical=0.05),
        links=LINKS,
    )


def _request_duration(rank: float, name: str) -> Panel:
    return graph(
        Text(
            f"Duration of requests, {name}",
            "Milliseconds without load; a POST of an order waits for the commit of its batch. The points are traces.",
            "Open a point's trace: usually the database is slow, see the dashboard Database.",
        ),
        "s",
        [Query(quantile(rank, REQUEST, SERVICE, ["service"]), "{{service}}", exemplars=True)],
        links=LINKS,
    )


def _messages() -> Panel:
    return graph(
        Text("Messages", "Deliveries that were processed, by service. The rate follows the orders."),
        "mps",
        [Query(rate(f"{MESSAGE}_count", SERVICE, ["service"]), "{{service}}")],
        style=Style(stacked=True),
        links=LINKS,
    )


def _message_errors() -> Panel:
    return graph(
        Text(
            "Failed deliveries",
            "Attempts that failed, by service. Most are retried and come back by themselves.",
            "The dashboard Messaging has the reasons; parked messages wait for a person: `warren dlq list`.",
            alerts=["WarrenMessagesParked", "WarrenRetriesWaiting"],
        ),
        "mps",
        [Query(rate("warren_failed_deliveries_total", SERVICE, ["service"]), "{{service}}")],
        style=Style(stacked=True),
        links=LINKS,
    )


def _message_duration(rank: float, name: str) -> Panel:
    return graph(
        Text(
            f"Duration of messages, {name}",
            "From the start of a delivery to its commit; calls of external systems included. The points are traces.",
            "Open a point's trace: it shows the database's and the external system's share.",
        ),
        "s",
        [Query(quantile(rank, MESSAGE, SERVICE, ["service"]), "{{service}}", exemplars=True)],
        links=LINKS,
    )


def _cpu() -> Panel:
    return graph(
        Text(
            "CPU",
            "Processor cores that each process uses. A process has one event loop: 1 is its maximum.",
            "Near 1 for minutes: add replicas of the service.",
        ),
        "short",
        [
            Query(
                f"sum by (service, instance) (rate(process_cpu_seconds_total{{{PROCESS}}}[$__rate_interval]))",
                "{{service}}",
            )
        ],
        limits=Limits(critical=0.9),
        links=(logs(),),
    )


def _memory() -> Panel:
    return graph(
        Text(
            "Memory",
            "Resident memory of each process. 60 to 150 MiB, and constant after the first minutes.",
            "Steady growth over hours is a leak: restart the process, and report it.",
        ),
        "bytes",
        [Query(f"max by (service, instance) (process_resident_memory_bytes{{{PROCESS}}})", "{{service}}")],
        links=(logs(),),
    )


def _collections() -> Panel:
    return graph(
        Text(
            "Full garbage collections",
            "Collections of the oldest generation, which stop the event loop. Less than one in a second.",
            "More: the process makes many objects that live long. See Memory.",
        ),
        "ops",
        [
            Query(
                f'sum by (service) (rate(python_gc_collections_total{{{PROCESS}, generation="2"}}[$__rate_interval]))',
                "{{service}}",
            )
        ],
        links=(logs(),),
    )


def _files() -> Panel:
    return graph(
        Text(
            "Open files",
            "Open files and sockets, as a share of the limit of each process. A few per cent.",
            "Near 1 the process cannot accept connections: find what does not close them in its logs.",
        ),
        "percentunit",
        [
            Query(
                f"max by (service, instance) (process_open_fds{{{PROCESS}}} / process_max_fds{{{PROCESS}}})",
                "{{service}}",
            )
        ],
        limits=Limits(critical=0.8),
        links=(logs(),),
    )


def _pool() -> Panel:
    used = f'sum by (service, instance) (warren_database_connections{{{SERVICE}, state="used"}})'
    return graph(
        Text(
            "Use of the connection pool",
            "Connections in use as a share of the pool. Peaks up to 1 are normal under load.",
            "1 for minutes: transactions wait for a connection. See the dashboard Database for what they wait for.",
        ),
        "percentunit",
        [Query(f"{used} / on (service, instance) warren_database_connections_max{{{SERVICE}}}", "{{service}}")],
        style=Style(maximum=1),
        limits=Limits(critical=0.9),
        links=LINKS,
    )


def _retention() -> Panel:
    return graph(
        Text(
            "Age of the last sweep",
            "Time since the rule that waits the longest last removed old rows. A sweep starts a day after the last "
            "one.",
            "Above 2 days, the logs of the service name the table.",
            alerts=["WarrenRetentionBehind"],
        ),
        "s",
        [Query(largest("warren_retention_sweep_age_seconds", SERVICE, ["service"]), "{{service}}")],
        limits=Limits(critical=2 * 86400),
        links=(logs(),),
    )


def _removed() -> Panel:
    return graph(
        Text(
            "Removed rows",
            "Old rows that the retention rules have removed since the tables exist. docs/retention.md has the ages.",
        ),
        "short",
        [Query(f"sum by (service) (max by (service, rule) (warren_removed_rows{{{SERVICE}}}))", "{{service}}")],
        style=Style(stacked=True),
    )


def _certificates() -> Panel:
    expiry = f"min by (server, certificate) (warren_certificate_expiry_timestamp_seconds{{{NS}}})"
    return graph(
        Text(
            "Time until certificates expire",
            "They are renewed 30 days or more before they expire.",
            "Below 30 days the renewal failed: `kubectl get certificate`, or make a new one as docs/kubernetes.md "
            "describes.",
            alerts=["WarrenCertificateExpiry"],
        ),
        "s",
        [Query(f"{expiry} - time()", "{{server}} {{certificate}}")],
        limits=Limits(warning=30 * 86400, critical=7 * 86400, below=True),
    )
