"""Dashboard "Shop": orders, their path through the states, and the service level that customers see."""

from devtools.dashboards.board import Board, Row, Variable
from devtools.dashboards.links import logs, traces
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
    bars,
    graph,
    number,
)
from devtools.dashboards.promql import largest, quantile, rate, ratio

NS = 'namespace="$namespace"'
STEPS = "warren_order_step_duration_seconds"
EACH_STEP = f'{NS}, step=~"confirmed|paid|shipped|completed|cancelled"'
STATES = {"PENDING": GREY, "CONFIRMED": BLUE, "PAID": PURPLE, "SHIPPED": GREEN, "CANCELLING": YELLOW}
STEP_COLORS = {"confirmed": BLUE, "paid": PURPLE, "shipped": GREEN, "completed": "dark-green", "cancelled": YELLOW}
ACCEPTED = rate("warren_orders_accepted_total", NS)
COMPLETED = rate("warren_orders_completed_total", NS)
CANCELLED = rate("warren_orders_cancelled_total", NS)
LINKS = (traces("order-worker"), logs("order-worker"))


def board() -> Board:
    return Board(
        uid="warren-shop",
        title="Shop",
        description=(
            "Orders of the shop: how many, where they are, how long each step takes, and whether customers wait."
        ),
        variables=[Variable("namespace", "Namespace", "warren_orders_accepted_total")],
        rows=[
            Row("Now", [_now()]),
            Row("Orders", [[(_orders(), 12), (_cancellations(), 6), (_express(), 6)]]),
            Row(
                "Path of an order, from its acceptance to each step",
                [
                    [(_funnel(), 8), (_unfinished(), 8), (_oldest(), 8)],
                    [_duration(0.5, "Median"), _duration(0.99, "99th percentile")],
                ],
            ),
            Row(
                "Service level: 99 % of the orders are paid, or cancelled, within a minute",
                [[_late(), _burn(), _overdue()]],
            ),
        ],
    )


def _now() -> list[Panel]:
    return [
        number(
            Text(
                "Accepted",
                "Orders that the order API accepts. 0 during business hours is not normal.",
                "See the dashboard Services, row HTTP.",
            ),
            "suffix: /min",
            Query(f"60 * {ACCEPTED}", "accepted"),
            decimals=0,
        ),
        number(
            Text("Completed", "Orders that were delivered. It follows the accepted orders by the time of a delivery."),
            "suffix: /min",
            Query(f"60 * {COMPLETED}", "completed"),
            decimals=0,
        ),
        number(
            Text(
                "Cancelled share",
                "Cancelled orders among those that ended. A few per cent are normal: no stock, declined payments.",
                "The panel Cancellations by reason names the cause.",
            ),
            "percentunit",
            Query(ratio(CANCELLED, f"{CANCELLED} + {COMPLETED}"), "cancelled"),
            limits=Limits(warning=0.2, critical=0.5),
            decimals=1,
        ),
        number(
            Text(
                "Unfinished", "Orders that are neither completed nor cancelled. It grows with load, and falls after it."
            ),
            "short",
            Query(f"sum ({largest('warren_orders', NS, ['state'])})", "unfinished"),
        ),
        number(
            Text(
                "Oldest before shipping",
                "Age of the oldest order that is not yet with the carrier. An unpaid order is cancelled after 15 "
                "minutes.",
                "Follow the order with `warren trace`.",
                alerts=["WarrenOrderStuck"],
            ),
            "s",
            Query(largest("warren_orders_oldest_age_seconds", f'{NS}, state!="SHIPPED"'), "oldest"),
            limits=Limits(warning=900, critical=1200),
        ),
        number(
            Text(
                "Late orders, last hour",
                "Share of the orders that were neither paid nor cancelled within a minute. The objective allows 1 %.",
                "See the row Service level below.",
                alerts=["WarrenOrderErrorBudgetBurn"],
            ),
            "percentunit",
            Query(f"namespace:warren_orders_late:ratio_increase1h{{{NS}}}", "late"),
            limits=Limits(warning=0.01, critical=0.144),
            decimals=2,
        ),
    ]


def _orders() -> Panel:
    return graph(
        Text(
            "Accepted, completed, cancelled",
            "Orders per second. Completed and cancelled together follow accepted.",
            "If accepted orders do not end, the row below shows the state where they wait.",
            alerts=["WarrenApiErrors"],
        ),
        "ops",
        [Query(ACCEPTED, "accepted"), Query(COMPLETED, "completed"), Query(CANCELLED, "cancelled")],
        style=Style(colors={"accepted": BLUE, "completed": GREEN, "cancelled": YELLOW}),
        links=LINKS,
    )


def _cancellations() -> Panel:
    return graph(
        Text(
            "Cancellations by reason",
            "`out_of_stock` and `payment_failed` depend on customers and stock; `payment_timeout` should be rare.",
            "Many `payment_timeout`: see the payment service and its circuit breaker. Many `out_of_stock`: restock.",
        ),
        "ops",
        [Query(rate("warren_orders_cancelled_total", NS, ["reason"]), "{{reason}}")],
        style=Style(stacked=True),
        links=LINKS,
    )


def _express() -> Panel:
    return graph(
        Text("Accepted, express and standard", "Express orders overtake the others in every queue."),
        "ops",
        [
            Query(rate("warren_orders_accepted_total", f'{NS}, express="true"'), "express"),
            Query(rate("warren_orders_accepted_total", f'{NS}, express="false"'), "standard"),
        ],
        style=Style(stacked=True, colors={"express": PURPLE, "standard": BLUE}),
    )


def _funnel() -> Panel:
    return bars(
        Text(
            "Funnel",
            "Orders that reached each step within the time range. The steps of the happy path differ by the orders "
            "that were cancelled or are on their way.",
            "A large gap between two steps names the service to look at: confirmed is inventory, paid is payment, "
            "shipped is shipping.",
        ),
        "short",
        [
            Query(f"sum (increase(warren_orders_accepted_total{{{NS}}}[$__range]))", "accepted"),
            *(
                Query(f'sum (increase({STEPS}_count{{{NS}, step="{step}"}}[$__range]))', step)
                for step in ("confirmed", "paid", "shipped", "completed", "cancelled")
            ),
        ],
        STEP_COLORS | {"accepted": GREY},
    )


def _unfinished() -> Panel:
    return graph(
        Text(
            "Unfinished orders by state",
            "SHIPPED lasts as long as a delivery. The other states last seconds.",
            "A state that only grows names the service that is behind: PENDING inventory, CONFIRMED payment, PAID "
            "shipping.",
            alerts=["WarrenOrderStuck"],
        ),
        "short",
        [Query(largest("warren_orders", NS, ["state"]), "{{state}}")],
        style=Style(stacked=True, colors=STATES),
        links=LINKS,
    )


def _oldest() -> Panel:
    return graph(
        Text(
            "Oldest unfinished order by state",
            "Time since the oldest order of a state was accepted. Below 15 minutes for all states but SHIPPED.",
            "`warren trace` shows what the order waits for.",
            alerts=["WarrenOrderStuck"],
        ),
        "s",
        [Query(largest("warren_orders_oldest_age_seconds", NS, ["state"]), "{{state}}")],
        style=Style(colors=STATES),
        limits=Limits(critical=1200),
        links=LINKS,
    )


def _duration(rank: float, title: str) -> Panel:
    return graph(
        Text(
            f"Time from acceptance, {title.lower()}",
            "Confirmed and paid take less than a second without load. Shipped follows at once; completed waits for "
            "the delivery. The points are traces of single orders.",
            "Open a point's trace: the longest span is the service or the queue where the order waited.",
            alerts=["WarrenOrderErrorBudgetBurn"],
        ),
        "s",
        [Query(quantile(rank, STEPS, EACH_STEP, ["step"]), "{{step}}", exemplars=True)],
        style=Style(colors=STEP_COLORS, logarithmic=True),
        links=LINKS,
    )


def _late() -> Panel:
    return graph(
        Text(
            "Late orders",
            "Share of the orders that were neither paid nor cancelled within a minute. The line is the objective, 1 %.",
            "Time from acceptance, above, shows the slow step.",
            alerts=["WarrenOrderErrorBudgetBurn"],
        ),
        "percentunit",
        [Query(f"namespace:warren_orders_late:ratio_increase{each}{{{NS}}}", f"last {each}") for each in ("5m", "1h")],
        limits=Limits(critical=0.01),
        links=LINKS,
    )


def _burn() -> Panel:
    windows = {"5m": "last 5m", "1h": "last 1h", "6h": "last 6h", "3d": "last 3d"}
    return graph(
        Text(
            "Burn rate of the error budget",
            "1 spends the budget of 30 days in exactly 30 days. The alert pages at 14.4 over an hour and 6 over six "
            "hours.",
            "Find the slow step above; a burn rate of 14.4 leaves two days.",
            alerts=["WarrenOrderErrorBudgetBurn"],
        ),
        "none",
        [
            Query(f"namespace:warren_orders_late:ratio_increase{each}{{{NS}}} / 0.01", name)
            for each, name in windows.items()
        ],
        limits=Limits(warning=1, critical=14.4),
    )


def _overdue() -> Panel:
    return graph(
        Text(
            "Orders that wait for more than a minute",
            "Accepted orders that are neither paid nor cancelled after a minute: 0 is normal. They count as late "
            "while they wait.",
            "`warren trace` shows what an order waits for.",
            alerts=["WarrenOrderStuck", "WarrenOrderErrorBudgetBurn"],
        ),
        "short",
        [Query(largest("warren_orders_overdue", NS), "undecided")],
        style=Style(colors={"undecided": RED}),
        links=LINKS,
    )
