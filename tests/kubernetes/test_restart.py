"""The operator killed anywhere, and several of them at once."""

import asyncio
import random

import pytest

from tests.kubernetes.cluster import SECRET, TOPOLOGY, eventually, is_ready, texts_of
from tests.kubernetes.emulator.access import Attempt
from tests.kubernetes.emulator.objects import Refused
from tests.kubernetes.emulator.server import Emulator
from tests.kubernetes.operating import Operator
from tests.kubernetes.site import Site

pytestmark = pytest.mark.timeout(300)  # every start of an operator takes seconds

WRITES = {"create", "patch", "update", "delete"}


def spec_of(place: Site, queues: int) -> dict[str, object]:
    return {
        "exchanges": {"events": {"type": "topic"}},
        "queues": {f"q{number}": {} for number in range(queues)},
        "bindings": [{"source": "events", "queue": f"q{n}", "routingKey": str(n)} for n in range(queues)],
        "users": {place.user("u"): {"secretName": "u", "permissions": {"read": "^q"}}},
    }


async def test_an_operator_that_is_killed_again_and_again_still_gets_there(place: Site) -> None:
    operator = await place.operator()
    await place.create("shop", **spec_of(place, 40))
    for _ in range(3):
        await asyncio.sleep(random.uniform(0.05, 0.6))
        await operator.kill()
        await operator.start()
    await place.until("shop")
    assert len(await place.at_broker("queues")) == 40
    await place.delete("shop")
    await asyncio.sleep(random.uniform(0.05, 0.5))
    await operator.kill()
    await operator.start()
    await place.until_gone("shop")
    assert await place.at_broker("queues") == {}
    assert await place.at_broker("users") == {}


@pytest.mark.emulated
async def test_killed_before_any_of_its_requests_it_goes_on_where_it_was(place: Site, emulator: Emulator) -> None:
    """Before each write in turn, from the finalizer to the last status."""
    operator = await place.operator()
    killer = Killer(operator)
    emulator.before = killer
    for number in range(1, 6):
        name = f"shop{number}"
        killer.arm(number)
        users = {place.user(f"u{number}"): {"secretName": f"u{number}"}}
        await place.create(name, queues={f"q{number}": {}}, users=users)

        async def killed_or_ready(name: str = name) -> bool:
            return killer.hit or is_ready(await place.get(name))

        await eventually(killed_or_ready)
        if killer.hit:
            await operator.kill()
            await operator.start()
        killer.arm(0)
        await place.until(name)
    assert set(await place.at_broker("queues")) == {f"q{number}" for number in range(1, 6)}


class Killer:
    """Ends the operator at its n-th write: before it is carried out where n is odd, after it where n is even."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._number = self._left = 0
        self.hit = False

    def arm(self, number: int) -> None:
        self._number = self._left = number
        self.hit = False

    def __call__(self, attempt: Attempt) -> None:
        if "topology-operator" not in attempt.user or attempt.verb not in WRITES or attempt.resource == "events":
            return
        self._left -= 1
        if self._left == 0:
            self.hit = True
            self._operator.end_at_once()
            if self._number % 2:
                raise Refused(503, "ServiceUnavailable", "not carried out")


async def test_two_operators_at_once_do_what_one_does(place: Site) -> None:
    first, second = await place.operator(), await place.operator()
    await place.create("shop", resyncSeconds=5, **spec_of(place, 20))
    await place.until("shop")
    secret = await place.cluster.get(SECRET, place.namespace, "u")
    assert secret is not None
    await place.change("shop", queues={"q0": None, "more": {}}, bindings=[])
    await place.until("shop")

    async def both_agree() -> bool:
        return bool(first.told("looked")) and bool(second.told("looked"))

    await eventually(both_agree)
    again = await place.cluster.get(SECRET, place.namespace, "u")
    assert again is not None
    assert texts_of(again) == texts_of(secret)
    assert set(await place.at_broker("queues")) == {"more", *(f"q{number}" for number in range(1, 20))}
    body = await place.until("shop")
    assert body["status"].get("drift", {}).get("repaired", 0) == 0, "neither took the other's work for drift"
    await place.delete("shop")
    await place.until_gone("shop")
    assert await place.at_broker("queues") == {}
    assert await place.cluster.listed(TOPOLOGY, place.namespace) == []
