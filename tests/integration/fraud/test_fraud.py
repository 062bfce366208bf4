"""The fraud service's handler and table on the real database."""

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID, uuid4

import msgspec
import pytest

from services.fraud.domain import RuleLimits
from services.fraud.handlers import HANDLERS
from services.fraud.store import AssessmentRepository
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import Contact
from tests.events import order_created
from tests.service_replica import Replica, ServiceDatabase, replica
from tests.services import database_fixture
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of, with_new_ids

schema = database_fixture("fraud")
SUSPICIOUS = msgspec.structs.replace(
    order_created(("mug", 200), express=True, contact=Contact(email="x@yopmail.com")), total_cents=100_000
)


@pytest.fixture
async def db(schema: ServiceDatabase) -> AsyncIterator[ServiceDatabase]:
    await schema.sql("TRUNCATE fraud.assessments, fraud.outbox, fraud.sequences, fraud.inbox")
    yield schema


@pytest.fixture
async def fraud(db: ServiceDatabase) -> AsyncIterator[Replica]:
    limits = RuleLimits(orders_per_hour=3)
    async with replica(db, "fraud", HANDLERS, partial(AssessmentRepository, limits=limits)) as fraud:
        yield fraud


def created(order_id: UUID, *, suspicious: bool = False) -> AnyEvent:
    return event_of(SUSPICIOUS if suspicious else order_created(("mug", 1)), subject=order_id, reference="A-1")


async def rules_of(db: ServiceDatabase, order_id: UUID) -> list[str]:
    [row] = await db.sql("SELECT rules FROM fraud.assessments WHERE order_id = $1", order_id)
    return [rule["name"] for rule in msgspec.json.decode(row["rules"])]


async def test_each_order_is_assessed_once_and_only_a_suspicious_one_is_announced(
    db: ServiceDatabase, fraud: Replica
) -> None:
    honest, suspicious = created(uuid4()), created(uuid4(), suspicious=True)
    await fraud.process(honest, suspicious, suspicious)
    await fraud.process(suspicious)
    rows = await db.sql("SELECT order_id, reference, customer, score, flagged FROM fraud.assessments ORDER BY score")
    assert [tuple(row) for row in rows] == [
        (honest.subject, "A-1", "ada", 0, False),
        (suspicious.subject, "A-1", "ada", 130, True),
    ]
    published = await db.outbox_events("fraud")
    assert [(event.type, event.subject) for event in published] == [
        ("fraud.flagged", suspicious.subject),
        ("order.cancel_requested", suspicious.subject),
    ]
    assert [rule.name for rule in published[0].data.rules] == await rules_of(db, suspicious.subject)


async def test_orders_of_the_last_hour_count_within_a_batch_and_across_batches(
    db: ServiceDatabase, fraud: Replica
) -> None:
    first = [created(uuid4()) for _ in range(2)]
    await fraud.process(*first)
    await db.sql(
        "UPDATE fraud.assessments SET assessed_at = now() - interval '61 minutes' WHERE order_id = $1", first[0].subject
    )
    second = [created(uuid4()) for _ in range(3)]
    await fraud.process(*second)
    assert [await rules_of(db, event.subject) for event in second] == [[], [], ["many_orders"]]


async def test_the_first_assessment_of_an_order_stays(db: ServiceDatabase, fraud: Replica) -> None:
    event = created(uuid4())
    verdicts = await fraud.process(event, with_new_ids(event))
    assert [*verdicts, *await fraud.process(with_new_ids(event))] == [Verdict.ACK] * 3
    assert [row["order_id"] for row in await db.sql("SELECT order_id FROM fraud.assessments")] == [event.subject]


async def test_thousands_of_orders_of_one_customer_cost_no_more_than_a_few(db: ServiceDatabase, fraud: Replica) -> None:
    await db.sql(
        "INSERT INTO fraud.assessments (order_id, customer, score, flagged, rules)"
        " SELECT gen_random_uuid(), 'ada', 0, false, '[]' FROM generate_series(1, 20000)"
    )
    event = created(uuid4())
    await fraud.process(event)
    assert await rules_of(db, event.subject) == ["many_orders"]
    plan = await db.sql(
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM (SELECT FROM fraud.assessments AS a WHERE"
        " a.customer = 'ada' AND a.assessed_at > now() - interval '1 hour' LIMIT 3) AS recent"
    )
    [explained] = msgspec.json.decode(plan[0][0])
    assert "Seq Scan" not in str(explained)
