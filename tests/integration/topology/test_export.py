"""Applying an export changes nothing, and omissions are reported."""

import asyncio
from itertools import starmap

import aiormq
import pytest
import yaml

import broker_topology
from broker_topology import SecretDirectory
from broker_topology.broker.management_api import path
from broker_topology.broker.observe import observe
from broker_topology.cli import main
from broker_topology.credentials.passwords import hash_password
from broker_topology.credentials.secrets import store_if_missing
from broker_topology.export.export import export
from broker_topology.planning.state import Key, ObjectKind
from tests.conftest import SEED
from tests.integration.topology.full_spec import SPEC
from tests.integration.topology.random_broker import RandomBroker, make_inexpressible


@pytest.fixture
async def exported(broker, api, tmp_path, capsys):
    """Exports with the command line; returns the file and the folder of Secrets."""

    async def run():
        options = [each for each in broker.options() if each not in ("--secrets-dir", str(broker.secrets_dir))]
        folder = tmp_path / "imported"
        arguments = ["export", *options, "--vhost", broker.vhost, "--name", "shop", "--secrets-dir", str(folder)]
        assert await asyncio.to_thread(main, arguments) == 0
        file = tmp_path / "shop.yaml"
        file.write_text(capsys.readouterr().out)
        return file, SecretDirectory(folder)

    return run


async def test_applying_an_export_writes_nothing(broker, api, exported):
    await broker.reconcile(SPEC, api=api)
    file, secrets = await exported()
    (loaded,) = broker_topology.load([file])
    assert set(loaded.spec.exchanges) == set(SPEC["exchanges"])
    assert set(loaded.spec.queues) == set(SPEC["queues"])
    assert set(loaded.spec.super_streams) == {"invoices"}
    assert loaded.spec.queues["q"].dead_letter.strategy is None
    assert loaded.spec.users[broker.user_name("writer")].limits.max_channels == 50
    assert loaded.spec.vhost_settings.description == "orders"
    api.requests.clear()
    applied = await broker_topology.apply([loaded], api, secrets)
    assert not applied.plan
    assert set(api.requests) == {"GET"}


async def test_the_command_line_applies_an_export(broker, api, exported, capsys):
    await broker.reconcile(SPEC, api=api)
    file, secrets = await exported()
    options = [*broker.options()[:-1], str(secrets._folder), "--owner", broker.owner()]
    assert await asyncio.to_thread(main, ["apply", str(file), *options, "--prune"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(": nothing to do")


async def test_unusual_names_and_arguments_are_exported_exactly(broker, api):
    await broker.reconcile({}, api=api)
    vhost = broker.vhost
    arguments = {"x-queue-type": "quorum", "x-dead-letter-exchange": "by/slash %41", "x-message-ttl": 1500}
    await api.put(path("exchanges", vhost, "by/slash %41"), {"type": "headers", "durable": True, "internal": True})
    await api.put(path("queues", vhost, "tür: #1"), {"durable": True, "arguments": arguments})
    await api.put(path("queues", vhost, "brief"), {"durable": False, "auto_delete": True})
    binding = {"routing_key": "", "arguments": {"x-match": "all", "tier": "gold", "count": 3, "flag": True}}
    await api.post(path("bindings", vhost, "e", "by/slash %41", "q", "tür: #1"), binding)
    exported = await export(api, vhost, "shop")
    (loaded,) = broker_topology.parse(exported.text)
    queue = loaded.spec.queues["tür: #1"]
    assert (queue.message_ttl_seconds, queue.dead_letter.strategy) == (1.5, "at-most-once")
    assert loaded.spec.bindings[0].arguments == binding["arguments"]
    assert not (await broker_topology.apply([loaded], api, broker.secrets)).plan


@pytest.mark.parametrize("number", range(4))
async def test_random_content_is_exported_exactly(broker, api, tmp_path, capsys, number):
    content = RandomBroker(api, broker.vhost, SEED + number, broker.suffix)
    await content.fill()
    broker.delete_later(content.users)
    exported = await export(api, broker.vhost, "shop")
    assert [str(each) for each in exported.omissions if each.is_content] == []
    file = tmp_path / "shop.yaml"
    file.write_text(exported.text)
    assert await asyncio.to_thread(main, ["check", str(file)]) == 0, capsys.readouterr()
    loaded = broker_topology.load([file])
    for name, credentials in exported.credentials.items():
        await store_if_missing(broker.secrets, name, credentials)
    api.requests.clear()
    applied = await broker_topology.apply(loaded, api, broker.secrets, strict=False)
    assert (list(applied.plan.steps), set(api.requests)) == ([], {"GET"})
    empty = broker_topology.with_vhost(loaded, f"{broker.vhost}-2")
    await broker_topology.apply(empty, api, broker.secrets)
    there, again = [moved(await observe(api, [item.spec.vhost for item in each])) for each in (loaded, empty)]
    for kind in ObjectKind:
        if kind not in {ObjectKind.USER, ObjectKind.USER_LIMIT}:  # they belong to the whole broker
            assert again[kind] == there[kind], kind


def moved(state):
    """Returns a state without the name of the virtual host, limits of -1 (none), and the administrator, who has
    permissions in a virtual host that it created."""

    def renamed(key, body):
        name = tuple("v" if part.startswith("test-") else part for part in key.name)
        return Key("v" if key.vhost else "", name), {**body, "properties_key": ""}

    return {
        kind: {
            key: body
            for key, body in starmap(renamed, objects.items())
            if key.name[0] != "admin" and body.get("value", 0) != -1
        }
        for kind, objects in state.items()
    }


async def test_objects_without_fields_are_left_out_with_their_dependents(broker, api, tmp_path, capsys):
    await broker.reconcile({"exchanges": {"events": {"type": "topic"}}}, api=api)
    vhost = broker.vhost
    await make_inexpressible(api, vhost)
    async with broker.channel() as channel:
        await channel.queue_declare("mine", exclusive=True)
        await channel.queue_bind("mine", "amq.topic", "a")
        arguments = ["export", *broker.options(), "--vhost", vhost, "--name", "shop"]
        code = await asyncio.to_thread(main, arguments)
    out, err = capsys.readouterr()
    assert code == 3
    left_out = [line.removeprefix("left out: ") for line in err.splitlines()]
    assert [line.removeprefix("#   ") for line in out.splitlines() if line.startswith("#   ")] == left_out
    assert f"user {broker.endpoints.admin_username}: this export connects as that user" in left_out
    for expected in (
        "queues .: RabbitMQ's management API cannot address an object called .",
        "queues ..: RabbitMQ's management API cannot address an object called ..",
        "queues transient: 4.3 deprecates transient queues that are shared; make it durable",
        "1 binding of queue transient: the queue is left out",
        "1 binding of queue .: the queue is left out",
        "1 binding of queue cut\\r\\nhere: the queue is left out",
        "binding amq.topic --> stays: RabbitMQ's management API cannot delete a binding with the routing key .",
        "queue mine: it belongs to one connection",
        "1 binding of queue mine: it belongs to one connection",
        "shovel mover: a Topology has no fields for it",
    ):
        assert expected in left_out
    assert any(line.startswith("queues cut\\r\\nhere: the broker removes line breaks") for line in left_out)
    file = tmp_path / "shop.yaml"
    file.write_text(out)
    assert await asyncio.to_thread(main, ["check", str(file)]) == 0
    spec = yaml.safe_load(out)["spec"]
    assert (set(spec["exchanges"]), set(spec["queues"])) == ({"events"}, {"stays"})
    assert [each["routingKey"] for each in spec["bindings"]] == ["kept"]
    assert not (
        await broker_topology.preview(broker_topology.load([file]), api, broker.secrets, strict=False)
    ).plan.writes


@pytest.mark.parametrize("algorithm", ["md5", "sha512"])
async def test_an_exported_user_still_logs_in_elsewhere(broker, api, algorithm):
    """With another algorithm the broker would refuse every login."""
    await broker.reconcile({}, api=api)
    user = broker.user_name("old")
    hashed = hash_password("p ", algorithm=f"rabbit_password_hashing_{algorithm}")
    body = {"password_hash": hashed, "hashing_algorithm": f"rabbit_password_hashing_{algorithm}", "tags": "management"}
    await api.put(path("users", user), body)
    await api.put(path("permissions", broker.vhost, user), {"configure": "", "write": "", "read": ""})
    exported = await export(api, broker.vhost, "shop")
    for name, credentials in exported.credentials.items():
        await store_if_missing(broker.secrets, name, credentials)
    await api.delete(path("users", user))
    await broker_topology.apply(broker_topology.parse(exported.text), api, broker.secrets)
    async with broker.channel(user, "p "):
        pass
    with pytest.raises(aiormq.exceptions.ProbableAuthenticationError):
        async with broker.channel(user, "p"):
            pass


async def test_a_missing_virtual_host(broker, capsys):
    arguments = ["export", *broker.options(), "--vhost", "nowhere"]
    assert await asyncio.to_thread(main, arguments) == 1
    assert "has no virtual host nowhere; it has " in capsys.readouterr().err
