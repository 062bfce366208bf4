"""Fills every table that grows with rows as completed orders of the last month leave them.

The rows are consistent, so that the invariants hold over old and new orders together. Columns that no statement reads
are short.
"""

from collections.abc import Callable

import asyncpg

from devtools.servers.endpoints import DatabaseEndpoint
from loadtest.child import RunFailed
from services.registry import AUDITED, SERVICE_NAMES

OUTBOX = '"order".outbox'
NUMBERING = (*AUDITED, "notification")
"""Services that publish numbered events."""
MAX_AGE, MIN_AGE = 29, 1  # days

# Ids are UUIDv7, which begin with the time: rows are inserted in the order of their keys, as in production.
_OLD_ORDERS = f"""
CREATE TEMPORARY TABLE old_orders AS
SELECT n, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
    || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid AS id
FROM (SELECT n, md5(n::text) AS hash, date_trunc('milliseconds', now()) - interval '{MAX_AGE} days'
    + interval '{MAX_AGE - MIN_AGE} days' * n / $1::bigint AS at FROM generate_series(1, $1::bigint) AS n) AS o
"""  # noqa: S608 - constants

_COLUMNS: dict[str, str] = {
    '"order".orders': """(id, customer, fingerprint, lines, total_cents, currency, express, facts, reached, state,
        tracking, version, created_at, updated_at)
        SELECT id, 'customer ' || n % 500, decode(md5(n::text), 'hex'), '[]', 100, 'EUR', false,
        '{charged,committed,delivered,prepared,reserved}', 'COMPLETED', 'COMPLETED', 'T' || n, 6, at, at""",
    '"order".idempotency_keys': """(customer, key, fingerprint, order_id, created_at)
        SELECT 'customer ' || n % 500, md5(n::text), decode(md5(n::text), 'hex'), id, at""",
    "inventory.reservations": "(order_id, state, paid, updated_at) SELECT id, 'sold', true, at",
    "payment.payments": """(order_id, state, amount_cents, currency, charge_id, created_at, changed_at)
        SELECT id, 'paid', 100, 'EUR', 'ch_' || md5(n::text), at, at""",
    "shipping.shipments": """(order_id, state, tracking, confirmed, created_at, changed_at)
        SELECT id, 'delivered', 'T' || n, true, at, at""",
    "notification.conversations": """(order_id, customer, contact_known, notified, last_at) SELECT id,
        'customer ' || n % 500, true, '{order.created,order.paid,order.shipped,order.completed}', at""",
    "gateway.charges": """(key, charge_id, state, amount_cents, currency, token, created_at, changed_at)
        SELECT id::text, 'ch_' || md5(n::text), 'charged', 100, 'EUR', 'tok_ok', at, at""",
    "gateway.entries": "(key, kind, amount_cents, booked_at) SELECT id::text, 'charge', 100, at",
    "email.deliveries": "(id, order_id, topic, state, noted_at) SELECT id, id, 'order.paid', 'skipped', at",
    "sms.deliveries": "(id, order_id, topic, state, noted_at) SELECT id, id, 'order.paid', 'skipped', at",
}
"""Table to its columns and their content for one order."""


def tables() -> dict[str, str]:
    """Table to the statement that fills it from the table `old_orders`."""
    found = {table: f"INSERT INTO {table} {rest} FROM old_orders" for table, rest in _COLUMNS.items()}
    for name in NUMBERING:
        found[f'"{name}".sequences'] = f'INSERT INTO "{name}".sequences SELECT id, 1 FROM old_orders'  # noqa: S608
    for name in SERVICE_NAMES:
        found[f'"{name}".inbox'] = f"INSERT INTO \"{name}\".inbox SELECT '{name}', id, at FROM old_orders"  # noqa: S608
    # Rows of published events are removed, so these are deleted again.
    found[OUTBOX] = (
        f"INSERT INTO {OUTBOX} (exchange, body, owner, leased_until)"  # noqa: S608 - a constant
        " SELECT 'order.exchange', convert_to(repeat('x', 700), 'UTF8'), id, 'infinity' FROM old_orders"
    )
    found["audit.events"] = (
        "INSERT INTO audit.events (source, subject, sequence, id, logical_id, type, time, recorded_at, body)"  # noqa: S608
        " SELECT '/warren/' || source, id, 1, id, id, 'order.completed', at, at, convert_to(repeat('x', 500), 'UTF8')"
        f" FROM old_orders CROSS JOIN unnest('{{{','.join(AUDITED)}}}'::text[]) AS s (source)"
    )
    return found


async def fill(database: DatabaseEndpoint, rows: int, on_table: Callable[[float, str], None]) -> int:
    """Insert `rows` orders, and vacuum the tables; returns the number of all rows.

    A million orders take some minutes and 8 GiB. Raises RunFailed.
    """
    total = 0
    try:
        async with database.connection() as connection:
            # Without checks of foreign keys: the rows are consistent.
            await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
            await connection.execute(_OLD_ORDERS, rows, timeout=1800)
            statements = tables()
            for done, (table, statement) in enumerate(statements.items()):
                on_table(done / len(statements), table)
                await connection.execute(statement, timeout=1800)
                if table == OUTBOX:
                    await connection.execute(f"DELETE FROM {table} WHERE leased_until = 'infinity'", timeout=1800)  # noqa: S608
                else:
                    total += rows * (len(AUDITED) if table == "audit.events" else 1)
                await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=1800)
            await connection.execute("CHECKPOINT", timeout=600)
    except asyncpg.PostgresError as error:
        raise RunFailed(f"the database refuses {rows:,} rows in each table: {error}") from error
    return total
