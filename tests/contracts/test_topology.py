"""The topology files bind each queue to the events that its service handles, no more and no fewer."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

import broker_topology
from devtools.local.topology import TOPOLOGY
from services.registry import QUEUES, SERVICE_NAMES
from services.shared.contracts import CATALOGUE, EventData
from services.sms.channel import CHANNEL


def handled(service: str) -> Mapping[type[EventData], Any]:
    """The service's handlers, without a gateway if they call one. Channel services share theirs."""
    if find_spec(f"services.{service}.channel"):
        return CHANNEL.handlers(None)  # type: ignore[arg-type]
    module = import_module(f"services.{service}.handlers")
    return module.HANDLERS if hasattr(module, "HANDLERS") else module.handlers(None)


HANDLED = {
    service: {data.TYPE for data in handled(service)}
    for service in SERVICE_NAMES
    if service != "audit"  # a tolerant consumer of every event
}


def bound(service: str) -> set[str]:
    """Routing keys of the events that come into the queue. A fanout has none: it carries notifications."""
    return {
        binding.routing_key or "notification.requested"
        for loaded in broker_topology.load([TOPOLOGY])
        for binding in loaded.topology.spec.bindings
        if binding.queue == f"{service}.queue" and binding.source != "redrive.exchange"
    }


@pytest.mark.parametrize("service", HANDLED)
def test_a_queue_is_bound_to_the_events_that_its_service_handles(service: str) -> None:
    assert bound(service) == HANDLED[service]


def test_every_event_is_handled_by_a_service() -> None:
    assert set().union(*HANDLED.values()) == set(CATALOGUE)


def test_every_service_has_a_queue_and_a_parking_lot() -> None:
    declared = {name for loaded in broker_topology.load([TOPOLOGY]) for name in loaded.topology.spec.queues}
    assert {*QUEUES, *(f"{service}.dlq" for service in SERVICE_NAMES)} <= declared
