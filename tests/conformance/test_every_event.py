"""Every event, repeated, at every service that consumes it: real handlers, real database."""

from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from services.notification.templates import TEMPLATES
from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderCancelling, Participant
from tests.conformance.service_harnesses import STATE_TABLES, service_harnesses
from tests.contracts.test_topology import HANDLED
from tests.service_replica import ServiceDatabase
from warren_messaging import Codec, Verdict
from warren_messaging.testing import with_new_ids

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
CONSUMED = {service: sorted(types) for service, types in HANDLED.items()} | {
    "audit": [name for name in CATALOGUE if name != "notification.requested"],
}
IGNORED = {("notification", data.TYPE) for data, template in TEMPLATES.items() if template is None}
"""Events that leave no state."""
CASES = [(service, event_type) for service in STATE_TABLES for event_type in CONSUMED[service]]


@pytest.mark.parametrize(("service", "event_type"), CASES)
async def test_3_an_event_repeated_in_one_batch_and_in_later_batches_has_one_effect(
    services_db: ServiceDatabase, service: str, event_type: str
) -> None:
    golden = Codec(CATALOGUE).decode((GOLDEN / f"{event_type}.json").read_bytes())
    event = msgspec.structs.replace(with_new_ids(golden), subject=uuid4())
    if isinstance(event.data, OrderCancelling):
        # The golden file asks inventory and payment only, and each service ignores an event that does not ask it.
        event = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, participants=list(Participant)))
    async with service_harnesses(services_db, service) as services:
        await services.stock(mug=1000, item1=1000)
        if service == "order":
            await services.place(event.subject)
        harness = services.by_name[service]
        before = len(harness.events)

        await harness.deliver(event)
        assert [attempt.verdict for attempt in harness.attempts] == [Verdict.ACK], harness.attempts
        state, announced, performed = await services.state(service), list(harness.events), list(harness.performed)
        assert state or (service, event_type) in IGNORED
        numbers = [each.sourcesequence for each in announced[before:]]
        assert numbers == [before + n + 1 for n in range(len(announced) - before)]

        await harness.deliver(event, copies=3)
        await harness.redeliver()
        assert {attempt.verdict for attempt in harness.attempts} == {Verdict.ACK}
        assert await services.state(service) == state
        assert harness.events == announced
        assert harness.performed == performed
        assert len(harness.repeated) == 7
