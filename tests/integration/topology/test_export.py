"""What a broker holds, written down: applying it changes nothing, and what cannot be said is said to be left out."""

import asyncio

import pytest
import yaml

import broker_topology
from broker_topology import SecretDirectory
from broker_topology.adoption.export import export
from broker_topology.broker.management_api import path
from broker_topology.cli import main
from tests.integration.topology.every_kind import SPEC


@pytest.fixture
async def exported(broker, api, tmp_path, capsys):
    """The file, by the command line."""

    async def run():
        options = [each for each in broker.options() if each not in ("--secrets-dir", str(broker.secrets_dir))]
        folder = tmp_path / "imported"
        arguments = ["export", *options, "--vhost", broker.vhost, "--name", "shop", "--secrets-dir", str(folder)]
        assert await asyncio.to_thread(main, arguments) == 0
        file = tmp_path / "shop.yaml"
        file.write_text(capsys.readouterr().out)
        return file, SecretDirectory(folder)

    return run


async def test_exporting_and_applying_writes_nothing(broker, api, exported):
    await broker.reconcile(SPEC, api=api)
    file, secrets = await exported()
    (loaded,) = broker_topology.load([file])
    assert set(loaded.spec.exchanges) == set(SPEC["exchanges"])
    assert set(loaded.spec.queues) == set(SPEC["queues"])
    assert set(loaded.spec.super_streams) == {"invoices"}
    assert loaded.spec.queues["q"].dead_letter.strategy is None
    assert loaded.spec.users[broker.own("writer")].limits.max_channels == 50
    assert loaded.spec.vhost_settings.description == "orders"
    api.requests.clear()
    applied = await broker_topology.apply([loaded], api, secrets)
    assert not applied.plan
    assert set(api.requests) == {"GET"}


async def test_the_command_line_applies_it_too(broker, api, exported, capsys):
    await broker.reconcile(SPEC, api=api)
    file, secrets = await exported()
    options = [*broker.options()[:-1], str(secrets._folder), "--owner", broker.owner()]
    assert await asyncio.to_thread(main, ["apply", str(file), *options, "--prune"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(": nothing to do")


async def test_names_and_arguments_of_every_kind_survive(broker, api):
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


async def test_what_a_topology_cannot_or_must_not_say_is_left_out_with_its_reason(broker, api):
    await broker.reconcile({"exchanges": {"events": {"type": "topic"}}}, api=api)
    vhost, wild = broker.vhost, broker.own("wild")
    await api.put(path("users", wild), {"password": "p", "tags": ""})
    await api.put(path("permissions", vhost, wild), {"configure": ".*", "write": ".*", "read": ".*"})
    await api.put(path("queues", vhost, "dangling"), {"durable": True, "arguments": DANGLING})
    await api.put(path("queues", vhost, "odd"), {"durable": True, "arguments": ODD})
    exported = await export(api, vhost, "shop")
    comments = [line for line in exported.text.splitlines() if line.startswith("#   ")]
    assert f"#   user {broker.address.admin_username}: it is the one by which the broker is reached" in comments
    opened = f"#   users {wild}: permissions.write allows topic exchange events"
    assert any(line.startswith(opened) for line in comments)
    assert any("queues dangling: no Topology declares exchange nowhere" in line for line in comments)
    assert any("queue odd: no fields for x-delayed-retry-type 'all'" in line for line in comments)
    spec = yaml.safe_load(exported.text)["spec"]
    assert set(spec) == {"vhost", "vhostSettings", "exchanges"}
    assert broker_topology.findings([exported.loaded]) == []


DANGLING = {"x-queue-type": "quorum", "x-dead-letter-exchange": "nowhere"}
ODD = {
    "x-queue-type": "quorum",
    "x-delayed-retry-type": "all",
    "x-delayed-retry-min": 1000,
    "x-delayed-retry-max": 2000,
}


async def test_a_virtual_host_that_is_not_there(broker, capsys):
    arguments = ["export", *broker.options(), "--vhost", "nowhere"]
    assert await asyncio.to_thread(main, arguments) == 1
    assert "has no virtual host nowhere; it has " in capsys.readouterr().err
