"""A past: as many rows as wanted in every table that grows, as completed orders of the last month leave them.

They are consistent, so that the invariants can be judged over old and new orders together. What the tables hold by
the million is what counts here; the few columns that no statement looks at are short.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from devtools.servers.endpoints import DatabaseEndpoint
from loadtest.errors import RunFailed
from services.registry import AUDITED, SERVICE_NAMES

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

EMPTIED = '"order".outbox'
NUMBERED = (*AUDITED, "notification")
OLDEST, YOUNGEST = 29, 1  # days

# Ids are UUIDv7, with the time in front: rows come in the order of their keys, as they do in life.
_PAST = f"""
CREATE TEMPORARY TABLE past AS
SELECT n, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
    || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid AS id
FROM (SELECT n, md5(n::text) AS hash, date_trunc('milliseconds', now()) - interval '{OLDEST} days'
    + interval '{OLDEST - YOUNGEST} days' * n / $1::bigint AS at FROM generate_series(1, $1::bigint) AS n) AS o
"""  # noqa: S608 - constants

_ORDERS: dict[str, str] = {
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
    "notification.conversations": """(order_id, customer, contact_known, told, last_at) SELECT id,
        'customer ' || n % 500, true, '{order.created,order.paid,order.shipped,order.completed}', at""",
    "gateway.charges": """(key, charge_id, state, amount_cents, currency, token, created_at, changed_at)
        SELECT id::text, 'ch_' || md5(n::text), 'charged', 100, 'EUR', 'tok_ok', at, at""",
    "gateway.entries": "(key, kind, amount_cents, booked_at) SELECT id::text, 'charge', 100, at",
    "email.deliveries": "(id, order_id, topic, state, noted_at) SELECT id, id, 'order.paid', 'skipped', at",
    "sms.deliveries": "(id, order_id, topic, state, noted_at) SELECT id, id, 'order.paid', 'skipped', at",
}
"""Table to its columns and what is in them, of one order each."""


def tables() -> dict[str, str]:
    """Every statement that fills one, by its table, from the table `past`."""
    found = {table: f"INSERT INTO {table} {rest} FROM past" for table, rest in _ORDERS.items()}
    for name in NUMBERED:
        found[f'"{name}".sequences'] = f'INSERT INTO "{name}".sequences SELECT id, 1 FROM past'  # noqa: S608
    for name in SERVICE_NAMES:
        found[f'"{name}".inbox'] = f"INSERT INTO \"{name}\".inbox SELECT '{name}', id, at FROM past"  # noqa: S608
    # Published events leave no row, so there is no history of them; but they were there.
    found[EMPTIED] = (
        f"INSERT INTO {EMPTIED} (exchange, body, owner, leased_until)"  # noqa: S608 - a constant
        " SELECT 'order.exchange', convert_to(repeat('x', 700), 'UTF8'), id, 'infinity' FROM past"
    )
    found["audit.events"] = (
        "INSERT INTO audit.events (source, subject, sequence, id, logical_id, type, time, recorded_at, body)"  # noqa: S608
        " SELECT '/warren/' || source, id, 1, id, id, 'order.completed', at, at, convert_to(repeat('x', 500), 'UTF8')"
        f" FROM past CROSS JOIN unnest('{{{','.join(AUDITED)}}}'::text[]) AS s (source)"
    )
    return found


async def fill(database: DatabaseEndpoint, rows: int, on_table: Callable[[float, str], None]) -> int:
    """Put them in, and leave the tables as vacuum leaves them; returns how many rows there are. For a million in each
    table: some minutes, 8 GiB."""
    connection = await asyncpg.connect(database.dsn())
    total = 0
    try:
        # Foreign keys are not looked up: what is put in fits.
        await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        await connection.execute(_PAST, rows, timeout=1800)
        statements = tables()
        for done, (table, statement) in enumerate(statements.items()):
            on_table(done / len(statements), table)
            await connection.execute(statement, timeout=1800)
            if table == EMPTIED:
                await connection.execute(f"DELETE FROM {table} WHERE leased_until = 'infinity'", timeout=1800)  # noqa: S608
            else:
                total += rows * (len(AUDITED) if table == "audit.events" else 1)
            await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=1800)
        await connection.execute("CHECKPOINT", timeout=600)
    except asyncpg.PostgresError as error:
        raise RunFailed(f"the database does not take so many rows: {error}") from error
    finally:
        await connection.close()
    return total
