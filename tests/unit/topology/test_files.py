"""The shipped files are valid, and as the design describes them."""

import re
from pathlib import Path

import pytest
import yaml

import broker_topology
from broker_topology.resource.objects import UserLimits
from services.registry import SERVICE_NAMES, SERVICES
from services.shared.contracts import CATALOGUE

FOLDER = Path(__file__).parents[3] / "charts" / "warren" / "topology"
ENTRIES = {each.name: each for each in SERVICES}


@pytest.fixture(scope="module")
def files():
    return {item.origin.name: item.spec for item in broker_topology.load([FOLDER])}


def test_the_files_have_no_findings():
    assert broker_topology.check(broker_topology.load([FOLDER])) == []


def test_the_kustomization_lists_every_file():
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(file.name for file in FOLDER.glob("*.yaml") if file.name != "kustomization.yaml")
    assert len(listed) == len(set(listed))


def test_every_file_is_named_after_its_resource(files):
    assert set(files) == {file.stem for file in FOLDER.glob("*.yaml")} - {"kustomization"}


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_a_service_has_its_queue_parking_lot_and_user(files, service):
    spec = files[service]
    assert set(spec.queues) == {f"{service}.queue", f"{service}.dlq"}
    queue, parking = spec.queues[f"{service}.queue"], spec.queues[f"{service}.dlq"]
    assert (queue.dead_letter.exchange, queue.dead_letter.routing_key) == ("orders.dlx", f"{service}.dlq")
    assert (queue.type, queue.retry.min_seconds, queue.retry.max_seconds) == ("quorum", 1, 60)
    assert (parking.type, parking.delivery_limit, parking.message_ttl_seconds) == ("quorum", -1, None)
    routes = {(binding.source, binding.routing_key, binding.queue) for binding in spec.bindings}
    assert ("redrive.exchange", f"{service}.queue", f"{service}.queue") in routes
    assert ("orders.dlx", f"{service}.dlq", f"{service}.dlq") in routes
    assert set(spec.users) == {service}
    assert spec.users[service].secret_name == f"{service}-rabbitmq"


COMMANDS = {"fraud": r"^(fraud\.|order\.cancel_requested$)"}
"""Services that announce another service's command event beside their own events."""


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_a_service_user_has_the_least_rights(files, service):
    user = files[service].users[service]
    assert user.tags == []
    assert (user.permissions.configure, user.permissions.read) == ("^$", rf"^{service}\.queue$")
    exchange = ENTRIES[service].publishes_to
    assert user.permissions.write == (f"^{re.escape(exchange)}$" if exchange else "^$")
    keys = [(topic.exchange, topic.write, topic.read) for topic in user.topic_permissions]
    own = COMMANDS.get(service, rf"^{service}\.")
    assert keys == ([("order.exchange", own, "^$")] if exchange == "order.exchange" else [])


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_a_service_user_may_open_what_its_pods_open_and_no_more(files, service):
    """Two connections for each pod, of as many pods as values.yaml allows and one more while they are replaced."""
    values = yaml.safe_load((FOLDER.parent / "values.yaml").read_text())
    components = [each for each in values["components"].values() if each["service"] == service]
    needed = 2 * sum(each["autoscaling"]["maximum"] + 1 for each in components)
    limits = files[service].users[service].limits
    assert 2 * needed <= limits.max_connections <= 3 * needed
    assert limits.max_channels == 2 * limits.max_connections


def test_every_user_has_limits_and_users_of_the_management_api_open_no_connections(files):
    limits = {name: user.limits for spec in files.values() for name, user in spec.users.items()}
    assert [name for name, each in limits.items() if None in {each.max_connections, each.max_channels}] == []
    assert limits["monitoring"] == limits["scaler"] == UserLimits(max_connections=0, max_channels=0)


def test_no_user_may_use_the_default_exchange(files):
    """The broker checks its permissions under the name amq.default."""
    for spec in files.values():
        for user in spec.users.values():
            assert not re.search(user.permissions.write, "amq.default")
            assert not re.search(user.permissions.write, "") or user.permissions.write == "^$"


def test_every_known_event_has_a_subscriber(files):
    bound = {
        binding.routing_key
        for spec in files.values()
        for binding in spec.bindings
        if binding.source == "workflow.exchange"
    }
    keys = set(CATALOGUE) - {"notification.requested"}
    assert bound == keys, "an event has no subscriber, or a binding has an unknown key"


def test_no_secret_is_shared(files):
    names = [user.secret_name for spec in files.values() for user in spec.users.values()]
    assert len(names) == len(set(names))
