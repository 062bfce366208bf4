"""Puts the process together."""

from functools import partial
from pathlib import Path

from services.inventory import api, opening
from services.inventory.handlers import HANDLERS
from services.inventory.restocking import Restocking
from services.inventory.settings import InventorySettings
from services.inventory.store import Stockroom, retention_rules
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard
from services.shared.chassis.process import ServiceProcess
from warren_messaging.transaction import Transaction

OPENING_SECONDS = 15  # between two looks for articles that lack their opening stock


def build(settings: InventorySettings) -> ServiceProcess:
    process = ServiceProcess("inventory", settings)
    process.consume("inventory.queue", HANDLERS, Stockroom)
    guard = AuthGuard(settings, role=STAFF)
    process.serve(application([api.routes(Restocking(process.database), guard)], title="Warren inventory"))
    if settings.opening_stock_file != Path():
        pieces = opening.read(settings.opening_stock_file)
        process.schedule(OPENING_SECONDS, "opening stock", Transaction, partial(opening.put_on_shelf, pieces=pieces))
    process.retain(*retention_rules(settings.history_days))
    return process
