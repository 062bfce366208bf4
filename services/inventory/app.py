"""Puts the process together."""

from functools import partial
from pathlib import Path

from services.inventory import api, opening
from services.inventory.handlers import HANDLERS
from services.inventory.restocking import Restocking
from services.inventory.settings import InventorySettings
from services.inventory.store import Stockroom, forgetting
from services.shared.chassis.http import application
from services.shared.chassis.identity import STAFF, Gate
from services.shared.chassis.process import Process
from warren_messaging.transaction import Transaction

OPENING_SECONDS = 15  # between two looks for articles that lack their opening stock


def build(settings: InventorySettings) -> Process:
    process = Process("inventory", settings)
    process.consume("inventory.queue", HANDLERS, Stockroom)
    gate = Gate(settings, role=STAFF)
    process.serve(application([api.routes(Restocking(process.database), gate)], title="Warren inventory"))
    if settings.opening_stock_file != Path():
        pieces = opening.read(settings.opening_stock_file)
        process.every(OPENING_SECONDS, "opening stock", Transaction, partial(opening.put_on_shelf, pieces=pieces))
    process.forget(*forgetting(settings.history_days))
    return process
