"""A past: as many rows as wanted in every table that grows, as completed orders of the last month leave them.

They are consistent, so that the invariants can be judged over old and new orders together. What the tables hold by
the million is what counts here; the few columns that no statement looks at are short.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from loadtest.errors import RunFailed
from warren.invariants import AUDITED, PUBLISHERS
from warren.local.addresses import DatabaseAddress

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

NUMBERED = (*AUDITED, "notification")
OLDEST, YOUNGEST = 29, 1  # days

# As UUIDv7: the time in front, so that rows come in the order of their keys, as they do in life.
_FUNCTIONS = """
CREATE FUNCTION pg_temp.moment(number bigint, rows bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp({oldest}) + interval '{days} days' * number / rows
$$;
CREATE FUNCTION pg_temp.id(number bigint, rows bigint, salt text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM pg_temp.moment(number, rows)) * 1000)::bigint), 12, '0')
        || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid FROM md5(salt || number) AS hash
$$;
"""

_EVERY_ORDER = (
    "SELECT pg_temp.id(n, $1, 'order') AS id, pg_temp.moment(n, $1) AS at, n FROM generate_series(1, $1) AS n"
)

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
    """Every statement that fills one, by its table; $1 is the number of rows."""
    found = {table: f"INSERT INTO {table} {rest} FROM ({_EVERY_ORDER}) AS o" for table, rest in _ORDERS.items()}
    for name in NUMBERED:
        found[f'"{name}".sequences'] = f'INSERT INTO "{name}".sequences SELECT id, 1 FROM ({_EVERY_ORDER}) AS o'  # noqa: S608
    for name in PUBLISHERS:
        found[f'"{name}".inbox'] = (
            f"INSERT INTO \"{name}\".inbox SELECT '{name}', pg_temp.id(n, $1, '{name}'), pg_temp.moment(n, $1)"  # noqa: S608
            " FROM generate_series(1, $1) AS n"
        )
        # Published events leave no row, so there is no history of them; but they were there.
        found[f'"{name}".outbox'] = (
            f'WITH stored AS (INSERT INTO "{name}".outbox (exchange, body, owner, leased_until)'  # noqa: S608
            " SELECT 'order.exchange', convert_to(repeat('x', 700), 'UTF8'), gen_random_uuid(), 'infinity'"
            " FROM generate_series(1, $1::bigint)) SELECT"
        )
    sources = ", ".join(f"('/warren/{name}')" for name in AUDITED)
    found["audit.events"] = (
        "INSERT INTO audit.events (source, subject, sequence, id, logical_id, type, time, recorded_at, body)"  # noqa: S608
        " SELECT source, o.id, 1, e.id, e.id, 'order.completed', at, at, convert_to(repeat('x', 500), 'UTF8')"
        f" FROM ({_EVERY_ORDER}) AS o CROSS JOIN (VALUES {sources}) AS s (source)"
        " CROSS JOIN LATERAL pg_temp.id(n, $1, source) AS e (id)"
    )
    return found


async def fill(database: DatabaseAddress, rows: int, on_table: Callable[[float, str], None]) -> int:
    """Put them in, and leave the tables as vacuum leaves them; returns how many rows there are. For a million in each
    table: some minutes, 8 GiB."""
    connection = await asyncpg.connect(database.dsn())
    total = 0
    try:
        oldest = int(await connection.fetchval("SELECT extract(epoch FROM now())")) - OLDEST * 86400
        await connection.execute(_FUNCTIONS.format(oldest=oldest, days=OLDEST - YOUNGEST))
        statements = tables()
        for done, (table, statement) in enumerate(statements.items()):
            on_table(done / len(statements), table)
            await connection.execute(statement, rows, timeout=1800)
            if table.endswith(".outbox"):
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
