"""Assembles the inventory service."""

from functools import partial
from pathlib import Path

from services.inventory import api
from services.inventory.handlers import HANDLERS
from services.inventory.restock_store import RestockStore, add_opening_stock
from services.inventory.settings import InventorySettings, load_opening_stock
from services.inventory.store import StockRepository, retention_rules
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard
from services.shared.chassis.process import ServiceProcess

OPENING_STOCK_INTERVAL = 15  # seconds between two checks for articles whose opening stock is missing


def build(settings: InventorySettings) -> ServiceProcess:
    process = ServiceProcess("inventory", settings)
    process.consume("inventory.queue", HANDLERS, StockRepository)
    guard = AuthGuard(settings, role=STAFF)
    process.serve(application([api.routes(RestockStore(process.database), guard)], title="Warren inventory"))
    if settings.opening_stock_file != Path():
        stock = load_opening_stock(settings.opening_stock_file)
        process.periodic("opening stock", OPENING_STOCK_INTERVAL, partial(add_opening_stock, stock=stock))
    process.retain(*retention_rules(settings.history_days))
    return process
