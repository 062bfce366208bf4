"""The shipping service's parts, put together."""

from functools import partial

from services.shared.chassis.process import Process
from services.shipping.handlers import HANDLERS, deliver_due, prepare_due
from services.shipping.settings import Settings
from services.shipping.store import Shipments, forgetting

TICK = 0.5  # seconds; how late a parcel may leave or arrive


def build(settings: Settings) -> Process:
    process = Process("shipping", settings)
    transaction = partial(Shipments, pace=settings.pace)
    process.consume("shipping.queue", HANDLERS, transaction)
    # Also when nothing waits by today's settings: what an earlier setting made wait is still to leave.
    process.every(TICK, "preparation", transaction, prepare_due)
    process.every(TICK, "carrier", transaction, deliver_due)
    process.forget(*forgetting(settings.history_days))
    return process
