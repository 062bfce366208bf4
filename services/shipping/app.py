"""The shipping service's parts, put together."""

from functools import partial

from services.shared.chassis.process import ServiceProcess
from services.shipping.handlers import HANDLERS, deliver_due, prepare_due
from services.shipping.settings import Settings
from services.shipping.store import Shipments, retention_rules

TICK = 0.5  # seconds; how late a parcel may leave or arrive


def build(settings: Settings) -> ServiceProcess:
    process = ServiceProcess("shipping", settings)
    transaction = partial(Shipments, pace=settings.pace)
    process.consume("shipping.queue", HANDLERS, transaction)
    # Also when nothing waits by today's settings: what an earlier setting made wait is still to leave.
    process.schedule(TICK, "preparation", transaction, prepare_due)
    process.schedule(TICK, "carrier", transaction, deliver_due)
    process.retain(*retention_rules(settings.history_days))
    return process
