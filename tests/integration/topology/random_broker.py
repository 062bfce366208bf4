"""Random content for a virtual host, made with the management API."""

import base64
import random
from contextlib import suppress
from typing import Any

from broker_topology import ManagementApi
from broker_topology.broker.management_api import path
from broker_topology.errors import RequestFailed

PIECES = [
    *"ab.-_ :'#?+&{!~\"\\%/",
    *("ü", "\x85", "\u2028", "%2f", "\t", "\x1b", "\x7f", "\U0001f600", "1e3", "0x1f", "true", "null", "- "),
]
PATTERNS = ["", ".*", "^$", r"^a.*\z", r"\p{L}", "a(?i)b", "(?<n>x)", r"^\Qa.b\E$", "[[:alpha:]]", "^order\\."]
SHARED = {"x-dead-letter-exchange": ["", "nowhere"], "x-dead-letter-routing-key": ["k", ""]} | {
    "x-max-length": [0, 9], "x-max-length-bytes": [10**9], "x-message-ttl": [1500, 0], "x-expires": [10**9],
    "x-single-active-consumer": [True, False], "x-foo": [1, "1", True, [1, {"a": "\x85"}]],
    "x-queue-leader-locator": ["balanced"], "x-overflow": ["drop-head", "reject-publish"],
}  # fmt: skip
ARGUMENTS: dict[str, dict[str, list[Any]]] = {
    "classic": SHARED | {"x-queue-mode": ["lazy"], "x-queue-version": [2], "x-max-priority": [5]},
    "quorum": SHARED | {
        "x-delayed-retry-type": ["all", "failed", "disabled"], "x-delayed-retry-min": [1000],
        "x-delivery-limit": [-1, 3], "x-delayed-retry-max": [2500],
        "x-dead-letter-strategy": ["at-least-once", "at-most-once"], "x-consumer-timeout": [60_000],
        "x-max-in-memory-length": [3],
    },
    "stream": {"x-max-age": ["7D"], "x-max-length-bytes": [10**9], "x-stream-filter-size-bytes": [32], "x-foo": ["a"]},
}  # fmt: skip
HASHES = {"md5": 16, "sha256": 32, "sha512": 64}


class RandomBroker:
    """`fill` makes the content, without the objects that the broker refuses."""

    def __init__(self, api: ManagementApi, vhost: str, seed: int, suffix: str) -> None:
        self.api, self.vhost, self.suffix = api, vhost, suffix
        self.random = random.Random(f"{seed}")
        self.users: list[str] = []

    def name(self) -> str:
        return "".join(self.random.choices(PIECES, k=self.random.randint(1, 6))).strip(".") or "x"

    async def fill(self) -> None:
        pick, some = self.random.choice, range(6)
        settings = {"description": self.name(), "tags": ["a b", "ü"], "default_queue_type": pick(["quorum", "classic"])}
        await self._put({"tracing": False} | settings, "vhosts", self.vhost)
        await self._put({"value": pick([50, 5, -1])}, "vhost-limits", self.vhost, "max-queues")
        exchanges = ["amq.topic", "amq.headers"]
        for kind in ("topic", "direct", "fanout", "headers", "x-local-random", "x-modulus-hash"):
            exchanges.append(await self._exchange(kind, exchanges))
        queues = [await self._queue(pick(["classic", "quorum", "stream"]), exchanges) for _ in some]
        for _ in range(25):
            await self._binding(pick(exchanges), pick(["q", "e"]), pick(queues), pick(exchanges))
        for section in ("policies", "operator-policies"):
            for target in ("all", "queues", "streams"):
                body = {"pattern": pick(PATTERNS), "apply-to": target, "priority": pick([0, -3, 7])}
                await self._put(body | {"definition": {"max-length-bytes": 10**9}}, section, self.vhost, self.name())
        for number in some:
            await self._user(f"{self.name()}-{self.suffix}-{number}", exchanges)

    async def _exchange(self, kind: str, known: list[str]) -> str:
        name, pick = self.name(), self.random.choice
        arguments = pick([{}, {"alternate-exchange": pick([*known, "nowhere"])}, {"x-foo": [1, "\x85"]}])
        flags = {each: pick([False, False, True]) for each in ("internal", "auto_delete")}
        body = {"type": kind, "durable": pick([True, True, False]), "arguments": arguments, **flags}
        await self._put(body, "exchanges", self.vhost, name)
        return name

    async def _queue(self, kind: str, exchanges: list[str]) -> str:
        name, known = self.name(), ARGUMENTS[kind]
        chosen = self.random.sample(sorted(known), k=self.random.randint(0, min(5, len(known))))
        arguments = {"x-queue-type": kind, **{each: self.random.choice(known[each]) for each in chosen}}
        if "x-dead-letter-exchange" in arguments and self.random.random() < 0.5:
            arguments["x-dead-letter-exchange"] = self.random.choice(exchanges)
        await self._put({"durable": True, "arguments": arguments}, "queues", self.vhost, name)
        return name

    async def _binding(self, source: str, kind: str, queue: str, exchange: str) -> None:
        arguments = self.random.choice(
            [{}, {"x-match": "any", self.name(): self.random.choice([1, 1.5, True, "\x85"])}]
        )
        routing_key = self.random.choice(["", "#", "a.*", self.name()])
        if "~" in routing_key and arguments:
            return  # disables the listing of bindings at the broker
        target = path("bindings", self.vhost, "e", source, kind, queue if kind == "q" else exchange)
        with suppress(RequestFailed):
            await self.api.post(target, {"routing_key": routing_key, "arguments": arguments})

    async def _user(self, name: str, exchanges: list[str]) -> None:
        pick = self.random.choice
        algorithm = pick(sorted(HASHES))
        digest = base64.b64encode(self.random.randbytes(4 + HASHES[algorithm])).decode()
        hashed = {"password_hash": digest, "hashing_algorithm": f"rabbit_password_hashing_{algorithm}"}
        body = {"tags": pick(["", "management,a b"]), **pick([hashed, {"password_hash": ""}])}
        self.users.append(name)
        await self._put(body, "users", name)
        await self._put({each: pick(PATTERNS) for each in PERMISSIONS}, "permissions", self.vhost, name)
        topic = {"exchange": pick([*exchanges, "amq.topic"]), "write": pick(PATTERNS), "read": pick(PATTERNS)}
        await self._put(topic, "topic-permissions", self.vhost, name)
        await self._put({"value": pick([0, 7, -1])}, "user-limits", name, pick(["max-connections", "max-channels"]))

    async def _put(self, body: Any, *segments: str) -> None:
        with suppress(RequestFailed):
            await self.api.put(path(*segments), body)


PERMISSIONS = ("configure", "write", "read")


async def make_inexpressible(api: ManagementApi, vhost: str) -> None:
    """Makes objects that no Topology can express, and objects that depend on them."""
    await api.put(path("queues", vhost, "transient"), {"durable": False})
    queues = [
        {"name": name, "durable": True, "auto_delete": False, "arguments": {}} for name in (".", "..", "cut\r\nhere")
    ]
    bindings = [
        {"source": "amq.fanout", "destination": name, "destination_type": "queue", "routing_key": "k", "arguments": {}}
        for name in (".", "cut\r\nhere", "transient")
    ]
    await api.post(path("definitions", vhost), {"queues": queues, "exchanges": [], "bindings": bindings})
    await api.put(path("queues", vhost, "stays"), {"durable": True})
    for routing_key in (".", "kept"):
        await api.post(path("bindings", vhost, "e", "amq.topic", "q", "stays"), {"routing_key": routing_key})
    shovel = {"src-uri": "amqp://", "src-queue": "stays", "dest-uri": "amqp://", "dest-queue": "stays"}
    await api.put(path("parameters", "shovel", vhost, "mover"), {"value": shovel | {"src-delete-after": "never"}})
