"""The registry of services. Every list of services is derived from it or compared with it by a test.

All other names follow from the name of a service: its package `services.<name>`, queue `<name>.queue`, parking lot
`<name>.dlq`, schema and database role, broker user, and image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ServiceEntry:
    name: str
    processes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Process names with their command-line arguments; empty: one process of the service's name, without arguments."""
    http: Sequence[str] = ()
    """Processes with an HTTP API."""
    publishes_to: str | None = None
    """The exchange of its events. Events of `order.exchange` also go to the audit log."""
    own_schemas: Sequence[str] = ()
    """Further schemas, each with the migrations in `services/<service>/<schema>_migrations` and a role of its own."""


SERVICES = (
    ServiceEntry(
        name="order",
        processes={"order-api": ["api"], "order-worker": ["worker"]},
        http=["order-api"],
        publishes_to="order.exchange",
    ),
    ServiceEntry(name="inventory", http=["inventory"], publishes_to="order.exchange"),
    ServiceEntry(name="payment", publishes_to="order.exchange", own_schemas=["gateway"]),
    ServiceEntry(name="shipping", publishes_to="order.exchange"),
    ServiceEntry(name="fraud", publishes_to="order.exchange"),
    ServiceEntry(name="notification", publishes_to="notification.exchange"),
    ServiceEntry(name="email"),
    ServiceEntry(name="sms"),
    ServiceEntry(name="audit", http=["audit"]),
)

SERVICE_NAMES = tuple(each.name for each in SERVICES)
QUEUES = tuple(f"{name}.queue" for name in SERVICE_NAMES)
AUDITED = tuple(each.name for each in SERVICES if each.publishes_to == "order.exchange")
"""Services whose events the audit log holds."""
PROCESSES = {
    process: (f"services.{each.name}", *arguments)
    for each in SERVICES
    for process, arguments in (each.processes or {each.name: ()}).items()
}
"""Process name to the module that it runs and its arguments."""
HTTP_PROCESSES = tuple(process for each in SERVICES for process in each.http)
