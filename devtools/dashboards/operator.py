"""Dashboard "Topology operator": whether the broker matches the Topologies, and who changes it besides."""

from devtools.dashboards.board import Board, Row, Variable
from devtools.dashboards.links import logs
from devtools.dashboards.panels import (
    BLUE,
    GREEN,
    GREY,
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
from devtools.dashboards.promql import quantile, rate

NS = 'namespace="$namespace"'
RECONCILE = "topology_reconcile_duration_seconds"
STATES = {
    "Ready": GREEN,
    "Pending": GREY,
    "Blocked": YELLOW,
    "Failed": RED,
    "Migrating": PURPLE,
    "Retained": BLUE,
}
LINKS = (logs("topology-operator"),)


def board() -> Board:
    return Board(
        uid="warren-operator",
        title="Topology operator",
        description=(
            "The operator that applies Topology resources to the broker. Only Kubernetes installations have it."
        ),
        variables=[Variable("namespace", "Namespace", "topology_ready")],
        rows=[
            Row("Now", [_now()]),
            Row("Topologies", [[_ready(), _objects(), _success()]]),
            Row("Drift and reconciles", [[_drift(), _durations(), _reasons()]]),
        ],
    )


def _now() -> list[Panel]:
    return [
        number(
            Text("Topologies ready", "Topologies whose objects all exist at the broker as declared."),
            "short",
            Query(f"sum (topology_ready{{{NS}}})", "ready"),
        ),
        number(
            Text(
                "Topologies not ready",
                "0 is normal, except for seconds after a change.",
                "`kubectl describe topology` has the reason.",
                alerts=["WarrenTopologyNotReady"],
            ),
            "short",
            Query(f"sum (topology_ready{{{NS}}} == bool 0)", "not ready"),
            limits=Limits(critical=1),
        ),
        number(
            Text(
                "Objects not ready",
                "Objects that wait, are blocked or failed. 0 is normal.",
                "`kubectl describe topology` lists them.",
                alerts=["WarrenDriftNotRepaired"],
            ),
            "short",
            Query(f'sum (topology_objects{{{NS}, state=~"Pending|Blocked|Failed"}})', "objects"),
            limits=Limits(critical=1),
        ),
        number(
            Text(
                "Objects repaired",
                "Objects that were changed or deleted from outside of the operator within the time range. 0 is normal.",
                "Find who changes the broker: its log names users. Changes belong in the Topology.",
                alerts=["WarrenDriftReturns"],
            ),
            "short",
            Query(f"sum (increase(topology_drift_repaired_total{{{NS}}}[$__range]))", "repaired"),
            limits=Limits(warning=1),
            decimals=0,
        ),
        number(
            Text(
                "Brokers that do not answer",
                "0 is normal.",
                "See the dashboard Broker; the operator tries again by itself.",
                alerts=["WarrenTopologyNotReady"],
            ),
            "short",
            Query("sum (topology_broker_reachable == bool 0)", "brokers"),
            limits=Limits(critical=1),
        ),
        number(
            Text(
                "Slowest reconcile",
                "99th percentile. A second or two; a migration of a queue takes as long as its messages need.",
                "A busy or distant broker: see Duration of reconciles.",
            ),
            "s",
            Query(quantile(0.99, RECONCILE, ""), "99 %"),
            decimals=1,
        ),
    ]


def _ready() -> Panel:
    return states(
        Text(
            "Ready",
            "Whether the broker holds every object of a Topology.",
            "`kubectl describe topology` has the reason. What existed before a failed change still works.",
            alerts=["WarrenTopologyNotReady", "WarrenOperatorDown"],
        ),
        [Query(f"min by (topology) (topology_ready{{{NS}}})", "{{topology}}")],
        {0: ("not ready", RED), 1: ("ready", GREEN)},
    )


def _objects() -> Panel:
    return graph(
        Text(
            "Objects by state",
            "Exchanges, queues, bindings and users of all Topologies. All are Ready; no longer declared ones may be "
            "Retained.",
            "Blocked: a change would lose messages, its condition says what to do. Failed: the broker refuses it.",
            alerts=["WarrenDriftNotRepaired"],
        ),
        "short",
        [Query(f"sum by (state) (topology_objects{{{NS}}})", "{{state}}")],
        style=Style(stacked=True, steps=True, colors=STATES),
        links=LINKS,
    )


def _success() -> Panel:
    return graph(
        Text(
            "Time since the last success",
            "Each Topology is compared again every few minutes, so the age is below that interval.",
            "A steady rise: the operator is stopped or the Topology fails. See its logs.",
            alerts=["WarrenOperatorDown", "WarrenTopologyNotReady"],
        ),
        "s",
        [Query(f"time() - max by (topology) (topology_last_success_timestamp_seconds{{{NS}}})", "{{topology}}")],
        links=LINKS,
    )


def _drift() -> Panel:
    return graph(
        Text(
            "Drift repaired",
            "Objects that were changed from outside and repaired, by kind, per second. 0 is normal.",
            "Repairs that return: two owners undo each other.",
            alerts=["WarrenDriftReturns"],
        ),
        "ops",
        [Query(rate("topology_drift_repaired_total", NS, ["kind"]), "{{kind}}")],
        style=Style(stacked=True),
        links=LINKS,
    )


def _durations() -> Panel:
    return graph(
        Text(
            "Duration of reconciles",
            "Median and 99th percentile of all reconciles of this operator.",
            "Slow: the management API of the broker is slow, or a queue is migrated.",
        ),
        "s",
        [Query(quantile(0.5, RECONCILE, ""), "median"), Query(quantile(0.99, RECONCILE, ""), "99th percentile")],
        style=Style(colors={"median": BLUE, "99th percentile": PURPLE}),
        links=LINKS,
    )


def _reasons() -> Panel:
    return graph(
        Text(
            "Reconciles by result",
            "Synced is normal: one for each Topology and interval, and for each change.",
            "The other reasons are those of the condition Ready: docs/topology.md explains them.",
        ),
        "ops",
        [Query(rate(f"{RECONCILE}_count", "", ["reason"]), "{{reason}}")],
        style=Style(stacked=True, colors={"Synced": GREEN}),
        links=LINKS,
    )
