"""Reads the observed state of the broker.

One listing for each kind (and virtual host), so the number of requests does not grow with the number of objects.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.planning.state import POLICIES, BrokerState, Key, ObjectKind, empty_state, with_defaults

SERVER_ERROR = 500
VHOST_COLUMNS = "?columns=name,description,tags,default_queue_type,tracing,protected_from_deletion"
EXCHANGE_COLUMNS = "?columns=name,type,durable,auto_delete,internal,arguments"
# without statistics, for which the broker asks the leader of every queue
QUEUE_COLUMNS = "?disable_stats=true&columns=name,type,durable,auto_delete,exclusive,arguments"


async def observe(api: ManagementApi, vhosts: Iterable[str]) -> BrokerState:
    """Returns the state of the given virtual hosts, and of the objects of the whole broker.

    A virtual host that does not exist is absent. Raises the errors of `ManagementApi`.
    """
    names = set(vhosts)
    state = empty_state()
    vhost_entries, users, permissions, topic_permissions, limits = await asyncio.gather(
        api.get(path("vhosts") + VHOST_COLUMNS),
        api.get(path("users")),
        api.get(path("permissions")),
        api.get(path("topic-permissions")),
        api.get(path("vhost-limits")),
    )
    for each in users:
        state[ObjectKind.USER][Key.of(each["name"])] = ObjectKind.USER.body_of(each) | {"tags": sorted(each["tags"])}
        _add_limits(state, ObjectKind.USER_LIMIT, each["name"], each.get("limits"))
    for each in permissions:
        if each["vhost"] in names:
            key = Key.of(each["user"], each["vhost"])
            state[ObjectKind.PERMISSION][key] = ObjectKind.PERMISSION.body_of(each)
    for each in topic_permissions:
        if each["vhost"] in names:
            key = Key(each["vhost"], (each["user"], each["exchange"]))
            state[ObjectKind.TOPIC_PERMISSION][key] = ObjectKind.TOPIC_PERMISSION.body_of(each)
    for each in limits:
        if each["vhost"] in names:
            _add_limits(state, ObjectKind.VHOST_LIMIT, each["vhost"], each["value"])
    for each in vhost_entries:
        if each["name"] in names:
            state[ObjectKind.VHOST][Key.of(each["name"])] = {
                "description": each.get("description") or "",
                "tags": sorted(each.get("tags") or []),
                "default_queue_type": each.get("default_queue_type"),
                "tracing": each.get("tracing") is True,
                "protected_from_deletion": each.get("protected_from_deletion") is True,
            }
    await asyncio.gather(*(_observe_vhost(api, state, *each.name) for each in sorted(state[ObjectKind.VHOST])))
    return state


def _add_limits(state: BrokerState, kind: ObjectKind, owner: str, limits: dict[str, Any] | None) -> None:
    for limit, value in dict(limits or {}).items():
        state[kind][Key("", (owner, limit))] = {"value": value}


async def _bindings(api: ManagementApi, vhost: str) -> Any:
    try:
        return await api.get(path("bindings", vhost))
    except RequestFailed as exc:
        if exc.status != SERVER_ERROR:
            raise
        raise RequestFailed(
            f"RabbitMQ's management API fails to list the bindings of virtual host {vhost}. It does so where a binding "
            "with arguments has ~ in its routing key, or an argument without a value; unbind it over AMQP",
            exc.status,
        ) from exc


async def _observe_vhost(api: ManagementApi, state: BrokerState, vhost: str) -> None:
    exchanges, queues, bindings, *policies = await asyncio.gather(
        api.get(path("exchanges", vhost) + EXCHANGE_COLUMNS),
        api.get(path("queues", vhost) + QUEUE_COLUMNS),
        _bindings(api, vhost),
        *(api.get(path(kind.collection, vhost)) for kind in POLICIES),
    )
    for kind, listed in ((ObjectKind.EXCHANGE, exchanges), *zip(POLICIES, policies, strict=True)):
        state[kind] |= {Key.of(each["name"], vhost): kind.body_of(each) for each in listed}
    for each in queues:
        if each.get("exclusive") is not True:  # an exclusive queue belongs to a connection, never to a topology
            arguments = with_defaults({"x-queue-type": each["type"], **each["arguments"]})
            body = ObjectKind.QUEUE.body_of(each) | {"arguments": arguments}
            state[ObjectKind.QUEUE][Key.of(each["name"], vhost)] = body
    for each in bindings:
        if each["source"]:  # every queue is bound to the default exchange
            target = (each["destination_type"], each["destination"])
            key = Key.of_binding(vhost, each["source"], target, each["routing_key"], each["arguments"])
            state[ObjectKind.BINDING][key] = {"properties_key": each["properties_key"]}  # the last path segment
