"""Every kind of fault that a chaos run may inject, and which parts of the system it needs while it lasts.

One line for each row of docs/reliability.md. Two faults that need the same part exclusively never overlap; all others
may.
"""

import msgspec

BROKER, DATABASE, TOPOLOGY = "broker", "database", "topology"

API = ("order-api", "order-api-2")
CONSUMERS = ("order-worker", "inventory", "payment", "shipping", "audit")
REPLICAS = (*API, *CONSUMERS, *(f"{name}-2" for name in CONSUMERS))
"""Processes that run twice."""
ALL_PROCESSES = (*REPLICAS, "notification", "email", "sms")
FRAME_PROXIED = ("order-api-2", "order-worker-2", "inventory-2", "payment-2", "shipping-2")
"""Processes whose proxies terminate TLS, so that single frames can be dropped."""
QUEUES = ("order.queue", "inventory.queue", "payment.queue", "shipping.queue", "notification.queue", "audit.queue")
ROTATED = ("inventory", "payment", "shipping", "order", "audit")
"""Services whose passwords change."""
PUBLISHING = (*API, "order-worker", "order-worker-2", "inventory", "inventory-2", "payment", "payment-2", "shipping")


class FaultKind(msgspec.Struct, frozen=True):
    """A fault lasts `min_seconds` to `max_seconds`, and its repair up to `repair_seconds` more."""

    name: str
    targets: tuple[str, ...]
    min_seconds: float
    max_seconds: float
    repair_seconds: float = 3.0
    exclusive: tuple[str, ...] = ()
    """Parts, besides the target, that no other fault may need during this one."""
    requires: tuple[str, ...] = ()
    """Parts that must work during the fault, since it has no effect otherwise."""
    both_replicas: bool = False
    """Whether both processes of the target are affected."""
    weight: int = 2
    """Relative frequency after every kind has had its turns; 0 for a kind that loads the machine."""

    def claims(self, target: str) -> frozenset[str]:
        """Parts that it needs exclusively."""
        return frozenset({target, *self.exclusive} | ({f"{target}-2"} if self.both_replicas else set()))


def _kill_at(point: str, *targets: str) -> FaultKind:
    return FaultKind(f"kill -9 {point}", targets, 1, 12, repair_seconds=4, requires=(BROKER, DATABASE), weight=3)


FAULT_KINDS = (
    # Processes
    FaultKind("kill -9", ALL_PROCESSES, 0.2, 3, repair_seconds=4, weight=6),
    _kill_at("before commit", *API, "inventory", "payment", "order-worker", "shipping-2", "notification"),
    _kill_at("before publish", *PUBLISHING),
    _kill_at("before confirm", *PUBLISHING),
    _kill_at("before removal", *PUBLISHING),
    _kill_at("before ack", *CONSUMERS, "inventory-2", "payment-2", "order-worker-2"),
    _kill_at("before result", "payment", "payment-2", "email"),
    FaultKind("frozen", ALL_PROCESSES, 1, 9, weight=4),
    FaultKind("frozen while publishing", PUBLISHING, 6, 9, repair_seconds=8, requires=(BROKER, DATABASE)),
    FaultKind("SIGTERM", ALL_PROCESSES, 0.1, 1, repair_seconds=6, weight=4),
    FaultKind("SIGTERM to all", ("all",), 0.1, 0.5, repair_seconds=14, exclusive=(BROKER, DATABASE), weight=0),
    FaultKind("clock skew", REPLICAS, 6, 15, repair_seconds=8),
    FaultKind("wrong password", ("payment-3",), 1, 3, repair_seconds=8, requires=(BROKER, DATABASE), weight=1),
    FaultKind("expired certificate", ("shipping-3",), 1, 3, repair_seconds=8, requires=(BROKER, DATABASE), weight=1),
    # Servers
    FaultKind("broker restarts", (BROKER,), 0.2, 3, repair_seconds=8, weight=1),
    FaultKind("broker crashes", (BROKER,), 0.1, 2, repair_seconds=10, weight=1),
    FaultKind("database crashes", (DATABASE,), 0.1, 2, repair_seconds=5, weight=2),
    FaultKind("memory alarm", ("memory",), 3, 8, repair_seconds=4, requires=(BROKER,), weight=1),
    # Network
    FaultKind("connections reset", ALL_PROCESSES, 0.1, 0.3, weight=5),
    FaultKind("connections refused", ALL_PROCESSES, 2, 6, weight=3),
    FaultKind("half-open broker connection", ALL_PROCESSES, 8, 14, repair_seconds=6),
    FaultKind("half-open database connection", ALL_PROCESSES, 6, 14, repair_seconds=6),
    FaultKind("partition", ("inventory",), 8, 12, repair_seconds=6, exclusive=("payment", "shipping"), weight=1),
    FaultKind("slow network", ALL_PROCESSES, 4, 10, weight=3),
    FaultKind("slow database", ("slow database",), 4, 9, requires=(DATABASE,), weight=2),
    FaultKind("confirm lost", FRAME_PROXIED, 1, 8, repair_seconds=4, requires=(BROKER, DATABASE), weight=4),
    FaultKind("COMMIT reply lost", FRAME_PROXIED, 1, 8, repair_seconds=4, requires=(BROKER, DATABASE), weight=4),
    # Administration
    FaultKind("rows locked", ("stock", "orders"), 2, 6, requires=(DATABASE,)),
    FaultKind("database password changed", ROTATED, 1, 3, repair_seconds=8,
              exclusive=(TOPOLOGY,), requires=(DATABASE,), weight=1),
    FaultKind("broker password changed", ROTATED, 1, 3, repair_seconds=8,
              exclusive=(TOPOLOGY,), requires=(BROKER,), weight=1),
    FaultKind("queue full", QUEUES, 2, 5, requires=(BROKER,)),
    FaultKind("parking lot full", ("inventory.dlq", "payment.dlq", "order.dlq"), 2, 5, requires=(BROKER,), weight=1),
    FaultKind("last binding lost", ("bindings",), 2, 5, repair_seconds=6,
              exclusive=(TOPOLOGY,), requires=(BROKER,), weight=1),
    FaultKind("all bindings lost", ("bindings",), 1, 3, repair_seconds=6,
              exclusive=(TOPOLOGY,), requires=(BROKER,), weight=1),
    FaultKind("forbidden event", ("inventory", "payment", "shipping"), 2, 4, requires=(BROKER, DATABASE), weight=1),
    # Messages
    FaultKind("poison messages", QUEUES, 0.1, 0.5, requires=(BROKER,), weight=2),
    FaultKind("events duplicated", QUEUES, 0.1, 0.5, repair_seconds=5, requires=(BROKER, DATABASE), weight=3),
    FaultKind("events reordered", ("order-worker", "inventory", "payment", "shipping"), 2, 4, repair_seconds=8,
              requires=(BROKER, DATABASE), both_replicas=True),
    FaultKind("late payment", ("payment", "payment-2"), 1, 3, repair_seconds=10, requires=(BROKER, DATABASE)),
)  # fmt: skip
