"""The operator killed anywhere, and several of them at once."""

import asyncio
import random

import pytest

from tests.kubernetes.api_client import SECRET, TOPOLOGY, eventually, is_ready, texts_of
from tests.kubernetes.emulator.access import AccessRequest
from tests.kubernetes.emulator.objects import StatusError
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import OperatorProcess

pytestmark = pytest.mark.timeout(300)  # every start of an operator takes seconds

WRITES = {"create", "patch", "update", "delete"}


def spec_of(env: OperatorEnv, queues: int) -> dict[str, object]:
    return {
        "exchanges": {"events": {"type": "topic"}},
        "queues": {f"q{number}": {} for number in range(queues)},
        "bindings": [{"source": "events", "queue": f"q{n}", "routingKey": str(n)} for n in range(queues)],
        "users": {env.user("u"): {"secretName": "u", "permissions": {"read": "^q"}}},
    }


async def test_an_operator_that_is_killed_again_and_again_still_gets_there(env: OperatorEnv) -> None:
    operator = await env.operator()
    await env.create("shop", **spec_of(env, 40))
    for _ in range(3):
        await asyncio.sleep(random.uniform(0.05, 0.6))
        await operator.kill()
        await operator.start()
    await env.until("shop")
    assert len(await env.at_broker("queues")) == 40
    await env.delete("shop")
    await asyncio.sleep(random.uniform(0.05, 0.5))
    await operator.kill()
    await operator.start()
    await env.until_gone("shop")
    assert await env.at_broker("queues") == {}
    assert await env.at_broker("users") == {}


@pytest.mark.emulated
async def test_killed_before_any_of_its_requests_it_goes_on_where_it_was(
    env: OperatorEnv, emulator: ApiServerEmulator
) -> None:
    """Before each write in turn, from the finalizer to the last status."""
    operator = await env.operator()
    killer = KillOnWrite(operator)
    emulator.before = killer
    for number in range(1, 6):
        name = f"shop{number}"
        killer.arm(number)
        users = {env.user(f"u{number}"): {"secretName": f"u{number}"}}
        await env.create(name, queues={f"q{number}": {}}, users=users)

        async def killed_or_ready(name: str = name) -> bool:
            return killer.hit or is_ready(await env.get(name))

        await eventually(killed_or_ready)
        if killer.hit:
            await operator.kill()
            await operator.start()
        killer.arm(0)
        await env.until(name)
    assert set(await env.at_broker("queues")) == {f"q{number}" for number in range(1, 6)}


class KillOnWrite:
    """Ends the operator at its n-th write: before it is carried out where n is odd, after it where n is even."""

    def __init__(self, operator: OperatorProcess) -> None:
        self._operator = operator
        self._number = self._left = 0
        self.hit = False

    def arm(self, number: int) -> None:
        self._number = self._left = number
        self.hit = False

    def __call__(self, attempt: AccessRequest) -> None:
        if "topology-operator" not in attempt.user or attempt.verb not in WRITES or attempt.resource == "events":
            return
        self._left -= 1
        if self._left == 0:
            self.hit = True
            self._operator.end_at_once()
            if self._number % 2:
                raise StatusError(503, "ServiceUnavailable", "not carried out")


async def test_two_operators_at_once_do_what_one_does(env: OperatorEnv) -> None:
    first, second = await env.operator(), await env.operator()
    await env.create("shop", resyncSeconds=5, **spec_of(env, 20))
    await env.until("shop")
    secret = await env.cluster.get(SECRET, env.namespace, "u")
    assert secret is not None
    await env.change("shop", queues={"q0": None, "more": {}}, bindings=[])
    await env.until("shop")

    async def both_agree() -> bool:
        return bool(first.told("reconciled")) and bool(second.told("reconciled"))

    await eventually(both_agree)
    again = await env.cluster.get(SECRET, env.namespace, "u")
    assert again is not None
    assert texts_of(again) == texts_of(secret)
    assert set(await env.at_broker("queues")) == {"more", *(f"q{number}" for number in range(1, 20))}
    body = await env.until("shop")
    assert body["status"].get("drift", {}).get("repaired", 0) == 0, "neither took the other's work for drift"
    await env.delete("shop")
    await env.until_gone("shop")
    assert await env.at_broker("queues") == {}
    assert await env.cluster.listed(TOPOLOGY, env.namespace) == []
