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
from tests.unit.payment.world import CANCELLING, DEMAND, World

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


def assert_cancelled(world: World, cancellings: int = 1) -> None:
    answers = [data for data in world.published if isinstance(data, PaymentVoided | PaymentRefunded)]
    outcomes = [data for data in world.published if data not in answers]
    assert sum(world.gateway.entries) == 0
    assert len(world.gateway.entries) in {0, 2}, "charged and refunded at most once"
    assert len(answers) == cancellings
    assert len({type(answer) for answer in answers}) == 1
    assert len(outcomes) <= 1
    assert outcomes == world.published_before_cancelling, "only answers follow the stored cancelling"
    if world.gateway.entries:
        assert world.payment.state is PaymentState.REFUNDED
        assert isinstance(answers[0], PaymentRefunded)
        assert answers[0].amount_cents == DEMAND.total_cents
    else:
        assert world.payment.state is PaymentState.VOIDED


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: ",".join(plan[:3]) or "ok")
async def test_every_interleaving_of_charging_twice_and_cancelling(plan: tuple[str, ...]) -> None:
    for order in interleavings(3, 3, 3):
        world = World(plan)
        reserved, cancelling = world.event(DEMAND), world.event(CANCELLING)
        await advance([world.deliver(reserved), world.deliver(reserved), world.deliver(cancelling)], order)
        await world.finish(cancelling, reserved)
        assert_cancelled(world)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: ",".join(plan[:3]) or "ok")
async def test_every_interleaving_of_three_deliveries_of_one_charge(plan: tuple[str, ...]) -> None:
    for order in interleavings(3, 3, 3):
        world = World(plan)
        reserved = world.event(DEMAND)
        await advance([world.deliver(reserved) for _ in range(3)], order)
        await world.finish(reserved)
        if plan[:1] == ("declined",):
            assert world.published == [PaymentFailed(code="card_declined")]
            assert world.payment.state is PaymentState.FAILED
            assert world.gateway.entries == []
        else:
            assert [type(data) for data in world.published] == [PaymentSuccess]
            assert world.payment.state is PaymentState.PAID
            assert world.gateway.entries == [DEMAND.total_cents]


@given(seed=st.integers(0, 2**32), plan=st.lists(st.sampled_from(["ok", "declined", "lost", "failure", "unconfirmed"])))
async def test_crashes_repetitions_and_two_cancellings(seed: int, plan: list[str]) -> None:
    chance = random.Random(seed)
    world = World([*dict.fromkeys(plan)])
    events = [world.event(DEMAND), world.event(CANCELLING), world.event(CANCELLING)]
    running: list[AsyncIterator[str]] = []
    for _ in range(40):
        if len(running) < 4:
            running.append(world.deliver(chance.choice(events)))
        delivery = chance.choice(running)
        # A crash ends a delivery between two of its steps.
        if await anext(delivery, "over") == "over" or chance.random() < 0.2:
            running.remove(delivery)
    await world.finish(*events)
    assert_cancelled(world, cancellings=2)
