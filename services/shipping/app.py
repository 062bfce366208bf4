"""Assembles the shipping service."""

from functools import partial

from services.shared.chassis.process import ServiceProcess
from services.shipping.handlers import HANDLERS, deliver_due, dispatch_due
from services.shipping.settings import ShippingSettings
from services.shipping.store import ShipmentRepository, retention_rules

INTERVAL = 0.5  # seconds; how late a parcel may leave or arrive


def build(settings: ShippingSettings) -> ServiceProcess:
    process = ServiceProcess("shipping", settings)
    repository = partial(ShipmentRepository, delays=settings.delays)
    process.consume("shipping.queue", HANDLERS, repository)
    # Needed even without delays: parcels that wait because of an earlier setting must leave.
    process.periodic("preparation", INTERVAL, dispatch_due, repository)
    process.periodic("carrier", INTERVAL, deliver_due, repository)
    process.retain(*retention_rules(settings.history_days))
    return process
