"""Shovels inside one virtual host: the broker itself moves messages from a queue to an exchange.

An address without host and user makes the shovel part of the broker: it needs no password, and it may forward messages
with another user's `user_id`. Routing key, properties and headers are kept. A message leaves its queue only after the
destination has confirmed it, so an interrupted shovel repeats messages and loses none.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from broker_topology.broker.management_api import ManagementApi, path

PLUGIN = "rabbitmq_shovel"
HOW_TO_ENABLE = f"run `rabbitmq-plugins enable {PLUGIN}` there, or add it to additionalPlugins of the RabbitmqCluster"
UNKNOWN_COMPONENT = "component shovel not found"
"""The broker's error for a shovel without the plugin."""
IN_FLIGHT = 1000
"""Unconfirmed messages of a shovel, at most. Fewer are slower; an interruption repeats them."""
RECONNECT_SECONDS = 1


class Shovel(msgspec.Struct, frozen=True):
    """A shovel from `queue` to `exchange`. The broker serves consumers of a higher priority first."""

    queue: str
    exchange: str
    priority: int = 0

    def definition(self, vhost: str) -> dict[str, Any]:
        """Returns the value of the broker's runtime parameter. The shovel itself declares neither end."""
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


def shovel_path(vhost: str, *name: str) -> str:
    """Returns the path of one shovel's parameter, or of all of a virtual host."""
    return path("parameters", "shovel", vhost, *name)


async def definitions(api: ManagementApi, vhost: str) -> dict[str, Mapping[str, Any]]:
    """Returns the definition of every shovel of a virtual host, by name. Empty without the plugin."""
    return {each["name"]: each["value"] for each in await api.get_or_none(shovel_path(vhost)) or []}


async def errors(api: ManagementApi, vhost: str) -> dict[str, str]:
    """Returns the broker's error for each stopped shovel. Empty without the plugin `rabbitmq_shovel_management`."""
    found = {}
    for each in await api.get_or_none(path("shovels", vhost)) or []:
        if each.get("state") == "terminated":
            found[each["name"]] = str(each.get("reason") or "terminated")
        elif each.get("blocked_status") == "blocked":
            found[each["name"]] = "the broker accepts no messages at the moment (an alarm)"
    return found


async def missing_plugin(api: ManagementApi) -> str | None:
    """Returns how to enable the plugin; None if it is enabled as far as the broker reports.

    The broker refreshes its list of plugins every few seconds and has none right after a start. Only the refusal of a
    shovel is certain (UNKNOWN_COMPONENT).
    """
    nodes = await api.get(path("nodes") + "?columns=name,running,enabled_plugins")
    listed = [each for each in nodes if each.get("running", True) and each.get("enabled_plugins")]
    without = sorted(each["name"] for each in listed if PLUGIN not in each["enabled_plugins"])
    return f"plugin {PLUGIN} is not enabled on {', '.join(without)}; {HOW_TO_ENABLE}" if without else None
