"""Charges and refunds on the real database, with two replicas."""

import asyncio
import json
import random
from uuid import uuid4

import pytest

from services.payment.domain import Charged
from services.payment.gateway import ChargeRejected
from services.payment.handlers import prepare_void
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.store import PaymentRepository
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import Participant
from services.shared.contracts.payments import PaymentRefunded, PaymentSuccess
from tests.events import cancelling, inventory_reserved
from tests.integration.payment.conftest import PaymentEnv
from tests.service_replica import Replica, types_of
from warren_messaging import codec
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import with_new_ids


async def until_done(replica: Replica, event: AnyEvent) -> list[Verdict]:
    """Redelivers the event while it is rejected, as the broker does."""
    verdicts: list[Verdict] = []
    while not verdicts or verdicts[-1] is Verdict.RETRY:
        assert len(verdicts) < 20, "the event is rejected 20 times"
        verdicts += await replica.process(event, returned=bool(verdicts))
        await asyncio.sleep(0.05 if verdicts[-1] is Verdict.RETRY else 0)
    return verdicts


@pytest.mark.parametrize(
    "bad",
    [{"totalCents": 2**64}, {"totalCents": -5}, {"paymentToken": "tok\0"}, {"currency": "E\0R"}, {"currency": "euro"}],
)
async def test_an_event_with_an_invalid_value_is_parked_without_its_batch(
    env: PaymentEnv, bad: dict[str, object]
) -> None:
    events = [inventory_reserved(uuid4()) for _ in range(9)]
    bodies = [json.loads(codec.encode(event)) for event in events]
    for body in bodies[:5]:
        body["data"] |= bad
    verdicts = await env.replicas[0].process(*(json.dumps(body).encode() for body in bodies))
    assert verdicts == [Verdict.DEAD_LETTER] * 5 + [Verdict.ACK] * 4
    assert {attempts for _, attempts, _ in env.replicas[0].telemetry.failures} == {1}
    assert [await env.net(event.subject) for event in events] == [(0, 0)] * 5 + [(1, 990)] * 4


async def test_only_the_charge_with_a_refused_value_fails(gateway: SimulatedGateway) -> None:
    answers = await asyncio.gather(
        *(gateway.charge(str(uuid4()), amount, "EUR", "tok_ok") for amount in (1, 2**64, 2, -5, 3)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Charged, ChargeRejected, Charged, ChargeRejected, Charged]


async def test_a_batch_of_orders_is_charged_once_each(env: PaymentEnv) -> None:
    order_ids = [uuid4() for _ in range(60)]
    events = [inventory_reserved(order_id) for order_id in order_ids]
    assert set(await env.replicas[0].process(*events)) == {Verdict.ACK}
    assert set(await env.replicas[1].process(*events, returned=True)) == {Verdict.ACK}
    published = await env.db.outbox_events("payment")
    for order_id in order_ids:
        assert types_of(published, order_id) == ["payment.success"]
        assert await env.net(order_id) == (1, 990)
    success = next(event for event in published if event.subject == order_ids[0])
    [charge_id] = (await env.db.sql("SELECT charge_id FROM payment.payments WHERE order_id = $1", order_ids[0]))[0]
    assert success.reference == "A-1"
    assert success.data == PaymentSuccess(customer="ada", charge_id=charge_id, amount_cents=990, currency="EUR")


async def test_the_success_of_an_express_order_has_its_priority(env: PaymentEnv) -> None:
    express, standard = uuid4(), uuid4()
    await env.replicas[0].process(inventory_reserved(express, express=True), inventory_reserved(standard))
    priorities = {event.subject: event.priority for event in await env.db.outbox_events("payment")}
    assert (priorities[express], priorities[standard]) == (8, None)


@pytest.mark.parametrize(("token", "code"), [("tok_declined", "card_declined"), ("tok_nonsense", "invalid_token")])
async def test_a_declined_charge_fails_with_the_gateways_code(env: PaymentEnv, token: str, code: str) -> None:
    order_id = uuid4()
    await env.replicas[0].process(inventory_reserved(order_id, token))
    [event] = await env.published(order_id)
    assert (event.type, event.data.code) == ("payment.failed", code)
    await env.replicas[0].process(cancelling(order_id))
    assert await env.published_types(order_id) == ["payment.failed", "payment.voided"]
    assert await env.net(order_id) == (0, 0)


@pytest.mark.parametrize(("token", "tries"), [("tok_flaky", 3), ("tok_lost_answer", 2)])
async def test_a_failing_charge_is_retried_until_charged_once(env: PaymentEnv, token: str, tries: int) -> None:
    order_id = uuid4()
    verdicts = await until_done(env.replicas[0], inventory_reserved(order_id, token))
    assert verdicts == [Verdict.RETRY] * (tries - 1) + [Verdict.ACK]
    assert await env.published_types(order_id) == ["payment.success"]
    assert await env.net(order_id) == (1, 990)


async def test_an_unconfirmed_charge_is_retried_until_the_order_is_cancelled(env: PaymentEnv) -> None:
    order_id = uuid4()
    charge = inventory_reserved(order_id, "tok_abandoned")
    for _ in range(10):
        assert await env.replicas[0].process(charge, returned=True) == [Verdict.RETRY]
    assert await env.replicas[1].process(cancelling(order_id)) == [Verdict.ACK]
    assert await env.replicas[0].process(charge, returned=True) == [Verdict.ACK]
    assert await env.published_types(order_id) == ["payment.voided"]
    assert await env.state(order_id) == "voided"


async def test_cancelling_a_paid_order_refunds_it_and_answers_each_request(env: PaymentEnv) -> None:
    order_id = uuid4()
    cancel = cancelling(order_id)
    await env.replicas[0].process(inventory_reserved(order_id))
    for event in (cancel, cancel, with_new_ids(cancel)):
        assert await env.replicas[1].process(event) == [Verdict.ACK]
    published = await env.published(order_id)
    assert [event.type for event in published] == ["payment.success", "payment.refunded", "payment.refunded"]
    assert [event.sourcesequence for event in published] == [1, 2, 3]
    assert isinstance(published[1].data, PaymentRefunded)
    assert published[1].data == published[2].data
    assert (published[1].data.amount_cents, published[1].data.currency) == (990, "EUR")
    assert await env.net(order_id) == (1, 0)


async def test_a_cancelling_without_payment_stores_nothing(env: PaymentEnv) -> None:
    order_id = uuid4()
    assert await env.replicas[0].process(cancelling(order_id, Participant.SHIPPING)) == [Verdict.ACK]
    assert await env.state(order_id) is None
    assert await env.published_types(order_id) == []


async def test_a_late_reservation_of_a_cancelled_order_charges_nothing(env: PaymentEnv) -> None:
    order_id = uuid4()
    await env.replicas[0].process(cancelling(order_id))
    await env.replicas[1].process(inventory_reserved(order_id))
    assert await env.published_types(order_id) == ["payment.voided"]
    assert await env.net(order_id) == (0, 0)
    assert await env.state(order_id) == "voided"


async def test_a_cancelling_during_a_charge_refunds_it(
    env: PaymentEnv, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other replica processes the whole cancelling between the charge and its result."""
    order_id = uuid4()
    answered, go = asyncio.Event(), asyncio.Event()
    original = gateway.charge

    async def slow(*arguments: object) -> object:
        answer = await original(*arguments)  # type: ignore[arg-type]
        answered.set()
        await go.wait()
        return answer

    monkeypatch.setattr(gateway, "charge", slow)
    charging = asyncio.create_task(env.replicas[0].process(inventory_reserved(order_id)))
    await answered.wait()
    assert await env.replicas[1].process(cancelling(order_id)) == [Verdict.ACK]
    go.set()
    assert await charging == [Verdict.ACK]
    assert await env.published_types(order_id) == ["payment.refunded"]
    assert await env.net(order_id) == (1, 0)


async def test_the_result_of_a_charge_waits_for_a_concurrent_cancelling(env: PaymentEnv) -> None:
    order_id = uuid4()
    cancel = cancelling(order_id)
    await env.replicas[0].process(inventory_reserved(order_id, "tok_abandoned"))
    async with env.replicas[0].outbox.transaction(PaymentRepository) as uow:
        await uow.load([cancel])
        other = asyncio.create_task(env.replicas[1].process(inventory_reserved(order_id, "tok_ok")))
        await asyncio.sleep(0.3)
        assert not other.done()
        await prepare_void(cancel, uow)
    assert await other == [Verdict.ACK]
    assert await env.net(order_id) == (0, 0)
    assert await env.state(order_id) == "cancelled"


async def test_shuffled_and_repeated_events_on_two_replicas_converge(env: PaymentEnv) -> None:
    kept, cancelled = [uuid4() for _ in range(25)], [uuid4() for _ in range(50)]
    events = [inventory_reserved(order_id, random.choice(["tok_ok", "tok_flaky"])) for order_id in kept]
    for order_id in cancelled:
        token = random.choice(["tok_ok", "tok_flaky", "tok_declined", "tok_abandoned"])
        events += [
            inventory_reserved(order_id, token),
            cancelling(order_id, Participant.SHIPPING),
            cancelling(order_id),
        ]

    async def consume(replica: Replica) -> None:
        # Each replica gets every event twice; rejected events are redelivered after the others.
        queue = random.sample(events * 2, len(events) * 2)
        for _ in range(12):
            rejected = []
            for start in range(0, len(queue), 20):
                batch = queue[start : start + 20]
                verdicts = await replica.process(*batch, returned=True)
                rejected += [event for event, verdict in zip(batch, verdicts, strict=True) if verdict is Verdict.RETRY]
            queue = rejected
        assert queue == []

    await asyncio.gather(*(consume(replica) for replica in env.replicas))
    published = await env.db.outbox_events("payment")
    for order_id in kept:
        assert types_of(published, order_id) == ["payment.success"]
        assert await env.net(order_id) == (1, 990)
        assert await env.state(order_id) == "paid"
    for order_id in cancelled:
        charges, money = await env.net(order_id)
        answer = types_of(published, order_id)[-1]
        assert money == 0
        assert answer == ("payment.refunded" if charges else "payment.voided")
        assert await env.state(order_id) == answer.removeprefix("payment.")
        assert (
            len([kind for kind in types_of(published, order_id) if kind in ("payment.refunded", "payment.voided")]) == 1
        )
    failures = await env.db.sql(
        "SELECT DISTINCT state FROM payment.failures WHERE subject = ANY($1::uuid[])", kept + cancelled
    )
    assert {row[0] for row in failures} == {"succeeded"}, "a failure is still open"
