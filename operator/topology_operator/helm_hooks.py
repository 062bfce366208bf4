"""`python -m topology_operator.helm_hooks`: the jobs of the chart before an upgrade and before an uninstallation.

    apply-crd                   apply the custom resource definition of this version
    delete-topologies --namespace --selector --seconds
                                delete Topologies, and wait until the operator has cleaned up at the broker

Both may be repeated. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote

import yaml

from topology_operator import crd
from topology_operator.errors import ApiServerUnreachable, HookTimeout, OperatorError
from topology_operator.kubernetes.api import Authenticate, KubernetesApi, authenticate
from topology_operator.kubernetes.objects import API_VERSION, PLURAL, Object, condition_of, path_of

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY_PATCH = "application/apply-patch+yaml"
FIELD_MANAGER = "topology-operator"
ESTABLISHED_SECONDS = 60.0
UNREACHABLE_SECONDS = 30.0
POLL_SECONDS = 1.0


class HelmHookClient(KubernetesApi):
    """Runs with the service account of the job, not with that of the operator."""

    async def send(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """Retries for a while: the network of a new pod may need a moment, and the job has few tries."""
        end = _now() + UNREACHABLE_SECONDS
        while True:
            try:
                return await super().send(method, path, body, kind)
            except ApiServerUnreachable:
                if _now() > end:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def apply_crd(self, definition: Object) -> str:
        """Returns when the API server serves the definition. Fields of other managers stay. Raises `HookTimeout`."""
        name = definition["metadata"]["name"]
        end = _now() + ESTABLISHED_SECONDS
        query = f"fieldManager={FIELD_MANAGER}&force=true"
        found = await self.send("PATCH", f"{DEFINITIONS}/{name}?{query}", definition, APPLY_PATCH)
        while condition_of(found.get("status") or {}, "Established").get("status") != "True":
            if _now() > end:
                raise HookTimeout(f"{name}: the API server does not serve it: {_conditions(found)}")
            await asyncio.sleep(POLL_SECONDS)
            found = await self.send("GET", f"{DEFINITIONS}/{name}")
        return f"{name}: applied"

    async def delete_topologies(self, namespace: str, selector: str, seconds: float) -> AsyncIterator[str]:
        """Yields a line of progress for each step; ends when no Topology is left. Raises `HookTimeout`."""
        path = path_of(API_VERSION, PLURAL, namespace)
        end = _now() + seconds
        deleted: set[str] = set()
        while left := (await self.send("GET", f"{path}?labelSelector={quote(selector)}"))["items"]:
            for name in sorted({each["metadata"]["name"] for each in left} - deleted):
                await self.send_if_found("DELETE", f"{path}/{name}")
                deleted.add(name)
                yield f"{name}: deletion requested"
            if _now() > end:
                states = "; ".join(f"{each['metadata']['name']}: {_conditions(each)}" for each in left)
                raise HookTimeout(f"not deleted after {seconds:g} s: {states}. Is the topology operator running?")
            await asyncio.sleep(POLL_SECONDS)
        yield "no Topology is left"


def _now() -> float:
    return asyncio.get_running_loop().time()


def _conditions(body: Object) -> str:
    conditions = (body.get("status") or {}).get("conditions") or []
    return ", ".join(f"{each['type']} is {each['status']}, {each.get('message', '')}" for each in conditions) or (
        "it has no conditions"
    )


async def _run(options: argparse.Namespace, authenticate: Authenticate) -> None:
    client = HelmHookClient(authenticate)
    try:
        if options.command == "apply-crd":
            print(await client.apply_crd(yaml.safe_load(crd.rendered())), flush=True)  # noqa: T201
        else:
            async for line in client.delete_topologies(options.namespace, options.selector, options.seconds):
                print(line, flush=True)  # noqa: T201
    finally:
        await client.close()


def main(arguments: Sequence[str] | None = None, authenticate: Authenticate = authenticate) -> int:
    """Returns the exit code. Raises SystemExit(2) on wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m topology_operator.helm_hooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("apply-crd")
    delete = commands.add_parser("delete-topologies")
    delete.add_argument("--namespace", required=True)
    delete.add_argument("--selector", required=True, help="labels of the Topologies to delete")
    delete.add_argument("--seconds", type=float, default=240.0, help="time limit; default: %(default)g")
    try:
        asyncio.run(_run(parser.parse_args(arguments), authenticate))
    except OperatorError as exc:
        print(f"error: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
