"""The invariants of the whole system, checked in its databases and queues after a run.

The demo, the tests and the load test end with these checks. They read as an administrator: no service is asked about
its own correctness. Every check is exact; `wait_for_invariants` adds the time that messages in progress need.
"""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import httpx
import msgspec

from devtools.servers.endpoints import BrokerEndpoints, DatabaseEndpoint
from services.registry import AUDITED, SERVICE_NAMES
from warren_messaging.transaction import Connection

POLL_SECONDS = 0.2


class Check(msgspec.Struct, frozen=True):
    """One invariant, whether it held, and the numbers behind it."""

    name: str
    held: bool
    detail: str


async def check_invariants(
    database: DatabaseEndpoint,
    broker: BrokerEndpoints,
    *,
    vhost: str = "orders",
    accepted: Collection[UUID] = (),
    ignored_queues: tuple[str, ...] = (),
) -> list[Check]:
    """Run all checks, in a fixed order. `accepted` are the orders that the API accepted (202). Queues whose names
    begin with one of `ignored_queues` may still hold messages."""
    async with database.connection() as connection:
        depths = await queue_depths(broker, vhost)
        return [
            await _orders_final(connection, accepted),
            await _stock_conserved(connection),
            await _stock_matches_orders(connection),
            await _money_matches_orders(connection),
            await _audit_complete(connection),
            await _outboxes_empty(connection),
            await _failures_parked(connection, depths),
            _queues_drained({name: count for name, count in depths.items() if not name.startswith(ignored_queues)}),
        ]


async def wait_for_invariants(
    database: DatabaseEndpoint,
    broker: BrokerEndpoints,
    *,
    seconds: float,
    vhost: str = "orders",
    accepted: Collection[UUID] = (),
) -> list[Check]:
    """Repeat the checks until all hold, for at most `seconds`; returns the last results."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        checks = await check_invariants(database, broker, vhost=vhost, accepted=accepted)
        if all(check.held for check in checks) or asyncio.get_running_loop().time() > deadline:
            return checks
        await asyncio.sleep(POLL_SECONDS)


async def queue_depths(broker: BrokerEndpoints, vhost: str) -> dict[str, int]:
    """Count the messages of each queue: ready, delayed and unacknowledged."""
    # Without statistics the totals are fresher by up to five seconds.
    queues = await _queues(broker, vhost, disable_stats="true", enable_queue_totals="true")
    return {queue["name"]: queue.get("messages", 0) for queue in queues}


async def quorums_online(broker: BrokerEndpoints, vhost: str) -> dict[str, int]:
    """Count the online members of each quorum queue."""
    queues = await _queues(broker, vhost, columns="name,type,online")
    return {queue["name"]: len(queue["online"]) for queue in queues if queue["type"] == "quorum"}


async def _queues(broker: BrokerEndpoints, vhost: str, **wanted: str) -> list[dict[str, Any]]:
    tls = ssl.create_default_context(cafile=broker.ca_file)
    async with httpx.AsyncClient(auth=broker.login, verify=tls, timeout=20) as client:
        response = await client.get(f"{broker.management_url}/api/queues/{vhost}", params=wanted)
        response.raise_for_status()
        return list(response.json())


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
    """For each article, the pieces that inventory counts as sold are those of completed orders."""
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
    return Check("stock is sold only to completed orders", not wrong, detail)


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
    """The audit log has the events of each source and order that the source has numbered, 1 to n."""
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
    """Each recorded failure either succeeded later or is in its service's parking lot.

    A replay that was killed may leave a second copy of a message in the parking lot, but never fewer than on record.
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
    return Check("every failed message is in a parking lot", not wrong, detail)


def _queues_drained(depths: Mapping[str, int]) -> Check:
    """All queues but the parking lots are empty, unrouted.queue included."""
    full = {name: count for name, count in depths.items() if count and not name.endswith(".dlq")}
    detail = ", ".join(f"{count} in {name}" for name, count in full.items()) or f"{len(depths)} queues"
    return Check("no message waits anywhere else", not full, detail)
