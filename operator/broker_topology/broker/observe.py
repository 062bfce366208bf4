"""What the broker holds now, as a `BrokerState`.

One listing per kind (and virtual host), so the number of requests does not grow with the number of objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.planning.state import BrokerState, Key, ObjectKind, binding_key, empty, key, with_defaults

Listing = list[dict[str, Any]]
BROKEN = 500
VHOST_COLUMNS = "?columns=name,description,tags,default_queue_type,tracing,protected_from_deletion"


async def observe(api: ManagementApi, vhosts: Iterable[str]) -> BrokerState:
    """The state of the given virtual hosts, and of what belongs to the whole broker.

    A virtual host that does not exist yet is simply absent. Raises the errors of `ManagementApi`.
    """
    wanted = set(vhosts)
    state = empty()
    known, users, permissions, topic_permissions, vhost_limits = await asyncio.gather(
        api.get(path("vhosts") + VHOST_COLUMNS),
        api.get(path("users")),
        api.get(path("permissions")),
        api.get(path("topic-permissions")),
        api.get(path("vhost-limits")),
    )
    present = sorted(wanted & {each["name"] for each in known})
    for each in known:
        if each["name"] in wanted:
            state[ObjectKind.VHOST][key(each["name"])] = {
                "description": each.get("description") or "",
                "tags": sorted(each.get("tags") or []),
                "default_queue_type": each.get("default_queue_type"),
                "tracing": each.get("tracing") is True,
                "protected_from_deletion": each.get("protected_from_deletion") is True,
            }
    _users(state, users)
    for each in permissions:
        if each["vhost"] in wanted:
            state[ObjectKind.PERMISSION][key(each["user"], each["vhost"])] = {
                "configure": each["configure"],
                "write": each["write"],
                "read": each["read"],
            }
    for each in topic_permissions:
        if each["vhost"] in wanted:
            identity = Key(each["vhost"], (each["user"], each["exchange"]))
            state[ObjectKind.TOPIC_PERMISSION][identity] = {"write": each["write"], "read": each["read"]}
    for each in vhost_limits:
        if each["vhost"] in wanted:
            for limit, value in each["value"].items():
                state[ObjectKind.VHOST_LIMIT][Key("", (each["vhost"], limit))] = {"value": value}
    await asyncio.gather(*(_vhost(api, state, vhost) for vhost in present))
    return state


def _users(state: BrokerState, users: Listing) -> None:
    for each in users:
        state[ObjectKind.USER][key(each["name"])] = {
            "tags": sorted(each["tags"]),
            "password_hash": each["password_hash"],
            "hashing_algorithm": each["hashing_algorithm"],
        }
        for limit, value in dict(each.get("limits") or {}).items():
            state[ObjectKind.USER_LIMIT][Key("", (each["name"], limit))] = {"value": value}


async def _bindings(api: ManagementApi, vhost: str) -> Listing:
    try:
        listed: Listing = await api.get(path("bindings", vhost))
    except RequestFailed as exc:
        if exc.status != BROKEN:
            raise
        raise RequestFailed(
            f"RabbitMQ's management API fails to list the bindings of virtual host {vhost}. It does so where a binding "
            "with arguments has ~ in its routing key, or an argument without a value; unbind it over AMQP",
            exc.status,
        ) from exc
    return listed


async def _vhost(api: ManagementApi, state: BrokerState, vhost: str) -> None:
    exchanges, queues, bindings, policies, operator_policies = await asyncio.gather(
        api.get(path("exchanges", vhost) + "?columns=name,type,durable,auto_delete,internal,arguments"),
        # without statistics: they cost the broker a question to every queue's leader
        api.get(
            path("queues", vhost) + "?disable_stats=true&columns=name,type,durable,auto_delete,exclusive,arguments"
        ),
        _bindings(api, vhost),
        api.get(path("policies", vhost)),
        api.get(path("operator-policies", vhost)),
    )
    for each in exchanges:
        state[ObjectKind.EXCHANGE][key(each["name"], vhost)] = {
            name: each[name] for name in ("type", "durable", "auto_delete", "internal", "arguments")
        }
    for each in queues:
        if each.get("exclusive") is True:  # belongs to a connection, never to a topology
            continue
        state[ObjectKind.QUEUE][key(each["name"], vhost)] = {
            "durable": each["durable"],
            "auto_delete": each["auto_delete"],
            "arguments": with_defaults({"x-queue-type": each["type"], **each["arguments"]}),
        }
    for each in bindings:
        if each["source"]:  # every queue is bound to the default exchange
            target = (each["destination_type"], each["destination"])
            identity = binding_key(vhost, each["source"], target, each["routing_key"], each["arguments"])
            state[ObjectKind.BINDING][identity] = {"properties_key": each["properties_key"]}  # its address
    for kind, listed in ((ObjectKind.POLICY, policies), (ObjectKind.OPERATOR_POLICY, operator_policies)):
        for each in listed:
            state[kind][key(each["name"], vhost)] = {
                name: each[name] for name in ("pattern", "apply-to", "priority", "definition")
            }
