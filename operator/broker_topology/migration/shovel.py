"""Shovels inside one virtual host: the broker itself moves messages from a queue to an exchange.

The address without host and user makes the shovel part of the broker: it needs no password, and it may pass on messages
that carry another user's `user_id`. Routing key, properties and headers stay as they are. A message is taken out of its
queue only when the destination has confirmed it, so an interrupted shovel repeats some and loses none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from broker_topology.broker.management_api import NOT_FOUND, ManagementApi, path
from broker_topology.errors import RequestFailed

PLUGIN = "rabbitmq_shovel"
IN_FLIGHT = 1000
"""Messages that one shovel may hold. Fewer would wait for confirms; more would come again after an interruption."""
RECONNECT_SECONDS = 1


class Shovel(msgspec.Struct, frozen=True):
    """From `queue` through `exchange`. A higher priority is served before all other consumers of the queue."""

    queue: str
    exchange: str
    priority: int = 0

    def definition(self, vhost: str) -> dict[str, Any]:
        """The value of the broker's runtime parameter. Neither end is ever declared by the shovel itself."""
        here = f"amqp:///{quote(vhost, safe='')}"
        body = {
            "src-protocol": "amqp091",
            "src-uri": here,
            "src-queue": self.queue,
            "src-predeclared": True,
            "src-prefetch-count": IN_FLIGHT,
            "src-delete-after": "never",
            "dest-protocol": "amqp091",
            "dest-uri": here,
            "dest-exchange": self.exchange,
            "dest-predeclared": True,
            "ack-mode": "on-confirm",
            "reconnect-delay": RECONNECT_SECONDS,
        }
        return body | ({"src-consumer-args": {"x-priority": self.priority}} if self.priority else {})


def target(vhost: str, name: str) -> str:
    """Where the parameter of a shovel lives."""
    return path("parameters", "shovel", vhost, name)


async def definitions(api: ManagementApi, vhost: str) -> dict[str, Mapping[str, Any]]:
    """Every shovel of a virtual host, by name. None where the plugin is not enabled."""
    try:
        listed = await api.get(path("parameters", "shovel", vhost))
    except RequestFailed as exc:
        if exc.status != NOT_FOUND:
            raise
        return {}
    return {each["name"]: each["value"] for each in listed}


async def troubles(api: ManagementApi, vhost: str) -> dict[str, str]:
    """What hinders which shovel, in the broker's words, as far as it tells (`rabbitmq_shovel_management` does)."""
    try:
        listed = await api.get(path("shovels", vhost))
    except RequestFailed as exc:
        if exc.status != NOT_FOUND:
            raise
        return {}
    found = {}
    for each in listed:
        if each.get("state") == "terminated":
            found[each["name"]] = str(each.get("reason") or "terminated")
        elif each.get("blocked_status") == "blocked":
            found[each["name"]] = "the broker takes no messages at the moment (an alarm)"
    return found


HOW_TO_ENABLE = f"run `rabbitmq-plugins enable {PLUGIN}` there, or add it to additionalPlugins of the RabbitmqCluster"
UNKNOWN_COMPONENT = "component shovel not found"
"""How the broker refuses a shovel without the plugin."""


async def lacking(api: ManagementApi) -> str | None:
    """What to do before shovels can be used; None when nothing is, as far as the broker tells.

    Its list of plugins is refreshed every few seconds and missing right after a start. Only the refusal of a shovel is
    certain (UNKNOWN_COMPONENT).
    """
    nodes = await api.get(path("nodes") + "?columns=name,running,enabled_plugins")
    listed = [each for each in nodes if each.get("running", True) and each.get("enabled_plugins")]
    without = sorted(each["name"] for each in listed if PLUGIN not in each["enabled_plugins"])
    return f"plugin {PLUGIN} is not enabled on {', '.join(without)}; {HOW_TO_ENABLE}" if without else None
