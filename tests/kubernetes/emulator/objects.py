"""The objects of the emulated API server, their resource versions, and the history of their changes."""

import asyncio
import copy
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Resource (`secrets`, `topologies.warren.dev`), namespace, name."""


class StatusError(Exception):
    """A response other than 2xx, with the body of Kubernetes."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason

    @property
    def body(self) -> Object:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        return {**status, "reason": self.reason, "message": str(self), "code": self.status}


@dataclass
class WatchEvent:
    version: int
    kind: str
    key: Key
    body: Object


@dataclass
class ObjectStore:
    """Stores objects with optimistic locking, finalizers, owner references and namespaces."""

    held: dict[Key, Object] = field(default_factory=dict)
    history: list[WatchEvent] = field(default_factory=list)
    version: int = 100
    compacted: int = 0
    """Watches cannot continue from an older version."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def get(self, key: Key) -> Object:
        if key not in self.held:
            raise StatusError(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return copy.deepcopy(self.held[key])

    def of(self, resource: str, namespace: str | None) -> Iterator[Object]:
        for key, body in sorted(self.held.items()):
            if key[0] == resource and namespace in {None, key[1]}:
                yield copy.deepcopy(body)

    def create(self, resource: str, namespace: str, body: Object) -> Object:
        metadata = body.setdefault("metadata", {})
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)
        key = (resource, namespace, metadata["name"])
        if key in self.held:
            raise StatusError(409, "AlreadyExists", f'{resource} "{key[2]}" already exists')
        if namespace:
            home = self.held.get(("namespaces", "", namespace))
            if home is None:
                raise StatusError(404, "NotFound", f'namespaces "{namespace}" not found')
            if "deletionTimestamp" in home["metadata"]:
                raise StatusError(403, "Forbidden", f"namespace {namespace} is being terminated")
            metadata["namespace"] = namespace
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
        return self._store("ADDED", key, body)

    def update(self, key: Key, change: Callable[[Object], Object], *, status: bool, has_status: bool) -> Object:
        """Stores what `change` makes of a copy."""
        before = self.get(key)
        after = change(copy.deepcopy(before))
        expected = after.get("metadata", {}).get("resourceVersion")
        if expected is not None and expected != before["metadata"]["resourceVersion"]:
            raise StatusError(409, "Conflict", f'{key[0]} "{key[2]}": the object has been modified')
        if status:
            after = before | {"status": after.get("status", {})}
        elif has_status:
            after["status"] = before.get("status", {})
            if not after["status"]:
                del after["status"]
        for fixed in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "name", "namespace"):
            if fixed in before["metadata"]:
                after["metadata"][fixed] = before["metadata"][fixed]
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        if after == before:
            return before
        if any(after.get(part) != before.get(part) for part in (after.keys() | before.keys()) - {"metadata", "status"}):
            after["metadata"]["generation"] = before["metadata"]["generation"] + 1
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            return self._remove(key, after)
        return self._store("MODIFIED", key, after)

    def delete(self, key: Key) -> Object:
        body = self.get(key)
        if body["metadata"].get("finalizers"):
            if "deletionTimestamp" not in body["metadata"]:
                body["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": 0}
                body["metadata"]["generation"] += 1
                return self._store("MODIFIED", key, body)
            return body
        if key[0] == "namespaces":
            return self._delete_namespace(key, body)
        return self._remove(key, body)

    def _record(self, kind: str, key: Key, body: Object) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.history.append(WatchEvent(self.version, kind, key, copy.deepcopy(body)))
        self.changed.set()
        self.changed = asyncio.Event()

    def _store(self, kind: str, key: Key, body: Object) -> Object:
        self.held[key] = body
        self._record(kind, key, body)
        return copy.deepcopy(body)

    def _remove(self, key: Key, body: Object) -> Object:
        del self.held[key]
        self._record("DELETED", key, body)
        for other, dependent in list(self.held.items()):
            owners = dependent["metadata"].get("ownerReferences") or []
            if other in self.held and owners and all(each["uid"] == body["metadata"]["uid"] for each in owners):
                self.delete(other)
        if key[1]:
            self._end_namespace(key[1])
        return body

    def _delete_namespace(self, key: Key, body: Object) -> Object:
        if "deletionTimestamp" not in body["metadata"]:
            body["metadata"]["deletionTimestamp"] = _now()
            self._store("MODIFIED", key, body)
        for other in [each for each in self.held if each[1] == key[2]]:
            if other in self.held:
                self.delete(other)
        self._end_namespace(key[2])
        return body

    def _end_namespace(self, name: str) -> None:
        key = ("namespaces", "", name)
        home = self.held.get(key)
        if home is not None and "deletionTimestamp" in home["metadata"] and not any(k[1] == name for k in self.held):
            self._remove(key, home)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
