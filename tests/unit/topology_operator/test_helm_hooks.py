"""The jobs of the chart before an upgrade and before an uninstallation, against the emulated API server."""

import asyncio
from collections.abc import AsyncIterator

import kopf
import pytest

from tests.kubernetes.emulator.access import AccessRequest
from tests.kubernetes.emulator.objects import StatusError
from tests.kubernetes.emulator.server import ApiServerEmulator
from topology_operator import crd, helm_hooks
from topology_operator.errors import HookTimeout
from topology_operator.helm_hooks import HelmHookClient

TOPOLOGIES = "topologies.warren.dev"
DEFINITION = ("customresourcedefinitions.apiextensions.k8s.io", "", TOPOLOGIES)
READY = {"type": "Ready", "status": "False", "message": "the broker is away"}
ADMIN_TOKEN = "admin-token"
SELECTOR = "app=warren,instance=a"


@pytest.fixture
async def emulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServerEmulator]:
    """Has two Topologies of the release and one of another. Without a finalizer a deletion takes effect at once."""
    monkeypatch.setattr(helm_hooks, "POLL_SECONDS", 0.01)
    async with ApiServerEmulator() as running:
        running.install(crd.definition())
        running.objects.create("namespaces", "", {"metadata": {"name": "shop"}})
        for name, instance in (("order", "a"), ("payment", "a"), ("other", "b")):
            metadata = {"name": name, "labels": {"app": "warren", "instance": instance}}
            running.objects.create(TOPOLOGIES, "shop", {"metadata": metadata, "status": {"conditions": [READY]}})
        yield running


@pytest.fixture
async def client(emulator: ApiServerEmulator) -> AsyncIterator[HelmHookClient]:
    opened = HelmHookClient(lambda: connection(emulator))
    yield opened
    await opened.close()


def connection(emulator: ApiServerEmulator, token: str = ADMIN_TOKEN) -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(server=emulator.url, token=token)


def names(emulator: ApiServerEmulator) -> list[str]:
    return [each["metadata"]["name"] for each in emulator.objects.of(TOPOLOGIES, "shop")]


def stop_operator(emulator: ApiServerEmulator) -> None:
    """Lets a deleted Topology stay from now on, because its finalizer is not removed."""
    for key, body in emulator.objects.held.items():
        if key[0] == TOPOLOGIES:
            body["metadata"]["finalizers"] = ["warren.dev/topology"]


async def delete(client: HelmHookClient, selector: str = SELECTOR, seconds: float = 5) -> list[str]:
    return [line async for line in client.delete_topologies("shop", selector, seconds)]


async def test_the_definition_is_applied_and_awaited(emulator: ApiServerEmulator, client: HelmHookClient) -> None:
    definition, reads = crd.definition(), 0

    def establish(request: AccessRequest) -> None:
        nonlocal reads
        if request.verb == "get":
            reads += 1
            status = "True" if reads > 1 else "False"
            emulator.objects.held[DEFINITION]["status"] = {"conditions": [{"type": "Established", "status": status}]}

    emulator.before_request = establish
    assert "topologies.warren.dev" in await client.apply_crd(definition)
    assert emulator.objects.get(DEFINITION)["spec"] == definition["spec"]
    assert reads == 2


async def test_only_topologies_of_the_release_are_deleted(emulator: ApiServerEmulator, client: HelmHookClient) -> None:
    assert await delete(client) == ["order: deletion requested", "payment: deletion requested", "no Topology is left"]
    assert names(emulator) == ["other"]
    assert await delete(client) == ["no Topology is left"]


async def test_without_an_operator_the_deletion_fails_and_names_what_is_left(
    emulator: ApiServerEmulator, client: HelmHookClient
) -> None:
    stop_operator(emulator)
    words = r"order: Ready is False, the broker is away.*Is the topology operator running\?"
    with pytest.raises(HookTimeout, match=words):
        await delete(client, seconds=0.05)


async def test_a_request_to_an_overloaded_api_server_is_repeated(
    emulator: ApiServerEmulator, client: HelmHookClient
) -> None:
    failures = [503, 503, 503]

    def overloaded(_: AccessRequest) -> None:
        if failures:
            raise StatusError(failures.pop(), "ServiceUnavailable", "later")

    emulator.before_request = overloaded
    assert (await delete(client))[-1] == "no Topology is left"
    assert failures == []


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (ADMIN_TOKEN, "not deleted after 0.05 s"),
        ("powerless", "the operator lacks a right: GET /apis/warren.dev/v1alpha1/namespaces/shop/topologies"),
    ],
)
async def test_a_failure_is_one_line(
    emulator: ApiServerEmulator, capsys: pytest.CaptureFixture[str], token: str, words: str
) -> None:
    stop_operator(emulator)
    emulator.tokens["powerless"] = "system:serviceaccount:shop:powerless"
    arguments = ["delete-topologies", "--namespace=shop", f"--selector={SELECTOR}", "--seconds=0.05"]
    assert await asyncio.to_thread(helm_hooks.main, arguments, lambda: connection(emulator, token)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {words}")
    assert error.count("\n") == 1
