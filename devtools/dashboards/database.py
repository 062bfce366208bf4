"""Dashboard "Database": PostgreSQL, as its exporter reports it."""

from devtools.dashboards.board import Board, Row, Variable
from devtools.dashboards.panels import BLUE, GREEN, RED, Limits, Panel, Query, Style, Text, graph, number
from devtools.dashboards.promql import rate, ratio

NS = 'namespace="$namespace"'
STATES = 'state=~"active|idle|idle in transaction"'
SHOP = f'{NS}, datname!~"template.*|postgres|"'


def board() -> Board:
    return Board(
        uid="warren-database",
        title="Database",
        description="PostgreSQL: connections, transactions, waits and size.",
        variables=[Variable("namespace", "Namespace", "pg_up")],
        rows=[
            Row("Now", [_now()]),
            Row("Work", [[_transactions(), _rows(), _cache()]]),
            Row("Waits", [[_connections(), _longest(), _locks()]]),
            Row("Tables", [[_size(), _dead()]]),
        ],
    )


def _now() -> list[Panel]:
    return [
        number(
            Text(
                "Reachable",
                "1 if the exporter can query the server.",
                "The order API answers 503. See the server's log.",
                alerts=["WarrenDatabaseDown"],
            ),
            "short",
            Query(f"min (pg_up{{{NS}}})", "up"),
            limits=Limits(critical=1, below=True),
        ),
        number(
            Text(
                "Connections used",
                "Share of the limit of the server. Below 0.8; each process has a pool of its own.",
                "Fewer or smaller pools, or a larger `max_connections`: docs/kubernetes.md.",
            ),
            "percentunit",
            Query(f"sum (pg_stat_activity_count{{{NS}}}) / max (pg_settings_max_connections{{{NS}}})", "connections"),
            limits=Limits(warning=0.8, critical=0.95),
            decimals=0,
        ),
        number(
            Text("Transactions", "Commits per second."),
            "ops",
            Query(rate("pg_stat_database_xact_commit", SHOP), "commits"),
            decimals=0,
        ),
        number(
            Text(
                "Longest transaction",
                "Below a second; a retention sweep or a backup may take minutes.",
                "`SELECT * FROM pg_stat_activity` shows it. It keeps dead rows from being removed.",
            ),
            "s",
            Query(f"max (pg_stat_activity_max_tx_duration{{{SHOP}}})", "longest"),
            limits=Limits(warning=60, critical=600),
            decimals=1,
        ),
        number(
            Text(
                "Deadlocks",
                "Within the time range. 0 is normal: rows are locked in the order of their keys.",
                "Report it.",
            ),
            "short",
            Query(f"sum (increase(pg_stat_database_deadlocks{{{SHOP}}}[$__range]))", "deadlocks"),
            limits=Limits(critical=1),
            decimals=0,
        ),
        number(
            Text("Size", "Of the database on disk. It grows with the orders of the retention time, then stays."),
            "bytes",
            Query(f"sum (pg_database_size_bytes{{{SHOP}}})", "size"),
            decimals=1,
        ),
    ]


def _transactions() -> Panel:
    return graph(
        Text(
            "Transactions",
            "Commits and rollbacks. One commit serves a whole batch of messages. Rollbacks are rare.",
            "Many rollbacks: see Failed deliveries in the dashboard Messaging.",
        ),
        "ops",
        [
            Query(rate("pg_stat_database_xact_commit", SHOP), "commits"),
            Query(rate("pg_stat_database_xact_rollback", SHOP), "rollbacks"),
        ],
        style=Style(colors={"commits": GREEN, "rollbacks": RED}),
    )


def _rows() -> Panel:
    kinds = ("inserted", "updated", "deleted")
    return graph(
        Text("Changed rows", "Rows that transactions inserted, updated and deleted. An order changes about 40 rows."),
        "ops",
        [Query(rate(f"pg_stat_database_tup_{kind}", SHOP), kind) for kind in kinds],
        style=Style(stacked=True),
    )


def _cache() -> Panel:
    hit, read = (rate(f"pg_stat_database_blks_{each}", SHOP) for each in ("hit", "read"))
    return graph(
        Text(
            "Blocks found in memory",
            "Share of the blocks that queries found in the buffers of the server. Above 0.99.",
            "Less: the tables in use do not fit; give the server more memory (`shared_buffers`).",
        ),
        "percentunit",
        [Query(ratio(hit, f"{hit} + {read}"), "found in memory")],
        style=Style(maximum=1, colors={"found in memory": BLUE}),
    )


def _connections() -> Panel:
    return graph(
        Text(
            "Connections by state",
            "Mostly idle. `active` follows the load; `idle in transaction` is short.",
            "`idle in transaction` for minutes: a process hangs in a transaction.",
        ),
        "short",
        [Query(f"sum by (state) (pg_stat_activity_count{{{SHOP}, {STATES}}})", "{{state}}")],
        style=Style(stacked=True, colors={"active": BLUE, "idle": GREEN, "idle in transaction": RED}),
    )


def _longest() -> Panel:
    return graph(
        Text(
            "Longest transaction by state",
            "Below a second, except for sweeps and backups.",
            "It holds locks and keeps dead rows: `SELECT * FROM pg_stat_activity`.",
        ),
        "s",
        [Query(f"max by (state) (pg_stat_activity_max_tx_duration{{{SHOP}, {STATES}}})", "{{state}}")],
    )


def _locks() -> Panel:
    return graph(
        Text(
            "Locks",
            "Locks that transactions hold, by mode. They follow the load.",
            "`accessexclusivelock` for seconds: a migration waits for a long transaction and blocks others.",
        ),
        "short",
        [Query(f"sum by (mode) (pg_locks_count{{{SHOP}}})", "{{mode}}")],
        style=Style(stacked=True),
    )


def _size() -> Panel:
    return graph(
        Text(
            "Size of the database",
            "It grows with the orders of the retention time, then stays.",
            "See Age of the last sweep.",
        ),
        "bytes",
        [Query(f"pg_database_size_bytes{{{SHOP}}}", "{{datname}}")],
    )


def _dead() -> Panel:
    return graph(
        Text(
            "Dead rows",
            "Rows that were deleted or updated and whose space is not yet reused, by schema. Autovacuum removes them "
            "every few minutes.",
            "Steady growth: a long transaction keeps them (Longest transaction), or autovacuum is too slow.",
        ),
        "short",
        [Query(f"sum by (schemaname) (pg_stat_user_tables_n_dead_tup{{{NS}}})", "{{schemaname}}")],
        style=Style(stacked=True),
    )
