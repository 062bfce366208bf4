"""Requests a reconcile when an object that a Topology depends on changes.

Each object has one watch, by name, however many Topologies depend on it. A watch that breaks is restarted; a change in
between shows in the object's version. No change is missed; one may be reported twice.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog

from topology_operator.errors import KubernetesError
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import ObjectReference, ObservedVersions, ResourceKey, version_of

MIN_RESTART_SECONDS = 1.0
MAX_RESTART_SECONDS = 30.0

log = structlog.get_logger()


class ObjectWatches:
    """Calls `on_change` with the key of a Topology and the object that changed."""

    def __init__(self, kubernetes: KubernetesApi, on_change: Callable[[ResourceKey, str], None]) -> None:
        self._kubernetes = kubernetes
        self._on_change = on_change
        self._dependents: dict[ObjectReference, set[ResourceKey]] = {}
        self._tasks: dict[ObjectReference, asyncio.Task[None]] = {}

    def set_dependencies(self, key: ResourceKey, observed: ObservedVersions) -> None:
        """Replaces the objects that this Topology depends on.

        A change since the observed version is reported at once.
        """
        for reference in [each for each, keys in self._dependents.items() if key in keys and each not in observed]:
            self._dependents[reference].discard(key)
            if not self._dependents[reference]:
                del self._dependents[reference]
                self._tasks.pop(reference).cancel()
        for reference, version in observed.items():
            self._dependents.setdefault(reference, set()).add(key)
            if reference not in self._tasks:
                self._tasks[reference] = asyncio.create_task(self._run(reference, version), name=f"watch {reference}")

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, reference: ObjectReference, version: str | None) -> None:
        wait = MIN_RESTART_SECONDS
        while True:
            try:
                version = self._compare(reference, version, version_of(await self._kubernetes.get(reference.path)))
                events = self._kubernetes.watch(reference.collection, reference.name, version)
                async with contextlib.aclosing(events):
                    async for kind, body in events:
                        version = self._compare(reference, version, None if kind == "DELETED" else version_of(body))
                        wait = MIN_RESTART_SECONDS
            except KubernetesError as exc:
                log.debug("watch restarted", object=str(reference), reason=str(exc))
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
                wait = min(2 * wait, MAX_RESTART_SECONDS)

    def _compare(self, reference: ObjectReference, before: str | None, now: str | None) -> str | None:
        if before != now:
            for key in sorted(self._dependents.get(reference, ())):
                self._on_change(key, str(reference))
        return now
