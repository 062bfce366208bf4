"""Errors of a broker that is unreachable, refuses requests, or has another certificate."""

import pytest
import trustme

from broker_topology import ManagementApi, Status
from broker_topology.broker.management_api import path
from broker_topology.credentials.secrets import Credentials, store_if_missing
from broker_topology.errors import AccessDenied, BrokerUnreachable, CertificateRefused
from faults.proxy import FaultProxy

SPEC = {"exchanges": {"e": {"type": "fanout"}}, "users": {"u": {"secretName": "u"}}}


async def test_a_wrong_password(broker):
    admin = broker.endpoints.admin_username
    with pytest.raises(AccessDenied, match=f"refuses user {admin}"):
        async with broker.api(login=(admin, "wrong")):
            pass


async def test_a_wrong_authority_as_text(broker):
    wrong = trustme.CA().cert_pem.bytes().decode()
    with pytest.raises(CertificateRefused, match="is not trusted"):
        async with broker.api(ca_file=None, ca_data=wrong):
            pass


async def test_the_right_authority_as_text(broker):
    async with broker.api(ca_file=None, ca_data=broker.endpoints.ca_file.read_text()) as api:
        assert (await broker.reconcile(SPEC, api=api)).ready


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
async def test_a_malformed_authority(broker, text):
    with pytest.raises(CertificateRefused, match=r"the CA given for the broker cannot be used|is not trusted"):
        async with broker.api(ca_file=None, ca_data=text):
            pass


async def test_the_same_client_continues_after_an_outage(broker, api):
    proxy = FaultProxy(int(broker.endpoints.management_url.rsplit(":", 1)[1]))
    async with proxy.serving(), broker.api(url=f"https://127.0.0.1:{proxy.port}") as through:
        assert (await broker.reconcile(SPEC, api=through)).ready
        await api.delete(path("exchanges", broker.vhost, "e"))
        proxy.refuse()
        for work in (broker.reconcile, broker.finalize):
            with pytest.raises(BrokerUnreachable, match=r"nothing answers at https://127\.0"):
                await work(SPEC, api=through)
        proxy.heal()
        outcome = await broker.reconcile(SPEC, api=through)
        assert outcome.ready
        assert [step.kind.value for step in outcome.repaired] == ["exchange"]


class VhostDeletingApi(ManagementApi):
    """Deletes the virtual host before the fifth exchange is declared."""

    async def put(self, target: str, body: object) -> None:
        prefix, vhost = "/api/exchanges/", target.split("/")[3]
        if target.startswith(prefix) and target.endswith("e5"):
            await self.delete(path("vhosts", vhost))
        await super().put(target, body)


async def test_a_virtual_host_that_is_deleted_during_a_run_is_made_again(broker, api):
    """By the next run."""
    spec = {"exchanges": {f"e{number}": {"type": "fanout"} for number in range(20)}}
    await broker.reconcile({}, api=api)
    async with broker.api(VhostDeletingApi) as deleting:
        outcome = await broker.reconcile(spec, api=deleting)
    assert not outcome.ready
    assert outcome.failures
    assert (await broker.reconcile(spec, api=api)).ready


async def test_a_refused_object_is_failed_and_its_dependents_are_pending(broker):
    async with broker.api(concurrency=1) as api:  # the broker counts concurrently declared queues late
        await broker.reconcile({"vhostLimits": {"maxQueues": 1}}, api=api)
        spec = {
            "vhostLimits": {"maxQueues": 1},
            "exchanges": {"e": {"type": "fanout"}},
            "queues": {"a": {}, "b": {}},
            "bindings": [{"source": "e", "queue": "a"}, {"source": "e", "queue": "b"}],
        }
        outcome = await broker.reconcile(spec, api=api)
        assert not outcome.ready
        (failed,) = outcome.of(Status.FAILED)
        assert f"queue limit in vhost '{broker.vhost}' (1) is reached" in failed.message
        waits = [str(each) for each in outcome.of(Status.PENDING)]
        assert waits == [f"binding e --> {failed.name}: Pending (does not exist)"]  # the other binding exists
        assert (await broker.reconcile(spec | {"vhostLimits": {"maxQueues": 2}}, api=api)).ready


async def test_an_imported_user_is_blocked_until_its_secret_has_a_hash(broker, api):
    spec = {"users": {"u": {"secretName": "u", "credentials": "Import", "limits": {"maxChannels": 3}}}}
    name = broker.user_name("u")
    outcome = await broker.reconcile(spec, api=api)
    assert {each.kind.value: each.status for each in outcome.objects} == {
        "vhost": Status.READY,
        "user": Status.BLOCKED,
        "user limit": Status.BLOCKED,
        "permission": Status.BLOCKED,
    }
    assert "secret u does not exist" in outcome.of(Status.BLOCKED)[0].message
    hashed = Credentials(name, "right").hashed()
    await store_if_missing(broker.secrets, "u", Credentials(name, password_hash=hashed))
    assert (await broker.reconcile(spec, api=api)).ready
    (user,) = [each for each in await api.get(path("users")) if each["name"] == name]
    assert user["password_hash"] == hashed
    api.requests.clear()
    assert (await broker.reconcile(spec, api=api)).ready
    assert set(api.requests) == {"GET"}
