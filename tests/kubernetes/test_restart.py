"""Operators that are killed at any point, and several operators at once."""

import asyncio
import random

import pytest

from tests.kubernetes.api_client import TOPOLOGY, eventually, is_ready
from tests.kubernetes.emulator.access import AccessRequest
from tests.kubernetes.emulator.objects import StatusError
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import OperatorProcess

pytestmark = pytest.mark.timeout(300)  # each start of an operator takes seconds

WRITES = {"create", "patch", "update", "delete"}


def spec_of(env: OperatorEnv, queues: int) -> dict[str, object]:
    return {
        "exchanges": {"events": {"type": "topic"}},
        "queues": {f"q{number}": {} for number in range(queues)},
        "bindings": [{"source": "events", "queue": f"q{n}", "routingKey": str(n)} for n in range(queues)],
        "users": {env.user("u"): {"secretName": "u", "permissions": {"read": "^q"}}},
    }


async def test_an_operator_that_is_killed_repeatedly_finishes_its_work(
    env: OperatorEnv, operator: OperatorProcess
) -> None:
    await env.create("shop", **spec_of(env, 40))
    for _ in range(3):
        await asyncio.sleep(random.uniform(0.05, 0.6))
        await operator.restart()
    await env.wait_until_ready("shop")
    assert len(await env.at_broker("queues")) == 40
    await env.api.delete_object(TOPOLOGY, env.namespace, "shop")
    await asyncio.sleep(random.uniform(0.05, 0.5))
    await operator.restart()
    await env.api.wait_until_gone(TOPOLOGY, env.namespace, "shop")
    assert await env.at_broker("queues") == {}
    assert await env.at_broker("users") == {}


class KillOnWrite:
    """Kills the operator at its n-th write: before the write takes effect if n is odd, after it if n is even."""

    def __init__(self, operator: OperatorProcess) -> None:
        self._operator = operator
        self.disarm()

    def arm(self, number: int) -> None:
        self._number = self._left = number
        self.killed = False

    def disarm(self) -> None:
        self.arm(0)

    def __call__(self, request: AccessRequest) -> None:
        if "topology-operator" not in request.user or request.verb not in WRITES or request.resource == "events":
            return
        self._left -= 1
        if self._left == 0:
            self.killed = True
            self._operator.send_kill()
            if self._number % 2:
                raise StatusError(503, "ServiceUnavailable", "not carried out")


@pytest.mark.emulated
async def test_an_operator_that_is_killed_at_any_write_continues_from_there(
    env: OperatorEnv, operator: OperatorProcess, emulator: ApiServerEmulator
) -> None:
    """Kills the operator at its first to its fifth write, from the finalizer to the last status."""
    emulator.before_request = kill = KillOnWrite(operator)
    for number in range(1, 6):
        name = f"shop{number}"
        kill.arm(number)
        users = {env.user(f"u{number}"): {"secretName": f"u{number}"}}
        await env.create(name, queues={f"q{number}": {}}, users=users)

        async def killed_or_ready(name: str = name) -> bool:
            return kill.killed or is_ready(await env.get(name))

        await eventually(killed_or_ready)
        if kill.killed:
            await operator.restart()
        kill.disarm()
        await env.wait_until_ready(name)
    assert set(await env.at_broker("queues")) == {f"q{number}" for number in range(1, 6)}


async def test_two_operators_at_once_do_the_work_of_one(env: OperatorEnv, operator: OperatorProcess) -> None:
    second = await env.start_operator()
    await env.create_ready("shop", resyncSeconds=5, **spec_of(env, 20))
    secret = await env.secret("u")
    await env.change_ready("shop", queues={"q0": None, "more": {}}, bindings=[])

    async def both_reconciled() -> bool:
        return bool(operator.logged("reconciled")) and bool(second.logged("reconciled"))

    await eventually(both_reconciled)
    assert await env.secret("u") == secret
    assert set(await env.at_broker("queues")) == {"more", *(f"q{number}" for number in range(1, 20))}
    body = await env.wait_until_ready("shop")
    assert body["status"].get("drift", {}).get("repaired", 0) == 0, "an operator took the other's work for drift"
    await env.delete("shop")
    assert await env.at_broker("queues") == {}
    assert await env.api.list_objects(TOPOLOGY, env.namespace) == []
