"""For every interleaving of charging and cancelling: a cancelled order keeps no money, a paid one is charged once.

Every delivery has three steps (prepare, call, settle). All orders of the steps of a charge, the same charge delivered
a second time, and a cancelling are tried, for each way a charge can go.
"""

import random
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payment.domain import PaymentState
from services.shared.contracts.payments import PaymentFailed, PaymentRefunded, PaymentSuccess, PaymentVoided
from tests.unit.payment.harness import CANCELLING, RESERVED, PaymentHarness

PLANS = [
    (),
    ("declined",) * 9,
    ("lost",),
    ("failure",),
    ("failure", "failure", "lost"),
    ("unconfirmed", "unconfirmed"),
    ("unconfirmed", "lost"),
]


def interleavings(*steps: int) -> Iterator[tuple[int, ...]]:
    """All interleavings of deliveries with these numbers of steps."""
    if not any(steps):
        yield ()
    for number, left in enumerate(steps):
        if left:
            for rest in interleavings(*steps[:number], left - 1, *steps[number + 1 :]):
                yield (number, *rest)


async def advance(deliveries: Sequence[AsyncIterator[str]], order: Sequence[int]) -> None:
    for number in order:
        await anext(deliveries[number], "over")


def assert_cancelled(harness: PaymentHarness, cancellings: int = 1) -> None:
    answers = [data for data in harness.published if isinstance(data, PaymentVoided | PaymentRefunded)]
    outcomes = [data for data in harness.published if data not in answers]
    assert sum(harness.gateway.entries) == 0
    assert len(harness.gateway.entries) in {0, 2}, "charged and refunded at most once"
    assert len(answers) == cancellings
    assert len({type(answer) for answer in answers}) == 1
    assert len(outcomes) <= 1
    assert outcomes == harness.published_before_cancelling, "only answers follow the stored cancelling"
    if harness.gateway.entries:
        assert harness.payment.state is PaymentState.REFUNDED
        assert isinstance(answers[0], PaymentRefunded)
        assert answers[0].amount_cents == RESERVED.total_cents
    else:
        assert harness.payment.state is PaymentState.VOIDED


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: ",".join(plan[:3]) or "ok")
async def test_every_interleaving_of_charging_twice_and_cancelling(plan: tuple[str, ...]) -> None:
    for order in interleavings(3, 3, 3):
        harness = PaymentHarness(plan)
        reserved, cancelling = harness.event(RESERVED), harness.event(CANCELLING)
        await advance([harness.deliver(reserved), harness.deliver(reserved), harness.deliver(cancelling)], order)
        await harness.finish(cancelling, reserved)
        assert_cancelled(harness)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: ",".join(plan[:3]) or "ok")
async def test_every_interleaving_of_three_deliveries_of_one_charge(plan: tuple[str, ...]) -> None:
    for order in interleavings(3, 3, 3):
        harness = PaymentHarness(plan)
        reserved = harness.event(RESERVED)
        await advance([harness.deliver(reserved) for _ in range(3)], order)
        await harness.finish(reserved)
        if plan[:1] == ("declined",):
            assert harness.published == [PaymentFailed(code="card_declined")]
            assert harness.payment.state is PaymentState.FAILED
            assert harness.gateway.entries == []
        else:
            assert [type(data) for data in harness.published] == [PaymentSuccess]
            assert harness.payment.state is PaymentState.PAID
            assert harness.gateway.entries == [RESERVED.total_cents]


@given(seed=st.integers(0, 2**32), plan=st.lists(st.sampled_from(["ok", "declined", "lost", "failure", "unconfirmed"])))
async def test_crashes_repetitions_and_two_cancellings(seed: int, plan: list[str]) -> None:
    rng = random.Random(seed)
    harness = PaymentHarness([*dict.fromkeys(plan)])
    events = [harness.event(RESERVED), harness.event(CANCELLING), harness.event(CANCELLING)]
    running: list[AsyncIterator[str]] = []
    for _ in range(40):
        if len(running) < 4:
            running.append(harness.deliver(rng.choice(events)))
        delivery = rng.choice(running)
        # A crash ends a delivery between two of its steps.
        if await anext(delivery, "over") == "over" or rng.random() < 0.2:
            running.remove(delivery)
    await harness.finish(*events)
    assert_cancelled(harness, cancellings=2)
