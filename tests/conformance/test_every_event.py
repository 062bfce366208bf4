"""Every event of the saga, twice and more, at every service that takes it: real handlers, real database."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from devtools.servers.servers import Servers
from services.shared.contracts import CATALOGUE, AnyEvent
from services.shared.contracts.orders import OrderCancelling, Participant
from tests.conformance.shop import TABLES as SERVICES
from tests.conformance.shop import Shop, opened
from tests.contracts.test_topology import HANDLED
from tests.service_replica import ServiceDatabase
from warren_messaging import Codec, Verdict
from warren_messaging.testing import with_new_ids

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
TAKES = {service: sorted(types) for service, types in HANDLED.items()} | {
    "audit": [name for name in CATALOGUE if name != "notification.requested"],
}
CASES = [(service, event_type) for service in SERVICES for event_type in TAKES[service]]


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare(*SERVICES, "gateway"))
    yield db


@pytest.mark.parametrize(("service", "event_type"), CASES)
async def test_3_repeated_in_one_batch_and_in_later_ones_it_has_one_effect(
    db: ServiceDatabase, service: str, event_type: str
) -> None:
    golden = Codec(CATALOGUE).decode((GOLDEN / f"{event_type}.json").read_bytes())
    event = msgspec.structs.replace(with_new_ids(golden), subject=uuid4())
    if isinstance(event.data, OrderCancelling):
        # The golden file asks inventory and payment only, and each service ignores what does not ask it.
        event = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, participants=list(Participant)))
    async with opened(db, service) as shop:
        await shop.stock(mug=1000, item1=1000)
        if service == "order":
            await shop.place(event.subject, str(event.subject))
        await check(shop, service, event)


async def check(shop: Shop, service: str, event: AnyEvent) -> None:
    rehearsal = shop.services[service]
    said = len(rehearsal.events)

    await rehearsal.deliver(event)
    assert [attempt.verdict for attempt in rehearsal.attempts] == [Verdict.ACK], rehearsal.attempts
    state, announced, performed = await shop.state(service), list(rehearsal.events), list(rehearsal.performed)
    assert state
    assert [each.sourcesequence for each in announced[said:]] == [said + n + 1 for n in range(len(announced) - said)]

    await rehearsal.deliver(event, copies=3)
    await rehearsal.redeliver()
    assert {attempt.verdict for attempt in rehearsal.attempts} == {Verdict.ACK}
    assert await shop.state(service) == state
    assert rehearsal.events == announced
    assert rehearsal.performed == performed
    assert len(rehearsal.repeated) == 7
