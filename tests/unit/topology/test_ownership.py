"""The records of owners at the broker."""

import json

import pytest

from broker_topology.broker import ownership
from broker_topology.broker.ownership import PREFIX, OwnerRecord, claims_of, digest, fingerprint
from broker_topology.errors import RequestFailed
from broker_topology.planning.desired import desired_state
from broker_topology.planning.state import Key, ObjectKind


class FakeBroker:
    """Global parameters, kept as JSON."""

    url = "https://broker"

    def __init__(self):
        self.parameters = {"cluster_name": '"c"'}

    async def get(self, target):
        assert target == "/api/global-parameters"
        return [{"name": name, "value": json.loads(text)} for name, text in self.parameters.items()]

    async def put(self, target, body):
        name = target.removeprefix("/api/global-parameters/").replace("%2F", "/")
        self.parameters[name] = json.dumps(body["value"])

    async def delete(self, target):
        self.parameters.pop(target.removeprefix("/api/global-parameters/").replace("%2F", "/"), None)


CLAIMS = frozenset(
    {
        (ObjectKind.VHOST, Key.of("v")),
        (ObjectKind.QUEUE, Key.of("q/ü", "v")),
        (ObjectKind.BINDING, Key.of_binding("v", "e", ("queue", "q"), "k", {"a": 1})),
    }
)


async def test_a_record_is_read_as_it_was_written():
    broker = FakeBroker()
    record = OwnerRecord("shop/inventory", CLAIMS, frozenset({"v"}), "d" * 32, {"u": "1234"}, {"migration": {"q": 1}})
    await ownership.write(broker, record)
    await ownership.write(broker, OwnerRecord("other"))
    assert await ownership.records(broker) == {"shop/inventory": record, "other": OwnerRecord("other")}
    await ownership.remove(broker, "shop/inventory")
    assert list(await ownership.records(broker)) == ["other"]


async def test_a_record_of_a_newer_version_is_not_overwritten():
    broker = FakeBroker()
    broker.parameters[f"{PREFIX}shop"] = json.dumps({"version": 2, "owner": "shop"})
    with pytest.raises(RequestFailed, match="holds a record of version 2 for owner shop; this is an older"):
        await ownership.records(broker)


def test_the_digest_depends_on_content_and_not_on_order(loaded):
    one = {"queues": {"a": {"maxLength": 1}, "b": {}}, "users": {"u": {"secretName": "s"}}}
    same = {"users": {"u": {"secretName": "s"}}, "queues": {"b": {}, "a": {"maxLength": 1}}}
    other = {"queues": {"a": {"maxLength": 2}, "b": {}}, "users": {"u": {"secretName": "s"}}}
    assert digest(desired_state(loaded(one))) == digest(desired_state(loaded(same)))
    assert digest(desired_state(loaded(one))) != digest(desired_state(loaded(other)))


def test_the_settings_of_a_virtual_host_are_a_separate_claim(loaded):
    plain, special = (claims_of(desired_state(loaded(each))) for each in ({}, {"vhostSettings": {"description": "x"}}))
    assert plain < special
    assert len(special - plain) == 1


def test_a_fingerprint_is_short_and_differs_between_hashes():
    assert fingerprint("a") != fingerprint("b")
    assert len(fingerprint("a" * 60)) == 8
