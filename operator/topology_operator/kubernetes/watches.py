"""Wakes a resource when one of the objects it depends on changes, watched by name.

One watch for each object, however many resources need it. A watch that breaks is taken up again; what was missed in
between shows in the object's version. A change is never missed, and may be told twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog

from topology_operator.broker.resolver import ObjectReference, ObservedVersions, version_of
from topology_operator.errors import KubernetesError
from topology_operator.kubernetes.api import KubernetesApi, path_of
from topology_operator.reconcile.peer_topologies import ResourceKey

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0

log = structlog.get_logger()


class ObjectWatches:
    """`wake` is called with the key of a resource and with what changed."""

    def __init__(self, kubernetes: KubernetesApi, wake: Callable[[ResourceKey, str], None]) -> None:
        self._kubernetes = kubernetes
        self._wake = wake
        self._waiting: dict[ObjectReference, set[ResourceKey]] = {}
        self._tasks: dict[ObjectReference, asyncio.Task[None]] = {}

    def follow(self, key: ResourceKey, seen: ObservedVersions) -> None:
        """From now on these objects wake this resource, and no others do.

        A change since the version that was seen wakes at once.
        """
        for named in [each for each, keys in self._waiting.items() if key in keys and each not in seen]:
            self._leave(named, key)
        for named, version in seen.items():
            self._waiting.setdefault(named, set()).add(key)
            if named not in self._tasks:
                self._tasks[named] = asyncio.create_task(self._run(named, version), name=f"watch {named.path}")

    def forget(self, key: ResourceKey) -> None:
        self.follow(key, {})

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _leave(self, named: ObjectReference, key: ResourceKey) -> None:
        self._waiting[named].discard(key)
        if not self._waiting[named]:
            del self._waiting[named]
            self._tasks.pop(named).cancel()

    async def _run(self, named: ObjectReference, version: str | None) -> None:
        wait = FIRST_WAIT_SECONDS
        collection = path_of(named.api, named.plural, named.namespace)
        while True:
            try:
                current = version_of(await self._kubernetes.get(named.path))
                version = self._changed(named, version, current)
                async with contextlib.aclosing(self._kubernetes.watch(collection, named.name, version)) as events:
                    async for kind, held in events:
                        version = self._changed(named, version, None if kind == "DELETED" else version_of(held))
                        wait = FIRST_WAIT_SECONDS
            except KubernetesError as exc:
                log.debug("a watch broke and is taken up again", object=named.path, reason=str(exc))
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _changed(self, named: ObjectReference, before: str | None, now: str | None) -> str | None:
        if before != now:
            for key in sorted(self._waiting.get(named, ())):
                self._wake(key, f"{named.plural} {named.namespace}/{named.name}")
        return now
