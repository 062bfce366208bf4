"""Nothing is missed while a watch is broken; wake-ups come from changes and from nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import yaml

from tests.kubernetes.cluster import SECRET, condition, eventually, has
from tests.kubernetes.emulator.server import Emulator
from tests.kubernetes.operating import ROOT
from tests.kubernetes.site import NAMES, Site

NEVER = {"retry_seconds": "3600", "retry_max_seconds": "3600"}


@pytest.mark.emulated
@pytest.mark.parametrize("forget", [False, True], ids=["cut", "expired"])
async def test_what_changed_while_the_watches_were_broken_is_noticed(
    place: Site, emulator: Emulator, forget: bool
) -> None:
    await place.operator(**NEVER)
    await place.create("shop", queues={"a": {}}, users={place.user("u"): {"secretName": "u"}})
    await place.until("shop")
    held = await place.cluster.get(SECRET, place.namespace, "u")
    emulator.break_watches(forget=forget)
    await place.cluster.delete(SECRET, place.namespace, "u")
    await place.cluster.until(SECRET, place.namespace, "u", lambda body: body["metadata"] != (held or {})["metadata"])
    emulator.break_watches(forget=forget)
    await place.change("shop", queues={"b": {}})
    await place.create("other", queues={"c": {}})
    for name in ("shop", "other"):
        await place.until(name)
    assert set(await place.at_broker("queues")) == {"a", "b", "c"}


async def test_health_says_what_is_missing(place: Site) -> None:
    operator = await place.operator()
    assert await operator.answer("/livez") == (200, "ok\n")
    assert await operator.answer("/readyz") == (200, "ok\n")
    await place.create("shop", queues={"a": {}})
    await place.until("shop")
    labels = f'namespace="{place.namespace}",topology="shop"'
    state = f'namespace="{place.namespace}",state="Ready",topology="shop"'
    assert await operator.metric(f"topology_ready{{{labels}}}") == 1
    assert (await operator.metric(f"topology_objects{{{state}}}") or 0) >= 2
    assert (await operator.metric(f"topology_last_success_timestamp_seconds{{{labels}}}") or 0) > 1.7e9
    await place.delete("shop")
    await place.until_gone("shop")
    assert await operator.metric(f"topology_ready{{{labels}}}") is None
    assert await operator.stop() == 0


async def test_a_role_without_a_right_is_said_by_the_resource(place: Site) -> None:
    home = await place.new_namespace(f"{place.namespace}-closed")
    await place.broker_secret("broker", namespace=home)
    await place.operator()
    await place.create("shop", broker={"secretRef": {"name": "broker", "namespace": home}})
    refused = await place.until("shop", has("KubernetesRefused"))
    assert "the operator lacks a right" in condition(refused)["message"]
    await place.grant(home, account_namespace=place.namespace)
    await place.until("shop", has("NamespaceNotAllowed"))


@pytest.mark.emulated
async def test_an_operator_waits_for_the_definition_and_for_its_rights(place: Site, emulator: Emulator) -> None:
    definition = yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text())
    emulator.uninstall(definition)
    await place.cluster.delete(NAMES["ClusterRoleBinding"], "", f"topology-operator-topologies-{place.namespace}")
    starting = asyncio.create_task(place.operator())

    def waits_for(words: str) -> Callable[[], Awaitable[bool]]:
        async def told() -> bool:
            return words in place.logs()

        return told

    await eventually(waits_for("is not installed; install the CRD"))
    emulator.install(definition)
    await eventually(waits_for("cannot list topologies"))
    await place.grant(place.namespace, only="ClusterRoleBinding")
    operator = await starting
    await place.create("shop", queues={"a": {}})
    await place.until("shop")
    assert await operator.stop() == 0
