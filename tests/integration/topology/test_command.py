"""The command line with the real broker: exit codes, and one message for each failure."""

import asyncio
import json
import re

import pytest
import trustme
import yaml
from msgspec.structs import replace

import broker_topology
from broker_topology.broker import ownership
from broker_topology.broker.management_api import path
from broker_topology.cli import main
from broker_topology.migration.context import MIGRATION_NOTE

SPEC = {"vhost": "v", "exchanges": {"e": {"type": "fanout"}}, "queues": {"q": {}}}


@pytest.fixture
def run(broker, tmp_path, capsys):
    """Runs a command on one file; returns exit code, output and errors."""

    async def run(command, *more, spec=SPEC, options=None):
        file = tmp_path / "shop.yaml"
        head = {"apiVersion": "warren.dev/v1alpha1", "kind": "Topology", "metadata": {"name": "shop"}}
        file.write_text(yaml.safe_dump(head | {"spec": spec}) if isinstance(spec, dict) else spec)
        arguments = [command, str(file), *(broker.options() if options is None else options)]
        code = await asyncio.to_thread(main, [*arguments, "--vhost", broker.vhost, *more])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


async def test_plan_apply_check(broker, run):
    code, out, _ = await run("plan")
    assert (code, out) == (3, [f"+ vhost {broker.vhost}", "+ exchange e (fanout)", "+ queue q (quorum)", "3 to create"])
    assert await run("apply") == (0, ["1 topology, 3 objects: 3 written"], [])
    assert await run("apply") == (0, ["1 topology, 3 objects: nothing to do"], [])
    assert await run("check") == (0, ["nothing to do"], [])


async def test_check_finds_drift(broker, api, run):
    await run("apply")
    await api.delete(path("queues", broker.vhost, "q"))
    assert await run("check") == (3, ["+ queue q (quorum)", "1 to create"], [])


async def test_a_blocked_step_is_an_error(run):
    await run("apply")
    code, out, _ = await run("apply", spec=SPEC | {"queues": {"q": {"deliveryLimit": 5}}})
    assert code == 1
    assert out == [
        "! blocked queue q (quorum)",
        "    x-delivery-limit: (not set) -> 5",
        "    type and arguments of an existing queue cannot be changed; "
        "argumentChange: Migrate and --owner would move the queue's messages into a new queue of the same name",
        "1 blocked",
        "1 topology, 3 objects: 1 blocked",
    ]


async def failure(running):
    """Runs a command that must end with exit code 1 and no output, and returns its one message."""
    code, out, (message,) = await running
    assert (code, out) == (1, [])
    return message


async def test_a_dangling_binding(run):
    message = await failure(run("apply", spec=SPEC | {"bindings": [{"source": "e", "queue": "p"}]}))
    assert message.endswith("spec.bindings[0].queue: no Topology declares queue p")


async def test_a_malformed_file(run):
    assert "shop.yaml: not valid YAML: line 2, column 1" in await failure(run("apply", spec="spec: [\n"))


async def test_a_wrong_password(broker, run):
    broker.password_file.write_text("wrong")
    expected = f"error: {broker.endpoints.management_url} refuses user {broker.endpoints.admin_username}"
    assert (await failure(run("apply"))).startswith(expected)


async def test_another_certificate_authority(broker, run, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    message = await failure(run("apply", "--ca-file", str(tmp_path / "other.pem")))
    assert message.startswith(f"error: the certificate of {broker.endpoints.management_url} is not trusted")


async def test_no_certificate_authority(broker, run):
    options = [each for each in broker.options() if each not in ("--ca-file", str(broker.endpoints.ca_file))]
    assert "is not trusted" in await failure(run("apply", options=options))


async def test_a_user_that_may_not_administer(broker, api, run):
    user = broker.user_name("user")
    await api.put(path("users", user), {"password": "p", "tags": "management"})
    broker.password_file.write_text("p")
    assert f"user {user} may not GET /api/" in await failure(run("apply", "--username", user))


async def test_a_virtual_host_where_the_administrator_has_no_rights(broker, api, run):
    await api.put(path("vhosts", broker.vhost), {})
    await api.delete(path("permissions", broker.vhost, broker.endpoints.admin_username))
    expected = f"has no permissions in virtual host {broker.vhost}, which exists already; grant them first"
    assert expected in await failure(run("apply"))


async def test_an_owner_prunes_what_the_files_no_longer_name(broker, api, run):
    owner = ("--owner", broker.owner())
    whole, less = SPEC, {"vhost": "v", "exchanges": SPEC["exchanges"]}
    code, out, _ = await run("plan", *owner)
    assert (code, out[-1]) == (3, "3 to create")
    assert await run("apply", *owner) == (0, ["1 topology, 3 objects: 3 written"], [])
    assert await run("apply", *owner) == (0, ["1 topology, 3 objects: nothing to do"], [])
    hint = f"note: 1 object of owner {broker.owner()} no longer in the files; --prune removes them"
    assert await run("plan", *owner, spec=less) == (0, ["nothing to do", hint], [])
    assert await run("apply", *owner, spec=less) == (0, [hint, "1 topology, 2 objects: nothing to do"], [])
    assert await run("plan", *owner, "--prune", spec=less) == (3, ["- queue q (quorum)", "1 to delete"], [])
    assert await run("apply", *owner, "--prune", spec=less) == (0, ["1 topology, 2 objects: 1 removed"], [])
    assert await api.get(path("queues", broker.vhost)) == []
    assert await run("check", *owner, "--prune", spec=whole) == (3, ["+ queue q (quorum)", "1 to create"], [])


async def test_a_queue_with_messages_is_kept_and_reported(broker, api, run):
    owner = ("--owner", broker.owner(), "--prune")
    spec = {"vhost": "v", "queues": {"q": {"type": "classic"}}}
    await run("apply", *owner, spec=spec)
    publish = path("exchanges", broker.vhost, "amq.default", "publish")
    message = {"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"}
    assert await api.post(publish, message) == {"routed": True}
    code, out, err = await run("apply", *owner, spec={"vhost": "v"})
    assert (code, err) == (0, [])
    assert out[0].startswith("= kept queue q: ")
    assert len(await api.get(path("queues", broker.vhost))) == 1


async def test_plan_counts_messages_as_apply_does(broker, api, run):
    """The broker counts a new message only seconds later."""
    owner = ("--owner", broker.owner(), "--prune")
    await run("apply", *owner, spec={"vhost": "v", "queues": {"q": {}, "empty": {}}})
    message = {"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"}
    assert await api.post(path("exchanges", broker.vhost, "amq.default", "publish"), message) == {"routed": True}
    code, out, _ = await run("plan", *owner, spec={"vhost": "v"})
    assert (code, out) == (3, ["- queue empty (quorum)", "1 to delete", "= kept queue q: holds 1 message"])


async def test_without_an_owner_undeclared_bindings_are_reported(run):
    def spec(routing_key):
        binding = {"source": "amq.topic", "queue": "q", "routingKey": routing_key}
        return {"vhost": "v", "queues": {"q": {}}, "bindings": [binding]}

    await run("apply", spec=spec("old"))
    note = "note: binding amq.topic --old--> q: it is in none of these files and stays: without --owner it is unknown "
    code, out, _ = await run("plan", spec=spec("new"))
    assert (code, out[:2], out[2].startswith(note)) == (3, ["+ binding amq.topic --new--> q", "1 to create"], True)
    code, out, _ = await run("apply", spec=spec("new"))
    assert (code, out[0].startswith(note), out[1]) == (0, True, "1 topology, 3 objects: 1 written")


async def test_passwords_are_not_compared_without_their_folder(broker, run):
    spec = SPEC | {"users": {broker.user_name("shop"): {"secretName": "shop"}}}
    options = broker.options()[:-2]
    code, out, _ = await run("plan", spec=spec, options=options)
    assert (code, out[-1]) == (3, "5 to create")
    await run("apply", spec=spec)
    assert await run("check", spec=spec, options=options) == (0, ["nothing to do"], [])


async def test_results_as_json(broker, run):
    code, out, _ = await run("plan", "--json")
    printed = json.loads("\n".join(out))
    assert (code, printed["summary"], printed["carriedOut"]) == (3, "3 to create", False)
    assert [(step["action"], step["kind"], step["name"]) for step in printed["steps"]][1:] == [
        ("create", "exchange", ["e"]),
        ("create", "queue", ["q"]),
    ]
    code, out, _ = await run("apply", "--json", "--owner", broker.owner())
    assert (code, json.loads("\n".join(out))["summary"]) == (0, "3 written")


async def test_a_refused_step_is_reported_with_the_steps_that_wait_for_it(run):
    queues = {"q": {"arguments": {"x-queue-leader-locator": "nowhere"}}, "other": {}}
    bindings = [{"source": "e", "queue": each} for each in queues]
    code, _, errors = await run("apply", spec=SPEC | {"queues": queues, "bindings": bindings})
    assert code == 1
    assert (errors[0], errors[2:]) == (
        "1 of the planned steps failed:",
        ["1 were not tried, as they depend on these:", "  binding e --> q: waits for queue q"],
    )
    code, out, _ = await run("plan", spec=SPEC | {"queues": queues, "bindings": bindings})
    assert out == ["+ queue q (quorum)", "+ binding e --> q", "2 to create"]


async def test_an_owners_object_is_not_changed_without_the_owner(broker, api, run):
    await broker.reconcile({"policies": {"p": {"pattern": "^q$", "definition": {"max-length": 1}}}}, api=api)
    spec = {"vhost": "v", "policies": {"p": {"pattern": "^q$", "definition": {"max-length": 2}}}}
    code, _, (message,) = await run("apply", spec=spec)
    assert code == 1
    cure = f"only that owner may change it: --owner {broker.owner()}"
    assert message.endswith(f"spec.policies.p: policy p belongs to {broker.owner()} already; {cure}")
    same = {"vhost": "v", "policies": {"p": {"pattern": "^q$", "definition": {"max-length": 1}}}}
    assert (await run("apply", spec=same))[0] == 0


async def test_a_user_is_rotated_and_plan_shows_no_difference_meanwhile(broker, run):
    user = broker.user_name("shop")
    spec = SPEC | {"users": {user: {"secretName": "shop"}}}
    owned = ("--owner", broker.owner())
    assert (await run("apply", *owned, spec=spec))[0] == 0
    code, _, [notice] = await run("apply", *owned, "--rotate", user, spec=spec)
    assert code == 0
    assert notice.startswith(f"user {user} has a new password; the previous user stays until ")
    assert (await broker.credentials("shop")).username == f"{user}.1"
    assert await run("plan", *owned, spec=spec) == (0, ["nothing to do"], [])
    assert await run("apply", *owned, spec=spec) == (0, ["1 topology, 5 objects: nothing to do"], [])
    code, _, [notice] = await run("apply", *owned, "--rotate", "unknown", spec=spec)
    assert (code, notice) == (1, "error: user unknown is in none of the files")
    with pytest.raises(SystemExit):
        await run("apply", "--rotate", user, spec=spec)


@pytest.mark.long
async def test_apply_returns_when_a_queue_is_migrated(broker, api, run):
    owned = ("--owner", broker.owner())
    assert (await run("apply", *owned))[0] == 0
    asked = SPEC | {"queues": {"q": {"deliveryLimit": 5, "argumentChange": "Migrate"}}}
    reason = "its messages move into a new queue of the same name"
    difference = ["> migrate queue q (quorum)", "    x-delivery-limit: (not set) -> 5", f"    {reason}", "1 to migrate"]
    assert await run("plan", *owned, spec=asked) == (3, difference, [])
    code, out, notes = await run("apply", *owned, spec=asked)
    assert code == 0
    assert "queue q: its old queue is empty; it is watched for 12 s before it is deleted" in notes
    assert re.fullmatch(r"queue q: migrated in \d+ s; up to 0 messages were held aside", notes[-1])
    assert out == ["1 topology, 3 objects: 1 migrated"]
    assert (await api.get(path("queues", broker.vhost, "q")))["arguments"]["x-delivery-limit"] == 5
    assert await run("check", *owned, spec=asked) == (0, ["nothing to do"], [])
    stream = {"queues": {"q": {"type": "stream", "argumentChange": "Migrate"}}}
    code, out, _ = await run("plan", *owned, spec=SPEC | stream)
    assert (code, out[0]) == (3, "! blocked queue q (stream)")
    assert out[-2].startswith("    cannot be migrated: the offsets of a stream would not survive")
    code, out, _ = await run("apply", *owned, spec=SPEC | stream)
    assert code == 1
    assert out[0].startswith("! queue q: cannot be migrated: the offsets of a stream would not survive")


async def test_owners_are_listed_and_a_lost_one_is_removed(broker, api, capsys):
    await broker.reconcile(SPEC, "first", api=api)
    await broker.reconcile({"exchanges": {"other": {"type": "fanout"}}}, "second", api=api)
    await api.delete(path("queues", broker.vhost, "q"))
    access = broker.options()[:-2]  # without --secrets-dir

    async def run(*arguments):
        code = await asyncio.to_thread(main, [*arguments, *access])
        out, err = capsys.readouterr()
        return code, [line for line in out.splitlines() if broker.suffix in line], err.splitlines()

    first, second = broker.owner("first"), broker.owner("second")
    assert await run("owners") == (0, [f"{first}: 3 objects, 1 of them missing", f"{second}: 2 objects"], [])
    with pytest.raises(broker_topology.OwnershipConflict):
        await broker.reconcile(SPEC, "second", api=api)
    assert await run("disown", "--owner", first) == (
        0, [f"removed the record of {first}; its 3 objects have no owner now"], []
    )  # fmt: skip
    assert (await broker.reconcile(SPEC, "second", api=api)).ready
    code, _, (message,) = await run("disown", "--owner", first)
    assert code == 1
    assert f"holds no record of owner {first}; the owners with a record are: " in message
    assert second in message


async def test_an_owner_that_migrates_a_queue_is_not_removed(broker, api, capsys):
    await broker.reconcile(SPEC, api=api)
    record = (await ownership.records(api))[broker.owner()]
    note = {MIGRATION_NOTE: [[broker.vhost, "q", {}]]}
    await ownership.write(api, replace(record, notes=note))
    code = await asyncio.to_thread(main, ["disown", "--owner", broker.owner(), *broker.options()[:-2]])
    assert code == 1
    assert f"is moving the messages of queue {broker.vhost}/q; complete that first" in capsys.readouterr().err
    assert await ownership.records(api) == {**await ownership.records(api), broker.owner(): replace(record, notes=note)}
