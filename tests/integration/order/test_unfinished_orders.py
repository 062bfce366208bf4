"""The gauges of unfinished orders: their values, and that a query reads no finished order."""

import json
import math

import pytest
from prometheus_client import CollectorRegistry

from services.order.metrics import UnfinishedOrders
from services.order.queries import UNFINISHED_ORDERS
from tests.service_replica import ServiceDatabase
from warren_messaging.postgres.database import Database

INSERT = """
    INSERT INTO "order".orders (id, customer, fingerprint, lines, total_cents, currency, express, reached, state,
        reason, created_at)
    SELECT gen_random_uuid(), 'ada', '', '[]', 1, 'EUR', false, $2, $3, $4, now() - make_interval(secs => $5)
    FROM generate_series(1, $1::int)
"""


async def insert(db: ServiceDatabase, count: int, reached: str, state: str, age: float) -> None:
    reason = "customer" if state in {"CANCELLING", "CANCELLED"} else None
    await db.sql(INSERT, count, reached, state, reason, age)


async def test_gauges_show_unfinished_orders_by_state_and_those_that_are_overdue(db: ServiceDatabase) -> None:
    registry = CollectorRegistry()
    database = Database(db.address("order"))
    orders = UnfinishedOrders(database, registry)
    await orders.refresh()
    assert math.isnan(registry.get_sample_value("warren_orders_overdue") or 0), "the pool is closed: unknown"
    await database.open()
    try:
        await db.sql('DELETE FROM "order".orders')
        await insert(db, 3, "PENDING", "PENDING", 30)
        await insert(db, 2, "CONFIRMED", "CONFIRMED", 90)
        await insert(db, 1, "PENDING", "CANCELLING", 120)
        await insert(db, 4, "PAID", "PAID", 7200)
        await insert(db, 5, "COMPLETED", "COMPLETED", 9000)
        await insert(db, 6, "CONFIRMED", "CANCELLED", 9000)
        await orders.refresh()
    finally:
        await database.close()

    def value(name: str, **labels: str) -> float:
        found = registry.get_sample_value(name, labels)
        assert found is not None
        return found

    counts = {"PENDING": 3, "CONFIRMED": 2, "PAID": 4, "SHIPPED": 0, "CANCELLING": 1}
    assert {state: value("warren_orders", state=state) for state in counts} == counts
    assert registry.get_sample_value("warren_orders", {"state": "COMPLETED"}) is None
    assert value("warren_orders_overdue") == 3
    assert 7200 <= value("warren_orders_oldest_age_seconds", state="PAID") < 7300
    assert value("warren_orders_oldest_age_seconds", state="SHIPPED") == 0


@pytest.mark.parametrize(
    "finished", [20_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_finished_orders_cost_the_query_nothing(db: ServiceDatabase, finished: int) -> None:
    await db.sql('DELETE FROM "order".orders')
    await insert(db, finished, "COMPLETED", "COMPLETED", 86400)
    await insert(db, 50, "PENDING", "PENDING", 1)
    await db.sql('VACUUM ANALYZE "order".orders')
    async with db.connection("order") as connection:
        [(plan,)] = await connection.fetch(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {UNFINISHED_ORDERS}", 100_000, ["PENDING", "CONFIRMED"], 60.0
        )
    explained = json.loads(plan)[0]
    assert "orders_unfinished" in plan
    assert "Seq Scan" not in plan
    root = explained["Plan"]
    assert root["Shared Hit Blocks"] + root["Shared Read Blocks"] < 200, plan
