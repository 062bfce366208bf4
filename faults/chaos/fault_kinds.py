"""Every kind of fault that a chaos run may choose, and what it needs for itself while it lasts.

One line each for the rows of docs/reliability.md. Two faults that need the same thing for themselves never overlap;
everything else may.
"""

import msgspec

BROKER, DATABASE, TOPOLOGY = "broker", "database", "topology"

API = ("order-api", "order-api-2")
CONSUMERS = ("order-worker", "inventory", "payment", "shipping", "audit")
REPLICAS = (*API, *CONSUMERS, *(f"{name}-2" for name in CONSUMERS))
"""Processes of which there are two."""
EVERYBODY = (*REPLICAS, "notification", "email", "sms")
READ_ALONG = ("order-api-2", "order-worker-2", "inventory-2", "payment-2", "shipping-2")
"""Processes whose two lines end TLS, so that single frames can be lost."""
QUEUES = ("order.queue", "inventory.queue", "payment.queue", "shipping.queue", "notification.queue", "audit.queue")
PUBLISHING = (*API, "order-worker", "order-worker-2", "inventory", "inventory-2", "payment", "payment-2", "shipping")


class Kind(msgspec.Struct, frozen=True):
    """`shortest` to `longest` are the seconds for which it lasts; `margin` those that mending may take after that."""

    name: str
    targets: tuple[str, ...]
    shortest: float
    longest: float
    margin: float = 3.0
    alone: tuple[str, ...] = ()
    """What nothing else may need meanwhile; its target is always among that."""
    shared: tuple[str, ...] = ()
    """What must work meanwhile, for the fault to be one."""
    both: bool = False
    """Whether it takes both processes of its target."""
    weight: int = 2
    """How often it is chosen when every kind has had its turns; 0 for what takes much of the machine."""

    def claims(self, target: str) -> frozenset[str]:
        """What it needs for itself."""
        return frozenset({target, *self.alone} | ({f"{target}-2"} if self.both else set()))


def _killed(point: str, *targets: str) -> Kind:
    return Kind(f"kill -9 {point}", targets, 1, 12, margin=4, shared=(BROKER, DATABASE), weight=3)


KINDS = (
    # Processes
    Kind("kill -9", EVERYBODY, 0.2, 3, margin=4, weight=6),
    _killed("before commit", *API, "inventory", "payment", "order-worker", "shipping-2", "notification"),
    _killed("before publish", *PUBLISHING),
    _killed("before confirm", *PUBLISHING),
    _killed("before removal", *PUBLISHING),
    _killed("before ack", *CONSUMERS, "inventory-2", "payment-2", "order-worker-2"),
    _killed("before result", "payment", "payment-2", "email"),
    Kind("stands still", EVERYBODY, 1, 9, weight=4),
    Kind("stands still with events in hand", PUBLISHING, 6, 9, margin=8, shared=(BROKER, DATABASE)),
    Kind("SIGTERM", EVERYBODY, 0.1, 1, margin=6, weight=4),
    Kind("SIGTERM to all", ("all",), 0.1, 0.5, margin=14, alone=(BROKER, DATABASE), weight=0),
    Kind("clock off", REPLICAS, 6, 15, margin=8),
    Kind("wrong password", ("payment-3",), 1, 3, margin=8, shared=(BROKER, DATABASE), weight=1),
    Kind("expired certificate", ("shipping-3",), 1, 3, margin=8, shared=(BROKER, DATABASE), weight=1),
    # Servers
    Kind("broker restarts", (BROKER,), 0.2, 3, margin=8, weight=1),
    Kind("broker crashes", (BROKER,), 0.1, 2, margin=10, weight=1),
    Kind("database crashes", (DATABASE,), 0.1, 2, margin=5, weight=2),
    Kind("memory alarm", ("memory",), 3, 8, margin=4, shared=(BROKER,), weight=1),
    # Wires
    Kind("connections cut", EVERYBODY, 0.1, 0.3, weight=5),
    Kind("connections refused", EVERYBODY, 2, 6, weight=3),
    Kind("half open", EVERYBODY, 8, 14, margin=6),
    Kind("half-open database", EVERYBODY, 6, 14, margin=6),
    Kind("partition", ("inventory",), 8, 12, margin=6, alone=("payment", "shipping"), weight=1),
    Kind("slow network", EVERYBODY, 4, 10, weight=3),
    Kind("slow database", ("slow database",), 4, 9, shared=(DATABASE,), weight=2),
    Kind("confirm lost", READ_ALONG, 1, 8, margin=4, shared=(BROKER, DATABASE), weight=4),
    Kind("COMMIT's answer lost", READ_ALONG, 1, 8, margin=4, shared=(BROKER, DATABASE), weight=4),
    # What an administrator can do to them
    Kind("rows locked", ("stock", "orders"), 2, 6, shared=(DATABASE,)),
    Kind("database password changed", ("inventory", "payment", "shipping", "order", "audit"), 1, 3, margin=8,
         alone=(TOPOLOGY,), shared=(DATABASE,), weight=1),
    Kind("broker password changed", ("inventory", "payment", "shipping", "order", "audit"), 1, 3, margin=8,
         alone=(TOPOLOGY,), shared=(BROKER,), weight=1),
    Kind("queue full", QUEUES, 2, 5, shared=(BROKER,)),
    Kind("parking lot full", ("inventory.dlq", "payment.dlq", "order.dlq"), 2, 5, shared=(BROKER,), weight=1),
    Kind("last binding lost", ("bindings",), 2, 5, margin=6, alone=(TOPOLOGY,), shared=(BROKER,), weight=1),
    Kind("every binding lost", ("bindings",), 1, 3, margin=6, alone=(TOPOLOGY,), shared=(BROKER,), weight=1),
    Kind("forbidden event", ("inventory", "payment", "shipping"), 2, 4, shared=(BROKER, DATABASE), weight=1),
    # Messages
    Kind("poison", QUEUES, 0.1, 0.5, shared=(BROKER,), weight=2),
    Kind("events repeated", QUEUES, 0.1, 0.5, margin=5, shared=(BROKER, DATABASE), weight=3),
    Kind("events in disorder", ("order-worker", "inventory", "payment", "shipping"), 2, 4, margin=8,
         shared=(BROKER, DATABASE), both=True),
    Kind("payment late", ("payment", "payment-2"), 1, 3, margin=10, shared=(BROKER, DATABASE)),
)  # fmt: skip
