"""Steps side by side: one that fails ends all, and all are heard out."""

import asyncio
import gc

import pytest

from broker_topology.broker.execution import run_concurrently
from broker_topology.planning.plan import Action, PlanStep
from broker_topology.planning.state import ObjectKind, key

STEPS = [PlanStep(Action.CREATE, ObjectKind.QUEUE, key(f"q{number}", "v")) for number in range(6)]


async def test_several_failures_are_one_error_and_nothing_in_the_log() -> None:
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unseen.append(told))
    begun = []

    async def fail(step: PlanStep) -> None:
        begun.append(step)
        await asyncio.sleep(0)
        raise ConnectionError(str(step.key))

    with pytest.raises(ConnectionError):
        await run_concurrently(STEPS, fail, 3)
    gc.collect()
    assert len(begun) == 3  # nobody begins another
    assert unseen == []
