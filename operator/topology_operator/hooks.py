"""`python -m topology_operator.hooks`: what an installation does before it is upgraded, and before it goes.

    define                      bring the definition of Topologies in the cluster to that of this version
    remove --namespace --selector --seconds
                                delete Topologies, and wait until the operator has cleaned up at the broker

Both may be repeated. Exit codes: 0 done, 1 not done, and why is said, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote

import yaml

from topology_operator import crd
from topology_operator.errors import ApiServerUnreachable, KubernetesError, OperatorError
from topology_operator.kubernetes.api import Connect, KubernetesApi, Object, path_of
from topology_operator.kubernetes.authentication import connect

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API, PLURAL = "warren.dev/v1alpha1", "topologies"
APPLY = "application/apply-patch+yaml"
MANAGER = "topology-operator"
ESTABLISHED_SECONDS = 60.0
REACH_SECONDS = 30.0
PAUSE_SECONDS = 1.0


class HookTimeout(OperatorError):
    """Time is up, and something is still as it was; the text names it."""


class HelmHookClient(KubernetesApi):
    """With the rights of the account of its pod, which are others than the operator's."""

    async def _send(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """Patient: the network of a pod may be up a moment after its process, and nothing else starts this anew."""
        until = _now() + REACH_SECONDS
        while True:
            try:
                return await super()._send(method, path, body, kind)
            except ApiServerUnreachable:
                if _now() > until:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def define(self) -> str:
        """Returns when the API server serves the definition of this version. Fields of others are left alone."""
        body: Object = yaml.safe_load(crd.rendered())
        path = f"{DEFINITIONS}/{body['metadata']['name']}"
        until = _now() + ESTABLISHED_SECONDS
        found = await self._send("PATCH", f"{path}?fieldManager={MANAGER}&force=true", body, APPLY)
        while not _is_established(found):
            if _now() > until:
                raise HookTimeout(f"{body['metadata']['name']}: the API server does not serve it: {_complaints(found)}")
            await asyncio.sleep(PAUSE_SECONDS)
            found = await self._send("GET", path)
        return f"{body['metadata']['name']}: defined as in this version"

    async def remove(self, namespace: str, selector: str, seconds: float) -> AsyncIterator[str]:
        """Yields a line for each thing that happens; ends when none is left. Raises `HookTimeout`."""
        path = path_of(API, PLURAL, namespace)
        until = _now() + seconds
        asked: set[str] = set()
        while left := await self._left(path, selector):
            for each in left:
                name = each["metadata"]["name"]
                if name not in asked:
                    await self._delete(f"{path}/{name}")
                    asked.add(name)
                    yield f"{name}: deletion asked for"
            if _now() > until:
                told = "; ".join(f"{each['metadata']['name']}: {_complaints(each)}" for each in left)
                raise HookTimeout(f"not gone after {seconds:g} s: {told}. Is the topology operator running?")
            await asyncio.sleep(PAUSE_SECONDS)
        yield "no Topology is left"

    async def _left(self, path: str, selector: str) -> list[Object]:
        found = await self._send("GET", f"{path}?labelSelector={quote(selector)}")
        return list(found["items"])

    async def _delete(self, path: str) -> None:
        try:
            await self._send("DELETE", path)
        except KubernetesError as exc:
            if exc.status != 404:
                raise


def _now() -> float:
    return asyncio.get_running_loop().time()


def _conditions(body: Object) -> list[Object]:
    return list((body.get("status") or {}).get("conditions") or [])


def _is_established(body: Object) -> bool:
    return any(each["type"] == "Established" and each["status"] == "True" for each in _conditions(body))


def _complaints(body: Object) -> str:
    """What is not as it should be, in the words of whoever says so."""
    told = [f"{each['type']} is {each['status']}, {each.get('message', '')}" for each in _conditions(body)]
    return ", ".join(told) or "nothing is said about it"


async def _perform(options: argparse.Namespace, reach: Connect) -> None:
    installation = HelmHookClient(reach)
    try:
        if options.command == "define":
            print(await installation.define(), flush=True)  # noqa: T201
        else:
            async for line in installation.remove(options.namespace, options.selector, options.seconds):
                print(line, flush=True)  # noqa: T201
    finally:
        await installation.close()


def main(arguments: Sequence[str] | None = None, reach: Connect = connect) -> int:
    """Returns the exit code. Raises SystemExit(2) on wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m topology_operator.hooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("define")
    remove = commands.add_parser("remove")
    remove.add_argument("--namespace", required=True)
    remove.add_argument("--selector", required=True, help="labels of what goes; the rest of the namespace stays")
    remove.add_argument("--seconds", type=float, default=240.0, help="how long it may take; default: %(default)g")
    try:
        asyncio.run(_perform(parser.parse_args(arguments), reach))
    except OperatorError as exc:
        print(f"error: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
