"""What must hold once a run has come to rest, judged from the databases and the broker.

The demo, the tests and the load test all end with this. It looks from outside, with an administrator's eyes: no
service is asked about its own correctness. Every statement is exact; `seconds` of waiting belong to `settled`.
"""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import httpx
import msgspec

from devtools.servers.endpoints import BrokerEndpoints, DatabaseEndpoint
from services.registry import AUDITED, SERVICE_NAMES

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

POLL_SECONDS = 0.2


class Check(msgspec.Struct, frozen=True):
    """One statement about the system, and the figures it rests on."""

    name: str
    held: bool
    detail: str


async def judge(
    database: DatabaseEndpoint,
    broker: BrokerEndpoints,
    *,
    vhost: str = "orders",
    accepted: Collection[UUID] = (),
    apart_from: tuple[str, ...] = (),
) -> list[Check]:
    """All checks, in a fixed order. `accepted` are the orders that were answered with 202; queues whose names begin
    with one of `apart_from` may still hold messages."""
    connection = await asyncpg.connect(database.dsn())
    try:
        depths = await queue_depths(broker, vhost)
        return [
            await _orders_final(connection, accepted),
            await _stock_conserved(connection),
            await _stock_matches_orders(connection),
            await _money_matches_orders(connection),
            await _audit_complete(connection),
            await _outboxes_empty(connection),
            await _failures_parked(connection, depths),
            _queues_drained({name: count for name, count in depths.items() if not name.startswith(apart_from)}),
        ]
    finally:
        await connection.close()


async def settled(
    database: DatabaseEndpoint,
    broker: BrokerEndpoints,
    *,
    seconds: float,
    vhost: str = "orders",
    accepted: Collection[UUID] = (),
) -> list[Check]:
    """Wait until every check holds, at most `seconds`; returns the last verdict either way."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        checks = await judge(database, broker, vhost=vhost, accepted=accepted)
        if all(check.held for check in checks) or asyncio.get_running_loop().time() > deadline:
            return checks
        await asyncio.sleep(POLL_SECONDS)


async def queue_depths(broker: BrokerEndpoints, vhost: str) -> dict[str, int]:
    """Messages in each queue, waiting, delayed or being delivered."""
    # The totals as the queues reported them last; with statistics they are up to five seconds older still.
    queues = await _queues(broker, vhost, disable_stats="true", enable_queue_totals="true")
    return {queue["name"]: queue.get("messages", 0) for queue in queues}


async def quorums_online(broker: BrokerEndpoints, vhost: str) -> dict[str, int]:
    """How many members of each quorum queue are online."""
    queues = await _queues(broker, vhost, columns="name,type,online")
    return {queue["name"]: len(queue["online"]) for queue in queues if queue["type"] == "quorum"}


async def _queues(broker: BrokerEndpoints, vhost: str, **wanted: str) -> list[dict[str, Any]]:
    tls = ssl.create_default_context(cafile=broker.ca_file)
    login = (broker.admin_username, broker.admin_password)
    async with httpx.AsyncClient(auth=login, verify=tls, timeout=20) as client:
        answer = await client.get(f"{broker.management_url}/api/queues/{vhost}", params=wanted)
        answer.raise_for_status()
        return list(answer.json())


async def _orders_final(connection: Connection, accepted: Collection[UUID]) -> Check:
    rows = await connection.fetch('SELECT state, count(*) FROM "order".orders GROUP BY state ORDER BY state')
    states = {row[0]: row[1] for row in rows}
    found = await connection.fetchval('SELECT count(*) FROM "order".orders WHERE id = ANY($1::uuid[])', list(accepted))
    missing = len(set(accepted)) - int(found or 0)
    moving = sum(count for state, count in states.items() if state not in {"COMPLETED", "CANCELLED"})
    detail = ", ".join(f"{count} {state}" for state, count in states.items()) or "no orders"
    if missing:
        detail += f"; {missing} accepted orders are missing"
    return Check("every accepted order has reached a final state", not moving and not missing, detail)


async def _stock_conserved(connection: Connection) -> Check:
    row = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE on_hand < 0 OR reserved < 0 OR sold < 0"
        "  OR on_hand + reserved + sold <> received),"
        " coalesce(sum(on_hand), 0), coalesce(sum(reserved), 0), coalesce(sum(sold), 0), coalesce(sum(received), 0)"
        " FROM inventory.stock"
    )
    wrong, on_hand, reserved, sold, received = (int(figure) for figure in row or (0, 0, 0, 0, 0))
    held = wrong == 0 and on_hand + reserved + sold == received
    return Check(
        "stock is conserved and never negative",
        held,
        f"{on_hand} on hand + {reserved} reserved + {sold} sold = {received} received"
        + (f"; {wrong} articles are wrong" if wrong else ""),
    )


async def _stock_matches_orders(connection: Connection) -> Check:
    """What inventory holds as sold is what completed orders bought, article by article."""
    rows = await connection.fetch(
        """
        WITH bought AS (
            SELECT line->>'sku' AS sku, sum((line->>'quantity')::bigint) AS pieces
            FROM "order".orders, jsonb_array_elements(lines) AS line WHERE state = 'COMPLETED' GROUP BY 1
        )
        SELECT coalesce(s.sku, b.sku) FROM inventory.stock s FULL JOIN bought b USING (sku)
        WHERE coalesce(s.sold, 0) <> coalesce(b.pieces, 0) OR coalesce(s.reserved, 0) <> 0
        """
    )
    wrong = [row[0] for row in rows]
    detail = f"differs for {', '.join(wrong[:5])}" if wrong else "sold = bought by completed orders; nothing reserved"
    return Check("nothing is sold but to completed orders", not wrong, detail)


async def _money_matches_orders(connection: Connection) -> Check:
    row = await connection.fetchrow(
        """
        WITH money AS (
            SELECT key, count(*) FILTER (WHERE kind = 'charge') AS charges, sum(amount_cents) AS net
            FROM gateway.entries GROUP BY key
        )
        SELECT count(*) FILTER (WHERE o.state = 'COMPLETED' AND (m.charges IS DISTINCT FROM 1
                   OR m.net IS DISTINCT FROM o.total_cents)),
               count(*) FILTER (WHERE o.state = 'CANCELLED' AND coalesce(m.net, 0) <> 0),
               count(*) FILTER (WHERE o.id IS NULL),
               coalesce(sum(m.net), 0)
        FROM "order".orders o FULL JOIN money m ON m.key = o.id::text
        """
    )
    unpaid, kept, stray, net = (int(figure) for figure in row or (0, 0, 0, 0))
    detail = f"net {net / 100:.2f} taken"
    for count, what in ((unpaid, "paid wrongly"), (kept, "cancelled but not refunded"), (stray, "of no order")):
        detail += f"; {count} {what}" if count else ""
    return Check("one charge for a paid order, net zero for a cancelled one", not (unpaid or kept or stray), detail)


async def _audit_complete(connection: Connection) -> Check:
    """As many events of each source and order as that source has counted, numbered 1 to n."""
    sent = " UNION ALL ".join(
        f"SELECT '/warren/{name}' AS source, subject, last FROM \"{name}\".sequences"  # noqa: S608 - constants
        for name in AUDITED
    )
    row = await connection.fetchrow(
        f"""
        WITH sent AS ({sent}),
             kept AS (SELECT source, subject, count(*) AS events, max(sequence) AS last FROM audit.events GROUP BY 1, 2)
        SELECT count(*) FILTER (WHERE k.events IS DISTINCT FROM s.last OR k.last IS DISTINCT FROM s.last),
               coalesce(sum(k.events), 0), (SELECT count(*) FROM audit.contradictions)
        FROM sent s FULL JOIN kept k USING (source, subject)
        """  # noqa: S608 - names are constants above
    )
    gaps, events, contradictions = (int(figure) for figure in row or (0, 0, 0))
    detail = f"{events} events" + (f", {gaps} sequences with gaps" if gaps else ", no gap")
    detail += f", {contradictions} contradictions" if contradictions else ""
    return Check("the audit log has every event, without a gap", not gaps and not contradictions, detail)


async def _outboxes_empty(connection: Connection) -> Check:
    waiting = {}
    for name in SERVICE_NAMES:
        count = await connection.fetchval(f'SELECT count(*) FROM "{name}".outbox')  # noqa: S608 - constants
        if count:
            waiting[name] = count
    detail = ", ".join(f"{count} in {name}" for name, count in waiting.items()) or f"{len(SERVICE_NAMES)} outboxes"
    return Check("the outboxes are empty", not waiting, detail)


async def _failures_parked(connection: Connection, depths: Mapping[str, int]) -> Check:
    """Each failure on record either succeeded later or lies in its service's parking lot.

    A replay that was killed on its way may leave a second copy of a message there, never fewer than on record.
    """
    wrong = []
    total = 0
    for name in SERVICE_NAMES:
        rows = await connection.fetch(f'SELECT state, count(*) FROM "{name}".failures GROUP BY state')  # noqa: S608
        counts = {row[0]: row[1] for row in rows}
        parked = depths.get(f"{name}.dlq", 0)
        total += parked
        on_record = counts.get("parked", 0)
        if counts.get("retrying") or on_record > parked or (parked and not on_record):
            wrong.append(f"{name}: {dict(counts)} on record, {parked} in {name}.dlq")
    detail = "; ".join(wrong) or f"{total} parked, each with its reason on record"
    return Check("what failed is in a parking lot", not wrong, detail)


def _queues_drained(depths: Mapping[str, int]) -> Check:
    """Nothing waits, and no event was routed to nobody."""
    full = {name: count for name, count in depths.items() if count and not name.endswith(".dlq")}
    detail = ", ".join(f"{count} in {name}" for name, count in full.items()) or f"{len(depths)} queues looked at"
    return Check("no message waits anywhere else", not full, detail)
